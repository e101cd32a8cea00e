/** A registry whose address the config file changes under one name: what belongs to the old address stays there. */
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { answer, challenge, FaultServer } from '../support/fault-server';
import { startGate, type Gate } from '../support/gate';
import { basic, send, unique, type Account } from '../support/http';
import { atTheEnd, eventually, freshFolder } from '../support/lifecycle';

const NAME = 'reg.example';

let gate: Gate;
let before: FaultServer;
let after: FaultServer;
let file: string;

const accountCalled = (username: string): Account => ({ username, password: unique('secret-') });
const [old, fresh] = [accountCalled('old'), accountCalled('fresh')] as const;

/** Takes uploads from one account alone. */
async function registryOf(account: Account): Promise<FaultServer> {
  const { authorization } = basic(account);
  const server = await FaultServer.start({
    own: [authorization],
    handler: (request, response, seen) => {
      const { method, url, headers } = seen;
      const behaviour =
        headers.authorization !== authorization
          ? challenge('Basic realm="registry"')
          : method === 'GET' && !url.includes('/uploads/')
            ? answer(200, '{"name":"team/app","tags":["1"]}')
            : answer(202, '', { location: '/v2/team/app/blobs/uploads/1', range: '0-3' });
      return behaviour(request, response, seen);
    },
  });
  atTheEnd(() => server.close());
  return server;
}

/** Writes it beside, and puts it into place, as careful editors do. */
function configure(server: FaultServer, account: Account): void {
  const entry = { name: NAME, url: server.url.origin, credentials: [account] };
  writeFileSync(`${file}.new`, `${JSON.stringify({ registries: [entry] })}\n`); // JSON is YAML
  renameSync(`${file}.new`, file);
}

const ask = (path: string, method: string, body?: string) =>
  send(`${gate.url}${path}`, { method, body, headers: basic(gate.admin) });

beforeEach(async () => {
  [before, after] = await Promise.all([registryOf(old), registryOf(fresh)]);
  file = join(freshFolder('moved'), 'tidegate.yaml');
  configure(before, old);
  gate = await startGate({ CONFIG_FILE: file });
});

it.each(['PATCH', 'PUT', 'GET', 'DELETE'])(
  'takes no %s of an upload that was begun at the old address, and tells neither registry of it',
  async (method) => {
    const begun = await ask(`/v2/${NAME}/team/app/blobs/uploads/`, 'POST', '');
    expect(begun.status).toBe(202);
    const location = String(begun.headers.location);
    configure(after, fresh);
    await eventually('the new address is asked', async () => {
      await ask(`/v2/${NAME}/team/app/tags/list`, 'GET');
      return after.requests.length > 0;
    });
    const told = [before.requests.length, after.requests.length];

    const digest = method === 'PUT' ? `&digest=sha256:${'0'.repeat(64)}` : '';
    const body = method.startsWith('P') ? 'data' : undefined;
    const gone = await ask(`${location}${digest}`, method, body);

    expect([gone.status, gone.text]).toEqual([404, expect.stringContaining('BLOB_UPLOAD_UNKNOWN')]);
    expect([before.requests.length, after.requests.length]).toEqual(told);
  },
);
