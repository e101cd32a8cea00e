/**
 * JSON of an upstream that may be hostile: a few megabytes of brackets cost a hundred times their length once they are
 * parsed, and deep ones overflow the stack of whoever writes them again.
 */

/** A listing of 100,000 objects is long; a document 64 levels deep is none of the specification's. */
const MAX_NESTED = 100_000;
const MAX_DEPTH = 64;

const QUOTE = 0x22;
const ESCAPE = 0x5c;
const OPENS = new Set([0x5b, 0x7b]);
const CLOSES = new Set([0x5d, 0x7d]);

/** The document, or undefined where the bytes are no JSON, or hold too many lists and objects, or too deep ones. */
export function parseBoundedJson(bytes: Uint8Array): unknown {
  if (!isBounded(bytes)) return undefined;
  try {
    return JSON.parse(new TextDecoder().decode(bytes)) as unknown;
  } catch {
    return undefined;
  }
}

function isBounded(bytes: Uint8Array): boolean {
  let nested = 0;
  let depth = 0;
  let inText = false;
  for (let at = 0; at < bytes.length; at += 1) {
    const byte = bytes[at] ?? 0;
    if (byte === QUOTE) inText = !inText;
    else if (inText) at += byte === ESCAPE ? 1 : 0;
    else if (OPENS.has(byte)) {
      nested += 1;
      depth += 1;
      if (nested > MAX_NESTED || depth > MAX_DEPTH) return false;
    } else if (CLOSES.has(byte)) depth -= 1;
  }
  return true;
}
