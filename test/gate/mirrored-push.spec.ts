/** A mirror that may say where tags lead does not know yet what was pushed through the gate. */
import { startGate, type Gate } from '../support/gate';
import { basic, send, type Answer } from '../support/http';
import { heldManifest, IMAGE, ROBOT, ScriptedRegistry } from '../support/scripted-registry';
import { configFile } from '../support/several-registries';

const NAME = 'reg.example';
const PATH = `/v2/${NAME}/team/app/manifests`;
const manifestCalled = (name: string) =>
  heldManifest(JSON.stringify({ schemaVersion: 2, mediaType: IMAGE, name }));
const [old, fresh] = [manifestCalled('old'), manifestCalled('new')] as const;

let gate: Gate;
let origin: ScriptedRegistry;
let mirror: ScriptedRegistry;

function ask(method: 'GET' | 'HEAD' | 'PUT' | 'DELETE', reference: string): Promise<Answer> {
  const headers = { ...basic(gate.admin), accept: IMAGE };
  return send(`${gate.url}${PATH}/${reference}`, {
    method,
    headers: method === 'PUT' ? { ...headers, 'content-type': IMAGE } : headers,
    body: method === 'PUT' ? fresh.bytes : undefined,
  });
}

beforeEach(async () => {
  [origin, mirror] = await Promise.all([ScriptedRegistry.start(), ScriptedRegistry.start()]);
  for (const registry of [origin, mirror]) registry.manifest('team/app', '1', old);
  const mirrors = [{ url: mirror.server.url.origin, tags: true }];
  const { origin: url } = origin.server.url;
  gate = await startGate(
    configFile({ name: NAME, url, credentials: [ROBOT], mirrors, tag_ttl: '0s' }),
  );
});

it('is not asked where a tag leads that was pushed, not even when the tag is asked again', async () => {
  expect((await ask('GET', '1')).text).toBe(old.bytes.toString());
  expect((await ask('PUT', '1')).status).toBe(201);

  for (const round of [1, 2]) {
    expect([round, (await ask('GET', '1')).text]).toEqual([round, fresh.bytes.toString()]);
    const { headers } = await ask('HEAD', '1');
    expect(headers['docker-content-digest']).toBe(fresh.digest);
  }
});

it('hands out no manifest that was deleted, by its digest or by a tag that led to it', async () => {
  expect((await ask('GET', old.digest)).status).toBe(200);
  expect((await ask('DELETE', old.digest)).status).toBe(202);

  for (const method of ['GET', 'HEAD'] as const)
    for (const reference of [old.digest, '1'])
      expect([method, reference, (await ask(method, reference)).status]).toEqual([
        method,
        reference,
        404,
      ]);
});

it('is not asked where a tag leads that was deleted', async () => {
  expect((await ask('GET', '1')).text).toBe(old.bytes.toString());
  expect((await ask('DELETE', '1')).status).toBe(202);

  expect((await ask('GET', '1')).status).toBe(404);
  expect((await ask('HEAD', '1')).status).toBe(404);
});
