/** The config file of a real gate: registries come, change and go while it runs; a broken file changes nothing. */
import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runGate, startGate, type Gate } from '../support/gate';
import { basic, send } from '../support/http';
import { eventually, freshFolder } from '../support/lifecycle';
import { heldManifest, ScriptedRegistry } from '../support/scripted-registry';

let gate: Gate;
let first: ScriptedRegistry;
let second: ScriptedRegistry;
let file: string;

/** A registry with one image, whose manifest says its name. */
async function registryCalled(name: string): Promise<ScriptedRegistry> {
  const registry = await ScriptedRegistry.start();
  registry.manifest('org/app', '1', heldManifest(JSON.stringify({ schemaVersion: 2, name })));
  return registry;
}

const entry = (name: string, { server }: ScriptedRegistry, more = '') =>
  `  - name: ${name}\n    url: ${server.url.origin}\n${more}`;

/** Writes it beside, and puts it into place, as careful editors do. */
function configure(text: string): void {
  writeFileSync(`${file}.new`, `registries:\n${text}`);
  renameSync(`${file}.new`, file);
}

const pull = (path: string, headers: Record<string, string> = {}) =>
  send(`${gate.url}/v2/${path}/manifests/1`, { headers: { ...basic(gate.admin), ...headers } });

async function health() {
  const answer = await send(`${gate.url}/health`, { headers: basic(gate.admin) });
  return answer.json<{ status: string; checks: { config: { status: string; detail?: string } } }>();
}

beforeAll(async () => {
  [first, second] = await Promise.all([registryCalled('first'), registryCalled('second')]);
  const dataDir = freshFolder('run-time');
  file = join(dataDir, 'tidegate.yaml');
  configure(entry('first.example', first));
  gate = await startGate({ DATA_DIR: dataDir });
});

it('says at its start how many registries there are', () => {
  expect(gate.stderr()).toContain('In front of 10 registries, by default docker.io');
});

it('reaches a registry that was added while it ran, by path, ns and host, within two seconds', async () => {
  expect((await pull('second.example/org/app')).status).toBe(404);

  configure(
    entry('first.example', first) +
      entry('second.example', second, '    hosts: [images.example.org]\n'),
  );
  await eventually(
    'it is reached by path',
    async () => (await pull('second.example/org/app')).status === 200,
    2_000,
  );

  const ways = [
    await pull('second.example/org/app'),
    await send(`${gate.url}/v2/org/app/manifests/1?ns=second.example`, {
      headers: basic(gate.admin),
    }),
    await pull('org/app', { host: 'images.example.org' }),
  ];
  expect(ways.map(({ status, text }) => [status, JSON.parse(text)])).toEqual(
    ways.map(() => [200, { schemaVersion: 2, name: 'second' }]),
  );
  expect((await pull('first.example/org/app')).status).toBe(200);
});

it('keeps the last good registries while the file is broken or gone, and health says so', async () => {
  configure(`${entry('first.example', first)}  - name: second.example\n    urll: hunter2\n`);
  await eventually('health is degraded', async () => (await health()).status === 'degraded');

  const { detail } = (await health()).checks.config;
  expect(detail).toContain('tidegate.yaml:5: registries[1].urll is not known');
  expect((await send(`${gate.url}/health`)).json()).toEqual({ status: 'degraded' });
  expect((await pull('second.example/org/app')).status).toBe(200);
  expect(gate.logs().filter(({ level }) => level >= 50)).toEqual([
    expect.objectContaining({ fault: expect.stringContaining('tidegate.yaml:5: registries[1]') }),
  ]);

  rmSync(file);
  await eventually('the file is missed', async () =>
    (await health()).checks.config.detail?.includes('is not there'),
  );
  expect((await pull('second.example/org/app')).status).toBe(200);
  expect(gate.output()).not.toContain('hunter2');
});

it('is well again with a file that is right, and without what that leaves out', async () => {
  configure(entry('second.example', second));
  await eventually('health is ok', async () => (await health()).status === 'ok');

  expect((await pull('second.example/org/app')).status).toBe(200);
  expect((await pull('first.example/org/app')).status).toBe(404);
});

it('comes back after kill -9 in the middle of changes, with the file as it stands', async () => {
  configure(entry('first.example', first));
  await gate.restart({ signal: 'SIGKILL' });

  expect((await pull('first.example/org/app')).status).toBe(200);
  expect((await pull('second.example/org/app')).status).toBe(404);
});

it('does not start with a file that is broken, and leaves nothing behind', async () => {
  const folder = freshFolder('broken');
  const broken = join(folder, 'registries.yaml');
  writeFileSync(
    broken,
    'registries:\n  - name: x.example\n    url: ftp://robot:hunter2@x\n  - {}\n',
  );
  const dataDir = join(folder, 'data');

  const { code, stdout, stderr } = await runGate({ DATA_DIR: dataDir, CONFIG_FILE: broken });

  expect([code, stdout]).toEqual([1, '']);
  expect(stderr).toContain('registries.yaml:3: registries[0].url="***@x" is not a URL');
  expect(stderr).toContain('registries.yaml:4: registries[1].name is missing');
  expect(stderr).not.toContain('hunter2');
  expect(() => rmSync(dataDir)).toThrow('ENOENT');
});
