/**
 * The htpasswd file: which accounts there are, and with what password hash. bcrypt only; comments and blank lines stay
 * where they are when the file is written anew.
 */
import { costOf, MAX_COST } from './password-hash';

/** The longest line, in characters; a bcrypt line is its name and 61 more. */
const MAX_LINE = 1024;
const MAX_USERNAME = 255;

// Control characters of C0 and C1, the byte order mark, and what stands for bytes that are not UTF-8.
// oxlint-disable-next-line no-control-regex
const UNREADABLE = /[\u0000-\u001f\u007f-\u009f\ufeff\ufffd]/;
const ANEW = 'write it anew with htpasswd -B';

/** A text that is no htpasswd file; the message names the line and the remedy. */
export class HtpasswdFault extends Error {}

interface Line {
  readonly text: string;
  /** Undefined for a comment or a blank line. */
  readonly entry?: { readonly username: string; readonly hash: string };
}

/** One reading of the file, immutable. */
export class HtpasswdFile {
  static readonly empty = new HtpasswdFile([]);
  /** Hash by user name, in the order of the file. */
  readonly hashes: ReadonlyMap<string, string>;
  readonly #lines: readonly Line[];

  private constructor(lines: readonly Line[]) {
    this.#lines = lines;
    this.hashes = new Map(
      lines.flatMap(({ entry }) => (entry ? [[entry.username, entry.hash] as const] : [])),
    );
  }

  /** @throws HtpasswdFault at the first line that is not as it should be */
  static parse(text: string): HtpasswdFile {
    const texts = text.split('\n');
    if (texts.at(-1) === '') texts.pop();
    const seen = new Map<string, number>();
    return new HtpasswdFile(
      texts.map((line, index) => {
        const parsed = parseLine(line, index + 1);
        if (parsed.entry) refuseDuplicate(parsed.entry.username, index + 1, seen);
        return parsed;
      }),
    );
  }

  /** With this hash for this name: in its old line, or in a new one at the end. */
  with(username: string, hash: string): HtpasswdFile {
    const line = { text: `${username}:${hash}`, entry: { username, hash } };
    if (!this.hashes.has(username)) return new HtpasswdFile([...this.#lines, line]);
    return new HtpasswdFile(
      this.#lines.map((old) => (old.entry?.username === username ? line : old)),
    );
  }

  without(username: string): HtpasswdFile {
    return new HtpasswdFile(this.#lines.filter(({ entry }) => entry?.username !== username));
  }

  format(): string {
    return this.#lines.map(({ text }) => `${text}\n`).join('');
  }
}

function parseLine(text: string, number: number): Line {
  if (text.length > MAX_LINE) fault(number, `longer than ${MAX_LINE} characters; ${ANEW}`);
  if (text.endsWith('\r')) fault(number, 'ends in a carriage return; save it with Unix line ends');
  if (text.trim() === '' || text.startsWith('#')) return { text };
  if (UNREADABLE.test(text)) {
    fault(number, `holds a control character or one that is not UTF-8; ${ANEW}`);
  }
  const colon = text.indexOf(':');
  if (colon < 0) fault(number, `has no colon between name and hash; ${ANEW}`);
  const username = text.slice(0, colon);
  const hash = text.slice(colon + 1);
  if (username === '' || username.trim() !== username || username.length > MAX_USERNAME) {
    fault(number, `the name is empty, too long, or begins or ends with a space; ${ANEW}`);
  }
  refuseForeignHash(hash, number);
  return { text, entry: { username, hash } };
}

function refuseForeignHash(hash: string, number: number): void {
  const cost = costOf(hash);
  if (cost === undefined) fault(number, `${formatOf(hash)}, only bcrypt is taken; ${ANEW}`);
  if (cost < 4) fault(number, `bcrypt of cost ${cost} does not exist; ${ANEW}`);
  if (cost > MAX_COST) {
    fault(
      number,
      `bcrypt of cost ${cost} would keep the gate busy, ${MAX_COST} is the most; ${ANEW} -C ${MAX_COST}`,
    );
  }
}

/** What the second field seems to be. Never the field itself: it may be a password in clear. */
function formatOf(hash: string): string {
  if (hash.startsWith('$apr1$')) return 'an MD5 hash ($apr1$)';
  if (hash.startsWith('{SHA}')) return 'a SHA-1 hash ({SHA})';
  if (/^\$[56]\$/.test(hash)) return 'a crypt SHA-2 hash';
  if (hash.startsWith('$2')) return 'a malformed bcrypt hash';
  return 'not a bcrypt hash';
}

function refuseDuplicate(username: string, number: number, seen: Map<string, number>): void {
  const first = seen.get(username);
  if (first !== undefined) {
    fault(number, `the account of line ${first} once more; delete one of the two lines`);
  }
  seen.set(username, number);
}

function fault(line: number, reason: string): never {
  throw new HtpasswdFault(`line ${line}: ${reason}`);
}
