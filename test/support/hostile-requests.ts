/** Requests as nobody's client writes them: the grammar of HTTP and of registries, and what mutation makes of it. */
import fc from 'fast-check';

/** What a change does to a text, at a place that is a share of its length. */
export interface Change {
  readonly at: number;
  readonly kind: 'insert' | 'replace' | 'remove' | 'twice' | 'cut';
  readonly text: string;
}

const ODD = [
  '\0',
  '\r',
  '\n',
  '\r\n',
  '\t',
  ' ',
  '\x7f',
  '\x80',
  '\xff',
  '%',
  '%00',
  '%2f',
  '..',
  '//',
  '\\',
  ':',
  ';',
  ',',
  '?',
  '#',
  '"',
  '=',
  '{',
  '[',
  '<',
  '*',
  'a',
  '0',
  '-1',
  '\x1b[2J',
];

export const changes: fc.Arbitrary<Change[]> = fc.array(
  fc.record({
    at: fc.double({ min: 0, max: 1, noNaN: true }),
    kind: fc.constantFrom('insert', 'replace', 'remove', 'twice', 'cut'),
    text: fc.oneof(fc.constantFrom(...ODD), fc.string({ unit: 'binary-ascii', maxLength: 6 })),
  }),
  { maxLength: 3 },
);

/** The text with these changes, one after the other; one character a byte. */
export function changed(text: string, list: readonly Change[]): string {
  return list.reduce((before, { at, kind, text: piece }) => {
    const place = Math.floor(at * before.length);
    const [head, tail] = [before.slice(0, place), before.slice(place)];
    switch (kind) {
      case 'insert':
        return head + piece + tail;
      case 'replace':
        return head + piece + tail.slice(piece.length);
      case 'remove':
        return head + tail.slice(1 + piece.length);
      case 'twice':
        return head + tail.slice(0, 20) + tail;
      case 'cut':
        return head;
      default:
        return kind satisfies never;
    }
  }, text);
}

const DIGEST = `sha256:${'a'.repeat(64)}`;
const NAMES = [
  'team/app',
  'second.test:5000/team/app',
  'a',
  '..',
  'Team',
  'a'.repeat(300),
  '%61',
  'no.such/team',
  'a//b',
  '-',
];
const REFERENCES = [
  '1',
  DIGEST,
  'sha256:',
  `sha512:${'0'.repeat(128)}`,
  '.x',
  'v'.repeat(129),
  '{manifest}',
  '{blob}',
];

const name = fc.constantFrom(...NAMES);
const reference = fc.constantFrom(...REFERENCES);
const query = fc.oneof(
  { weight: 3, arbitrary: fc.constant('') },
  fc
    .array(
      fc.tuple(
        fc.constantFrom(
          'n',
          'last',
          'ns',
          'scope',
          'service',
          'digest',
          'mount',
          'from',
          '_state',
          'q',
          'page',
          'offline_token',
          'account',
          'artifactType',
          'x',
        ),
        fc.oneof(
          fc.constantFrom(
            '',
            '1',
            '-1',
            '1e9',
            'true',
            DIGEST,
            'team/app',
            'second.test:5000',
            'repository:team/app:pull,push',
            'registry:catalog:*',
            '%',
            '%00',
            '%f0%9f',
            '+',
            'a'.repeat(600),
            '{blob}',
          ),
          fc.string({ maxLength: 8 }),
        ),
      ),
      { maxLength: 4 },
    )
    .map((pairs) => `?${pairs.map((pair) => pair.join('=')).join('&')}`),
);

const path = fc.oneof(
  fc.tuple(name, reference).map(([where, what]) => `/v2/${where}/manifests/${what}`),
  fc.tuple(name, reference).map(([where, what]) => `/v2/${where}/blobs/${what}`),
  fc
    .tuple(
      name,
      fc.constantFrom(
        'tags/list',
        `referrers/${DIGEST}`,
        'blobs/uploads/',
        'blobs/uploads/1',
        'blobs/uploads',
        '_catalog',
      ),
    )
    .map((parts) => `/v2/${parts.join('/')}`),
  fc.constantFrom(
    '/',
    '/v2/',
    '/v2',
    '/v2/_catalog',
    '/v2/auth',
    '/token',
    '/health',
    '/health/ready',
    '/v1/search',
    '/v1/_ping',
    '/help/clients',
    '*',
    'http://localhost/v2/',
    '//',
    '/%',
    `/${'a/'.repeat(700)}`,
  ),
  fc
    .array(
      fc.constantFrom(
        'admin',
        'users',
        'user',
        'cache',
        'jobs',
        'repositories',
        'verify',
        'api',
        'team',
        'app',
        DIGEST,
        '..',
        '%',
        '%00',
        '%e2%80%ae',
        'second.test:5000',
        '',
      ),
      { maxLength: 4 },
    )
    .map((parts) => `/admin/${parts.join('/')}`),
);

const value = fc.oneof(
  fc.constantFrom(
    '',
    '0',
    '1',
    '-1',
    '18446744073709551616',
    'chunked',
    'gzip, chunked',
    'identity',
    'close',
    'upgrade',
    'keep-alive',
    '100-continue',
    'bytes=0-',
    'bytes=0-0,2-3',
    'bytes=-1',
    'bytes=5-2',
    `bytes=${'9'.repeat(30)}-`,
    '*',
    '*/*',
    '*/*;q=x',
    `"${DIGEST}"`,
    'W/"x"',
    'Basic',
    'Basic !!!',
    'Basic Og==',
    'Bearer',
    'Bearer x.y.z',
    'Bearer eyJhbGciOiJub25lIn0.e30.',
    'Negotiate x',
    'localhost',
    'second.example',
    'evil.example',
    'a b',
    '[::1]:80',
    'localhost:99999',
    'h2c',
    'application/json',
    'application/x-www-form-urlencoded',
    'application/vnd.oci.image.manifest.v1+json',
    'text/html',
    ',',
    ',,,',
    '127.0.0.1',
    '::ffff:127.0.0.1',
    'for="_x"',
    'https',
    'x'.repeat(9000),
  ),
  fc.string({ unit: 'binary-ascii', maxLength: 20 }),
);
const header = fc.tuple(
  fc.constantFrom(
    'Host',
    'Content-Length',
    'Transfer-Encoding',
    'Connection',
    'Expect',
    'Range',
    'If-Range',
    'If-None-Match',
    'Accept',
    'Authorization',
    'Content-Type',
    'Content-Range',
    'Upgrade',
    'X-Forwarded-For',
    'X-Forwarded-Host',
    'X-Forwarded-Proto',
    'Forwarded',
    'Via',
    'Cookie',
    'Origin',
    'Sec-Fetch-Site',
    'Trailer',
    'TE',
    'X',
    'X Y',
    '',
  ),
  value,
);

const body = fc.oneof(
  { weight: 3, arbitrary: fc.constant('') },
  fc.constantFrom(
    'grant_type=password&username=user&password=x',
    'grant_type=refresh_token&refresh_token=x&scope=repository:team/app:pull',
    'grant_type=password&grant_type=password',
    '{"username":"a b","password":"x"}',
    '{"image":"team/app:1"}',
    '{"__proto__":{"role":"admin"}}',
    '[[[[',
    '"',
    '0',
    'null',
    '0\r\n\r\n',
    '5\r\nhello\r\n0\r\n\r\n',
    'ffffffffffffffffff\r\n',
    '5;x="\r\nhello\r\n0\r\nX: y\r\n\r\n',
  ),
  fc.string({ unit: 'binary-ascii', maxLength: 40 }),
);

/**
 * One request: what a client might write, and what becomes of it on the way. `{admin}` and the like are filled in when
 * it is sent.
 */
export interface HostileRequest {
  readonly method: string;
  readonly target: string;
  readonly version: string;
  readonly as: '{admin}' | '{user}' | '{token}' | '';
  readonly headers: readonly (readonly [string, string])[];
  readonly framing: 'length' | 'chunked' | 'none';
  readonly body: string;
  readonly changes: readonly Change[];
}

export const requests: fc.Arbitrary<HostileRequest> = fc.record({
  method: fc.oneof(
    { weight: 6, arbitrary: fc.constantFrom('GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE') },
    fc.constantFrom('OPTIONS', 'TRACE', 'CONNECT', 'PRI', 'get', 'PROPFIND', 'M-SEARCH', ''),
  ),
  target: fc.tuple(path, query).map((parts) => parts.join('')),
  version: fc.oneof(
    { weight: 12, arbitrary: fc.constant('HTTP/1.1') },
    fc.constantFrom('HTTP/1.0', 'HTTP/2.0', 'HTTP/0.9', 'HTTP/1.1 ', 'HTP/1.1', ''),
  ),
  as: fc.constantFrom('{admin}', '{user}', '{token}', ''),
  headers: fc.oneof(
    { weight: 4, arbitrary: fc.constant([]) },
    { weight: 3, arbitrary: fc.array(header, { minLength: 1, maxLength: 1 }) },
    fc.array(header, { maxLength: 4 }),
  ),
  framing: fc.constantFrom('length', 'length', 'length', 'length', 'chunked', 'none'),
  body,
  changes: fc.oneof({ weight: 4, arbitrary: fc.constant([]) }, changes),
});

/** The request's bytes, one a character. */
export function bytesOf(
  { method, target, version, as, headers, framing, body: text, changes: list }: HostileRequest,
  fill: Readonly<Record<string, string>>,
): string {
  const lines = [
    `${method} ${target} ${version}`,
    ...(headers.some(([field]) => field === 'Host') ? [] : ['Host: localhost']),
    ...(as === '' ? [] : [`Authorization: ${as}`]),
    ...headers.map(([field, said]) => `${field}: ${said}`),
    ...(framing === 'length' ? [`Content-Length: ${text.length}`] : []),
    ...(framing === 'chunked' ? ['Transfer-Encoding: chunked'] : []),
  ];
  const content =
    framing === 'chunked' && text !== ''
      ? `${text.length.toString(16)}\r\n${text}\r\n0\r\n\r\n`
      : framing === 'chunked'
        ? '0\r\n\r\n'
        : text;
  const filled = `${lines.join('\r\n')}\r\n\r\n${content}`.replace(
    /\{\w+\}/g,
    (key) => fill[key] ?? key,
  );
  return changed(filled, list);
}
