import { randomBytes } from 'node:crypto';
import { startGate, type Gate } from '../support/gate';
import { basic, raw, type Account } from '../support/http';
import type { Registry } from '../support/registry';
import { openUpload, startStand, visit } from '../support/stand';
import { describeWith } from '../support/tools';

const LENGTH = 8 * 1024 * 1024;

describeWith(['docker-registry'], 'a push that is refused', () => {
  let gate: Gate;
  let registry: Registry;
  let reader: Account;

  beforeAll(async () => {
    ({ gate, registry } = await startStand());
    reader = await gate.addAccount([{ repository: '**', actions: ['pull'] }]);
  });

  function head(method: string, path: string, headers: Record<string, string>): string {
    const all = { Host: gate.host, 'Content-Length': String(LENGTH), ...headers };
    const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}`);
    return `${[`${method} ${path} HTTP/1.1`, ...lines].join('\r\n')}\r\n\r\n`;
  }

  const expecting = { Expect: '100-continue' };
  const manifest = '/v2/team/app/manifests/1';
  const blob = `/v2/team/app/blobs/uploads/?digest=sha256:${'a'.repeat(64)}`;

  it.each([
    ['a stranger', () => ({}), 401],
    ['a wrong password', () => basic({ ...reader, password: 'wrong' }), 401],
    ['one who may only pull', () => basic(reader), 403],
  ])('%s who waits for 100 Continue is not asked for the body', async (_, login, status) => {
    for (const [method, path] of [
      ['PUT', manifest],
      ['POST', blob],
    ] as const) {
      const answer = await raw(gate.port, head(method, path, { ...login(), ...expecting }));

      expect(answer.text).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
      expect(answer.text).not.toContain('100 Continue');
    }
  });

  it('one who begins to send without waiting still sees the refusal', async () => {
    for (const [method, path] of [
      ['PUT', manifest],
      ['POST', blob],
    ] as const) {
      // As much as the gate reads away: of more, the end of the connection may overtake the answer.
      const body = Buffer.concat([
        Buffer.from(head(method, path, basic(reader))),
        randomBytes(512 * 1024),
      ]);
      const answer = await raw(gate.port, body, 5_000);

      expect(answer.text).toMatch(/^HTTP\/1.1 403 /);
      expect(answer.text).toContain('DENIED');
      expect(answer.closed).toBe(true);
    }
  });

  it('reaches the upstream in no part', async () => {
    const before = (await registry.requests()).length;

    await raw(gate.port, head('PUT', manifest, { ...basic(reader), ...expecting }));
    await raw(gate.port, head('POST', blob, { ...basic(reader), ...expecting }));

    expect((await registry.requests()).slice(before)).toEqual([]);
  });

  it('is refused before 100 Continue as well when it is too large, nowhere, or more than fits', async () => {
    const few = await startGate({ UPSTREAM_REGISTRY: registry.url, MAX_UPLOADS: '1' });
    const who = await visit(few, await few.addAccount(), 'team/app', 'pull,push');
    const upload = await openUpload(who, 'team/app');
    const headers = { ...expecting, Authorization: `Bearer ${who.token}` };
    const type = { 'Content-Type': 'application/vnd.oci.image.manifest.v1+json' };
    const forged = upload.replace(/_state=.{8}/, '_state=AAAAAAAA');
    const before = (await registry.requests()).length;

    for (const [method, path, status, more] of [
      ['PUT', manifest, 413, type],
      ['PATCH', forged, 404, {}],
      ['POST', blob, 429, {}],
      ['PUT', '/v2/team/app/nowhere', 404, {}],
      ['PUT', manifest, 400, { ...type, Expect: '200-ok' }],
    ] as const) {
      const text = head(method, path, { Host: few.host, ...headers, ...more });
      const answer = await raw(few.port, text);

      expect([method, path, answer.text.slice(9, 12)]).toEqual([method, path, String(status)]);
      expect(answer.text).not.toContain('100 Continue');
    }
    expect((await registry.requests()).slice(before)).toEqual([]);
  });

  it('is told from one that is welcome, which is asked for its body', async () => {
    const account = await gate.addAccount();
    const who = await visit(gate, account, 'team/app', 'pull,push');
    const upload = await openUpload(who, 'team/app');
    const headers = { ...expecting, Authorization: `Bearer ${who.token}` };

    const answer = await raw(gate.port, head('PATCH', upload, headers), 500);

    expect(answer.text).toMatch(/^HTTP\/1.1 100 Continue/);
  });
});
