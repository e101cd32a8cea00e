/** Requests whose end the gate and an upstream might see in different places: none of them goes on. */
import type { Gate } from '../support/gate';
import { answer, FaultServer } from '../support/fault-server';
import { startGate } from '../support/gate';
import { basic, raw, type Account } from '../support/http';
import { openUpload, visit } from '../support/stand';

const MANIFEST_TYPE = 'Content-Type: application/vnd.oci.image.manifest.v1+json';

const FRAMINGS: [name: string, headers: string[], body: string][] = [
  [
    'both lengths',
    ['Content-Length: 5', 'Transfer-Encoding: chunked'],
    '0\r\n\r\nGET /v2/smuggled',
  ],
  ['two lengths', ['Content-Length: 5', 'Content-Length: 6'], 'hello!'],
  ['a list of lengths', ['Content-Length: 5, 6'], 'hello!'],
  ['a length with a sign', ['Content-Length: +5'], 'hello'],
  ['an obsolete coding', ['Transfer-Encoding: identity'], 'hello'],
  ['two codings', ['Transfer-Encoding: gzip, chunked'], '0\r\n\r\n'],
  ['chunked that is not last', ['Transfer-Encoding: chunked, identity'], '0\r\n\r\n'],
  ['a coding with a trick', ['Transfer-Encoding: xchunked'], '0\r\n\r\n'],
  [
    'two coding headers',
    ['Transfer-Encoding: chunked', 'Transfer-Encoding: identity'],
    '0\r\n\r\n',
  ],
  ['a space before the colon', ['Transfer-Encoding : chunked'], '0\r\n\r\n'],
  ['a bad chunk', ['Transfer-Encoding: chunked'], 'zz\r\nhello\r\n0\r\n\r\n'],
];

describe('S22: a request with', () => {
  let gate: Gate;
  let upstream: FaultServer;
  let account: Account;
  let upload: string;

  beforeAll(async () => {
    upstream = await FaultServer.start();
    gate = await startGate({ UPSTREAM_REGISTRY: upstream.url.origin });
    account = await gate.addAccount();
    upstream.handler = answer(202, '', { location: '/up/1', 'docker-upload-uuid': 'u1' });
    const who = await visit(gate, account, 'team/app', 'pull,push');
    upload = await openUpload(who, 'team/app');
    upstream.requests.length = 0;
  });

  it.each(FRAMINGS)(
    '%s is 400, the connection ends, and the upstream sees nothing',
    async (_, framing, body) => {
      const targets = [
        'PUT /v2/team/app/manifests/smuggled',
        `PATCH ${upload}`,
        'GET /v2/team/app/manifests/1',
        'POST /v2/auth',
        'POST /admin/users',
        'GET /health',
      ];
      // Before a bad chunk is read, its request is a good one: only where the body is read first does nothing go on.
      for (const target of framing.includes('Transfer-Encoding: chunked') && body.startsWith('zz')
        ? targets.slice(0, 1)
        : targets) {
        const lines = [
          `${target} HTTP/1.1`,
          `Host: ${gate.host}`,
          `Authorization: ${basic(account).authorization}`,
          MANIFEST_TYPE,
          ...framing,
        ];
        const smuggled = `GET /v2/team/app/manifests/smuggled HTTP/1.1\r\nHost: ${gate.host}\r\n\r\n`;
        const bytes = `${lines.join('\r\n')}\r\n\r\n${body}`;
        const { text, closed } = await raw(gate.port, bytes, 10_000);
        // With a next request behind it, the connection may end before any answer; there is never a second one.
        const followed = await raw(gate.port, `${bytes}${smuggled}`, 10_000);

        expect([target, text.slice(0, 13)]).toEqual([target, 'HTTP/1.1 400 ']);
        expect(text.match(/HTTP\/1\.1 /g)).toHaveLength(1);
        expect(followed.text).toMatch(/^(?:HTTP\/1\.1 400 (?:(?!HTTP\/1\.1 ).)*)?$/s);
        expect([closed, followed.closed]).toEqual([true, true]);
      }
      expect(upstream.requests).toEqual([]);
    },
  );
});
