/** The head of an answer: status line and fields, to the letter of RFC 9112. */

/** What is no HTTP, or too much of it. */
export class MalformedAnswer extends Error {
  constructor(what: string) {
    super(`an answer ${what}`);
    this.name = 'MalformedAnswer';
  }
}

export interface AnswerHead {
  readonly version: '1.0' | '1.1';
  readonly status: number;
  /** Lower-case names; several values of one name are joined by `, `. */
  readonly headers: Record<string, string>;
  /** Bytes of the body, where the one Content-Length says so. */
  readonly length: number | undefined;
}

const LF = 0x0a;
const CR = 0x0d;
const VERSION = 'HTTP/1.';
const STATUS_LINE = /^HTTP\/(1\.[01]) ([1-9]\d\d)(?: [\t\x20-\x7e\x80-\xff]*)?$/;
const NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
const LENGTH = /^\d{1,15}$/;

/** Reads one head while it arrives: each byte is looked at once, and what is wrong is said with the line that it stands in. */
export class HeadReader {
  /** Where the line begins that is not whole yet. */
  #line = 0;
  #searched = 0;
  #status: { readonly version: '1.0' | '1.1'; readonly status: number } | undefined;
  readonly #headers = Object.create(null) as Record<string, string>;

  /**
   * @param bytes all that came of it, and perhaps more; each time those of the time before, and what follows them.
   * @returns the head, and where it ends; undefined while it is not whole.
   * @throws MalformedAnswer
   */
  read(bytes: Buffer): { readonly head: AnswerHead; readonly end: number } | undefined {
    if (!this.#status) assertBegins(bytes);
    for (;;) {
      const end = bytes.indexOf(LF, this.#searched);
      if (end < 0) {
        this.#searched = bytes.length;
        return undefined;
      }
      if (end === this.#line || bytes[end - 1] !== CR) throw new MalformedAnswer('has a bare LF');
      const line = bytes.toString('latin1', this.#line, end - 1);
      this.#line = end + 1;
      this.#searched = end + 1;
      if (!this.#status) this.#status = statusOf(line);
      else if (line !== '') this.#add(line);
      else return { head: this.#head(this.#status), end: end + 1 };
    }
  }

  #add(line: string): void {
    // Of several blanks around a value, a pattern would try each: they are cut off by hand.
    const colon = line.indexOf(':');
    const name = line.slice(0, Math.max(0, colon)).toLowerCase();
    const value = withoutBlanks(line, colon + 1);
    if (!NAME.test(name) || !VALUE.test(value))
      throw new MalformedAnswer('has a field that is none');
    const before = this.#headers[name];
    this.#headers[name] = before === undefined ? value : `${before}, ${value}`;
  }

  #head(line: { version: '1.0' | '1.1'; status: number }): AnswerHead {
    const headers = this.#headers;
    const said = headers['content-length'];
    // Several of them, even alike ones, have become a list.
    if (said !== undefined && !LENGTH.test(said))
      throw new MalformedAnswer('has a Content-Length that is none');
    // Whoever believes the one, and whoever the other, see another end. RFC 9112 § 6.3.
    if (said !== undefined && headers['transfer-encoding'] !== undefined)
      throw new MalformedAnswer('has two lengths');
    return { ...line, headers, length: said === undefined ? undefined : Number(said) };
  }
}

/** What speaks another protocol need not end its line before that is clear. */
function assertBegins(bytes: Buffer): void {
  const begun = bytes.toString('latin1', 0, Math.min(bytes.length, VERSION.length));
  if (!VERSION.startsWith(begun)) throw new MalformedAnswer('does not begin as one');
}

function statusOf(line: string): { version: '1.0' | '1.1'; status: number } {
  const [, version, status] = STATUS_LINE.exec(line) ?? [];
  if (version !== '1.0' && version !== '1.1') throw new MalformedAnswer('has no status line');
  return { version, status: Number(status) };
}

/** The text from there on, without SP and HTAB around it. */
function withoutBlanks(text: string, from: number): string {
  let start = from;
  let end = text.length;
  while (start < end && isBlank(text.charCodeAt(start))) start += 1;
  while (end > start && isBlank(text.charCodeAt(end - 1))) end -= 1;
  return text.slice(start, end);
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}
