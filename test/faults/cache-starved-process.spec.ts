/** A process that cannot have what it needs for its cache goes on, and goes on serving. */
import { randomBytes } from 'node:crypto';
import { chownSync } from 'node:fs';
import { startGate } from '../support/gate';
import { basic, send } from '../support/http';
import { eventually, freshFolder } from '../support/lifecycle';
import { itUnless, noRoot } from '../support/means';
import { succeed } from '../support/processes';
import { heldManifest, INDEX, SCHEMA_2, ScriptedRegistry } from '../support/scripted-registry';
import { whileUnwritable } from '../support/unwritable-index';

/** Nobody's number. */
const NOBODY = '64123';
const AS_NOBODY = ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups'] as const;

itUnless(
  noRoot(),
  'no thread can be had (as root): pulls go on, and the fault is told once',
  async () => {
    const upstream = await ScriptedRegistry.start();
    const dataDir = freshFolder('threads');
    chownSync(dataDir, Number(NOBODY), Number(NOBODY));
    const gate = await startGate({ ...upstream.settings, DATA_DIR: dataDir }, AS_NOBODY);
    const headers = basic(gate.admin);
    const pull = (digest: string) => send(`${gate.url}/v2/team/app/blobs/${digest}`, { headers });
    const told = () => gate.logs().filter(({ msg }) => /cannot be written back/.test(msg ?? ''));
    const [program, ...options] = AS_NOBODY;
    const limit = ['prlimit', '--pid', String(gate.pid), '--nproc=1:1'];
    await succeed(program, [...options, ...limit]);
    const [first, second] = [1, 2].map(() => upstream.blob('team/app', randomBytes(1000)));

    const before = await pull(first!);
    await eventually('the thread is missed', () => !gate.running || told().length > 0, 20_000);
    const after = await pull(second!);
    const held = await pull(first!);

    expect([before.status, after.status, held.status]).toEqual([200, 200, 200]);
    expect(held.headers['cache-status']).toBe('tidegate; hit');
    expect([gate.running, told().length]).toEqual([true, 1]);
  },
);

it('F19: content can be noted in the index, and nobody’s right to it any more: the pull succeeds, the process goes on', async () => {
  const upstream = await ScriptedRegistry.start();
  const index = heldManifest('{"schemaVersion":2,"i":1}', INDEX);
  upstream.manifest('team/app', '1', index, heldManifest('{"schemaVersion":2,"m":2}', SCHEMA_2));
  const blob = upstream.blob('team/app', randomBytes(100_000));
  const gate = await startGate(upstream.settings);
  const ask = (path: string, accept = '*/*') =>
    send(`${gate.url}/v2/team/app/${path}`, { headers: { ...basic(gate.admin), accept } });

  const statuses = await whileUnwritable(
    gate.dataDir,
    async () => [
      (await ask('manifests/1', SCHEMA_2)).status,
      (await ask(`manifests/${index.digest}`)).status,
      (await ask('manifests/1')).status,
      (await ask(`blobs/${blob}`)).status,
      (await ask(`blobs/${blob}`)).status,
    ],
    ['link', 'tag'],
  );

  expect(statuses).toEqual([200, 200, 200, 200, 200]);
  expect(gate.running).toBe(true);
  await eventually('it is held', async () => {
    const { headers } = await ask(`blobs/${blob}`);
    return headers['cache-status'] === 'tidegate; hit';
  });
});
