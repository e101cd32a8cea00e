/** Answers as they stand on the wire: is this HTTP, and is it whole? RFC 9112. */

/** The final answer in a text, one character a byte. */
export interface WireAnswer {
  readonly status: number;
  /** Lower-case names; of several lines of one name the last one. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
  /** All that its framing promises is there; one without a promise is whole when the connection ends. */
  readonly whole: boolean;
}

const STATUS = /^HTTP\/1\.1 ([1-5]\d\d) [\x20-\x7e]*$/;
const FIELD = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*)$/;

/**
 * @param method of the request: HEAD has no body.
 * @returns undefined while there is no whole head.
 * @throws Error for what is no HTTP.
 */
export function readAnswer(text: string, method: string): WireAnswer | undefined {
  const end = text.indexOf('\r\n\r\n');
  if (end < 0) return undefined;
  const [line = '', ...fields] = text.slice(0, end).split('\r\n');
  const status = Number(STATUS.exec(line)?.[1]);
  if (Number.isNaN(status)) throw new Error(`no status line: ${JSON.stringify(line)}`);
  const headers = new Map(
    fields.map((field) => {
      const [, name, value = ''] = FIELD.exec(field) ?? [];
      if (name === undefined) throw new Error(`no header: ${JSON.stringify(field)}`);
      return [name.toLowerCase(), value.trim()];
    }),
  );
  const rest = text.slice(end + 4);
  if (status < 200) return readAnswer(rest, method);
  if (method === 'HEAD' || status === 204 || status === 304)
    return { status, headers, body: '', whole: true };
  if (headers.get('transfer-encoding') === 'chunked')
    return { status, headers, ...unchunked(rest) };
  const length = headers.get('content-length');
  if (length === undefined)
    return { status, headers, body: rest, whole: headers.get('connection') === 'close' };
  if (!/^\d+$/.test(length)) throw new Error(`no length: ${length}`);
  return {
    status,
    headers,
    body: rest.slice(0, Number(length)),
    whole: rest.length >= Number(length),
  };
}

function unchunked(text: string): { body: string; whole: boolean } {
  let body = '';
  let rest = text;
  for (;;) {
    const end = rest.indexOf('\r\n');
    if (end < 0) return { body, whole: false };
    const said = rest.slice(0, end);
    if (!/^[0-9a-f]+$/i.test(said))
      throw new Error(`no chunk: ${JSON.stringify(said.slice(0, 40))}`);
    const size = parseInt(said, 16);
    if (size === 0) return { body, whole: rest.slice(end).startsWith('\r\n\r\n') };
    body += rest.slice(end + 2, end + 2 + size);
    if (rest.length < end + 4 + size) return { body, whole: false };
    rest = rest.slice(end + 4 + size);
  }
}
