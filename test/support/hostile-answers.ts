/** Answers of a registry that may be hostile: the grammar of HTTP and of registries, and what mutation makes of it. */
import fc from 'fast-check';
import { changed, changes, type Change } from './hostile-requests';

/** One answer. `{digest}` and the like stand for what would be right, and are filled in when it is sent. */
export interface HostileAnswer {
  readonly status: string;
  readonly headers: readonly (readonly [string, string])[];
  readonly body: string;
  readonly framing: 'length' | 'chunked' | 'unended' | 'close' | 'too long' | 'too short';
  readonly changes: readonly Change[];
  readonly end: 'keep' | 'close' | 'reset';
}

const DIGEST = `sha256:${'b'.repeat(64)}`;

const status = fc.oneof(
  { weight: 4, arbitrary: fc.constant('200 OK') },
  {
    weight: 3,
    arbitrary: fc.constantFrom(
      '401 Unauthorized',
      '307 Temporary Redirect',
      '206 Partial Content',
      '202 Accepted',
    ),
  },
  fc.constantFrom(
    '100 Continue',
    '101 Switching Protocols',
    '103 Early Hints',
    '201 Created',
    '204 No Content',
    '301',
    '302 Found',
    '303 See Other',
    '304 Not Modified',
    '308 Permanent Redirect',
    '400 Bad Request',
    '403 Forbidden',
    '404 Not Found',
    '405 Method Not Allowed',
    '416 Range Not Satisfiable',
    '418 Teapot',
    '429 Too Many Requests',
    '500 Oops',
    '502 Bad Gateway',
    '503 Service Unavailable',
    '504 Gateway Timeout',
    '999 Odd',
    '099 Odd',
    '20 OK',
    '2000 OK',
    'OK',
  ),
);

const field = fc.oneof(
  fc.tuple(
    fc.constant('Content-Type'),
    fc.constantFrom(
      'application/vnd.oci.image.manifest.v1+json',
      'application/vnd.oci.image.index.v1+json',
      'text/html',
      'application/json; charset=utf-8',
      'application/xhtml+xml',
      '',
      'x',
      `application/${'x'.repeat(600)}`,
      'application/vnd.docker.distribution.manifest.v1+prettyjws',
      'application/a\tb',
    ),
  ),
  fc.tuple(
    fc.constant('Docker-Content-Digest'),
    fc.constantFrom('{digest}', DIGEST, 'sha256:', '../../x', 'sha512:x', '{digest},{digest}', ''),
  ),
  fc.tuple(
    fc.constant('Content-Range'),
    fc.constantFrom(
      'bytes 0-9/10',
      'bytes 2-5/{size}',
      'bytes 0-0/{size}',
      'bytes 0-/10',
      'bytes */{size}',
      `bytes 0-${'9'.repeat(15)}/${'9'.repeat(15)}`,
      'bytes 5-2/10',
      'x',
      'bytes 2-5/6',
    ),
  ),
  fc.tuple(
    fc.constant('Content-Encoding'),
    fc.constantFrom('gzip', 'identity', 'br, gzip', '', 'zstd'),
  ),
  fc.tuple(
    fc.constant('Transfer-Encoding'),
    fc.constantFrom('chunked', 'gzip, chunked', 'identity', 'xchunked'),
  ),
  fc.tuple(
    fc.constant('Content-Length'),
    fc.constantFrom(
      '0',
      '{size}',
      '1',
      '-1',
      '1e3',
      '999999999999999',
      '99999999999999999999',
      '{size}, {size}',
      '+5',
      '',
    ),
  ),
  fc.tuple(
    fc.constant('Location'),
    fc.constantFrom(
      '/elsewhere/{case}',
      '{elsewhere}/{case}',
      '{self}',
      'ftp://127.0.0.1/{case}',
      'http://user:pw@127.0.0.1/{case}',
      '//[',
      '',
      '#',
      '?',
      `/${'\\'.repeat(4000)}`,
      `/?${'\\'.repeat(4000)}`,
      `/${'%'.repeat(4000)}`,
      `/${'a'.repeat(5000)}`,
      'http://169.254.169.254/{case}',
      '/\u00e9\u0080',
      '/v2/{repository}/blobs/uploads/%2e%2e?a=~&b=%20#x',
      'javascript:alert(1)',
      '\\\\evil\\x',
    ),
  ),
  fc.tuple(
    fc.constant('WWW-Authenticate'),
    fc.constantFrom(
      'Bearer realm="{origin}/token",service="x",scope="repository:{repository}:pull"',
      'Bearer realm="{elsewhere}/token"',
      'Bearer realm="http://169.254.169.254/"',
      'Bearer realm="',
      'Bearer',
      'Basic realm="x"',
      'Negotiate x==',
      `Bearer ${','.repeat(7000)}`,
      `Bearer realm="${'\\"'.repeat(3000)}"`,
      'Bearer realm="{origin}/token?a=b#c",realm="{elsewhere}"',
      'Bearer realm="{origin}/token",scope="\u00ff\u0080"',
      '',
    ),
  ),
  fc.tuple(
    fc.constant('Link'),
    fc.constantFrom(
      '</v2/{repository}/tags/list?last=1>; rel="next"',
      '<{elsewhere}/x>; rel=next',
      '<>; rel=next',
      `<${'<'.repeat(4000)}`,
      `${'</x>;'.repeat(1500)}`,
      '</v2/?ns=docker.io&last=\\>; rel="next"',
      '</v2/?last=%0d%0aX:%20y>; rel=next',
      '<//[>; rel=next',
    ),
  ),
  fc.tuple(
    fc.constant('Retry-After'),
    fc.constantFrom('0', '1', '-1', 'Thu, 01 Jan 1970 00:00:00 GMT'),
  ),
  fc.tuple(
    fc.constant('Docker-Upload-UUID'),
    fc.constantFrom('1', '../..', 'a b', 'x'.repeat(200), ''),
  ),
  fc.tuple(
    fc.constant('Range'),
    fc.constantFrom('0-5', 'bytes=0-5', '0--1', 'x', `0-${'9'.repeat(30)}`),
  ),
  fc.tuple(
    fc.constantFrom(
      'Connection',
      'Set-Cookie',
      'Trailer',
      'Upgrade',
      'Keep-Alive',
      'Warning',
      'X Y',
      '',
      '__proto__',
    ),
    fc.constantFrom(
      'close',
      'keep-alive',
      'upgrade',
      'a=b',
      'x',
      '',
      'timeout=0',
      '\u0001',
      'x'.repeat(20_000),
    ),
  ),
);

const body = fc.oneof(
  { weight: 5, arbitrary: fc.constant('{right}') },
  fc.constantFrom(
    '',
    '{wrong}',
    '{right}x',
    '{cut}',
    '{"token":"t"}',
    '{"token":null,"access_token":"t","expires_in":"x"}',
    '{"token":["t"]}',
    '{"token":"a b\\r\\nX: y"}',
    '{"token":"","expires_in":-1}',
    `{"token":"${'t'.repeat(40_000)}"}`,
    '{"errors":[{"code":"DENIED","message":"\\u001b[2J\\u202e"}]}',
    '{"errors":[{"code":"__proto__"}]}',
    '{"errors":{}}',
    '{"tags":null}',
    '{"tags":[1]}',
    '{"tags":["a\\nb","<script>"],"name":{}}',
    '{"manifests":[{}]}',
    '{"manifests":7}',
    '['.repeat(10_000),
    '{"a":'.repeat(5_000),
    '<html>',
    '\u0000\u00ff\u0080',
    'null',
    '"',
    '{"__proto__":{"token":"t"}}',
  ),
  fc.string({ unit: 'binary-ascii', maxLength: 40 }),
);

export const answers: fc.Arbitrary<HostileAnswer> = fc.record({
  status,
  headers: fc.array(field, { maxLength: 4 }),
  body,
  framing: fc.constantFrom(
    'length',
    'length',
    'length',
    'chunked',
    'unended',
    'close',
    'too long',
    'too short',
  ),
  changes: fc.oneof({ weight: 3, arbitrary: fc.constant([]) }, changes),
  end: fc.constantFrom('keep', 'keep', 'close', 'reset'),
});

/** The answer's bytes, one a character. Without a Content-Type it has the one that is right. */
export function answerText(
  { status: line, headers, body: content, framing, changes: list }: HostileAnswer,
  fill: Readonly<Record<string, string>>,
): string {
  const filled = (text: string) => text.replace(/\{\w+\}/g, (key) => fill[key] ?? key);
  const text = filled(content);
  const lengths: Record<string, number> = { length: 0, 'too long': 7, 'too short': -3 };
  const more = lengths[framing];
  const head = [
    `HTTP/1.1 ${line}`,
    ...(headers.some(([name]) => name === 'Content-Type') ? [] : ['Content-Type: {type}']),
    ...headers.map(([name, value]) => `${name}: ${value}`),
    ...(more === undefined ? [] : [`Content-Length: ${Math.max(0, text.length + more)}`]),
    ...(framing === 'chunked' || framing === 'unended' ? ['Transfer-Encoding: chunked'] : []),
  ];
  const chunk = text === '' ? '' : `${text.length.toString(16)}\r\n${text}\r\n`;
  const sent = framing === 'chunked' ? `${chunk}0\r\n\r\n` : framing === 'unended' ? chunk : text;
  return changed(`${filled(head.join('\r\n'))}\r\n\r\n${sent}`, list);
}
