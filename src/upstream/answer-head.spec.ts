import { HeadReader, MalformedAnswer } from './answer-head';

const OK = 'HTTP/1.1 200 OK\r\n';

function read(text: string) {
  return new HeadReader().read(Buffer.from(text, 'latin1'));
}

describe('the head of an answer', () => {
  it('is its status and its fields, and ends before the body', () => {
    const text = `${OK}Content-Length: 5\r\nX-Two: a\r\nx-two:\t b \t\r\nX-Odd: \xa0\xe9\r\n\r\n`;

    expect(read(`${text}hello`)).toEqual({
      head: {
        version: '1.1',
        status: 200,
        length: 5,
        headers: { 'content-length': '5', 'x-two': 'a, b', 'x-odd': '\xa0\xe9' },
      },
      end: text.length,
    });
  });

  it.each([
    ['no reason', 'HTTP/1.1 404\r\n\r\n', { status: 404, version: '1.1', length: undefined }],
    ['an empty reason', 'HTTP/1.1 404 \r\n\r\n', { status: 404 }],
    ['the old version', 'HTTP/1.0 200 OK\r\n\r\n', { version: '1.0' }],
    ['an empty value', `${OK}a:\r\n\r\n`, { headers: { a: '' } }],
    ['names that objects have', `${OK}__proto__: x\r\nconstructor: y\r\n\r\n`, { status: 200 }],
  ])('may have %s', (_what, text, head) => {
    expect(read(text)?.head).toMatchObject(head);
  });

  it('comes in pieces of any size', () => {
    const bytes = Buffer.from(`${OK}Content-Length: 5\r\n\r\nhello`);
    const reader = new HeadReader();

    const ends = Array.from(bytes, (_, at) => reader.read(bytes.subarray(0, at + 1))).findIndex(
      (answer) => answer !== undefined,
    );

    expect(ends).toBe(bytes.length - 'hello'.length - 1);
  });

  it.each([
    ['another protocol, at its first bytes', 'SSH-2.0'],
    ['another version', 'HTTP/2.0 200 OK\r\n'],
    ['an empty line first', '\r\nHTTP/1.1 200 OK\r\n\r\n'],
    ['a status below 100', 'HTTP/1.1 099 X\r\n'],
    ['a status of two digits', 'HTTP/1.1 20 OK\r\n'],
    ['a status of four digits', 'HTTP/1.1 2000 OK\r\n'],
    ['no status', 'HTTP/1.1 OK\r\n'],
    ['two blanks before the status', 'HTTP/1.1  200 OK\r\n'],
    ['a lone LF', 'HTTP/1.1 200 OK\n'],
    ['a lone LF among the fields', `${OK}a: b\nc: d\r\n\r\n`],
    ['LF alone for the empty line', `${OK}a: b\r\n\n`],
    ['a lone CR', `${OK}a: b\rc: d\r\n\r\n`],
    ['a NUL in a value', `${OK}a: \0\r\n\r\n`],
    ['a NUL in the reason', 'HTTP/1.1 200 \0\r\n\r\n'],
    ['a control character', `${OK}a: \x7f\r\n\r\n`],
    ['no colon', `${OK}a b\r\n\r\n`],
    ['no name', `${OK}: b\r\n\r\n`],
    ['a blank before the colon', `${OK}a : b\r\n\r\n`],
    ['a blank in a name', `${OK}a b: c\r\n\r\n`],
    ['a name beyond ASCII', `${OK}\xe9: c\r\n\r\n`],
    ['a folded field', `${OK}a: b\r\n c\r\n\r\n`],
    ['a folded first field', `${OK} a: b\r\n\r\n`],
    ['two lengths', `${OK}Content-Length: 5\r\nContent-Length: 6\r\n\r\n`],
    ['the same length twice', `${OK}Content-Length: 5\r\nContent-Length: 5\r\n\r\n`],
    ['a list of lengths', `${OK}Content-Length: 5, 5\r\n\r\n`],
    ['an empty length', `${OK}Content-Length:\r\n\r\n`],
    ['a length below zero', `${OK}Content-Length: -1\r\n\r\n`],
    ['a length with a sign', `${OK}Content-Length: +5\r\n\r\n`],
    ['a length that is no number', `${OK}Content-Length: 0x5\r\n\r\n`],
    ['a length beyond reason', `${OK}Content-Length: ${'9'.repeat(16)}\r\n\r\n`],
    ['a length, and chunks', `${OK}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n`],
    ['a coding, and a length', `${OK}Transfer-Encoding: identity\r\nContent-Length: 5\r\n\r\n`],
  ])('is refused for %s', (_what, text) => {
    expect(() => read(text)).toThrow(MalformedAnswer);
  });
});
