/** Byte ranges, as far as registries serve them: one range a request. RFC 9110 § 14.1.2; distribution-spec 1.1 § Pulling blobs. */

/** What a Range header asks for, before the size is known: from a byte on, up to another (exclusive), or the last ones. */
export type AskedRange =
  { readonly from: number; readonly to: number | undefined } | { readonly last: number };

/** A part of content: from its first byte to the byte behind its last. */
export interface ByteRange {
  readonly from: number;
  readonly to: number;
}

/** Fifteen digits are exact in a number, and more than any disk. */
const ONE_RANGE = /^bytes=(?:(\d{1,15})-(\d{0,15})|-(\d{1,15}))$/;

/** The one range that is asked for. Undefined for none, more than one, or what is malformed: all of it is then served. */
export function parseRange(header: string | undefined): AskedRange | undefined {
  const [, from, last, suffix] = ONE_RANGE.exec(header ?? '') ?? [];
  if (suffix !== undefined) return { last: Number(suffix) };
  if (from === undefined) return undefined;
  if (last === undefined || last === '') return { from: Number(from), to: undefined };
  // A range that ends before it begins is invalid, and as if it were not there.
  return Number(last) < Number(from) ? undefined : { from: Number(from), to: Number(last) + 1 };
}

/** The part of content of that size which is asked for, or undefined where there is none: 416. */
export function rangeWithin(asked: AskedRange, size: number): ByteRange | undefined {
  if ('last' in asked) {
    return asked.last === 0 || size === 0
      ? undefined
      : { from: Math.max(0, size - asked.last), to: size };
  }
  if (asked.from >= size) return undefined;
  return { from: asked.from, to: Math.min(asked.to ?? size, size) };
}
