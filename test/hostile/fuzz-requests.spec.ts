/**
 * A gate as it is shipped, and requests that chance makes of HTTP's grammar and the registries': whatever is written to
 * its socket, what comes back is HTTP or nothing, and the gate goes on.
 */
import fc from 'fast-check';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BUILT_IN_REGISTRIES } from '../../src/config/built-in-registries';
import { fuzzed } from '../support/fuzz';
import { startGate, type Gate } from '../support/gate';
import { basic, send, tokenFor } from '../support/http';
import { bytesOf, requests, type HostileRequest } from '../support/hostile-requests';
import { freshFolder } from '../support/lifecycle';
import { manifestOf, ScriptedRegistry } from '../support/scripted-registry';
import { exchange } from '../support/wire';

/** Milliseconds without a byte, after which the client says that it has sent everything. */
const QUIET = 150;

let gate: Gate;
let fill: Record<string, string>;
const seen = new Map<number, number>();

beforeAll(async () => {
  const registry = await ScriptedRegistry.start();
  const layer = Buffer.alloc(1000, 'layer');
  const blob = registry.blob('team/app', layer);
  const manifest = manifestOf([layer]);
  registry.manifest('team/app', '1', manifest);
  const { origin } = registry.server.url;
  // Nothing but this machine is ever asked.
  const off = BUILT_IN_REGISTRIES.map(({ name }) => ({ name, enabled: 'false' }));
  const file = join(freshFolder('fuzz'), 'tidegate.yaml');
  const second = { name: 'second.test:5000', url: origin, hosts: ['second.example'] };
  writeFileSync(file, JSON.stringify({ registries: [...off, second] }));
  gate = await startGate({
    UPSTREAM_REGISTRY: origin,
    CONFIG_FILE: file,
    RATE_LIMIT: '100000',
    RATE_BURST: '100000',
    TRUST_PROXY: '127.0.0.1',
    LOG_LEVEL: 'warn',
  });
  const user = await gate.addAccount();
  const { token } = await tokenFor(gate.url, user, 'repository:team/app:pull,push,delete');
  fill = {
    '{admin}': basic(gate.admin).authorization,
    '{user}': basic(user).authorization,
    '{token}': `Bearer ${token}`,
    '{blob}': blob,
    '{manifest}': manifest.digest,
  };
});

it('whatever is written to it, the gate answers in HTTP or ends the connection, and fails at nothing', async () => {
  const examples: [HostileRequest[]][] = [];
  await fc.assert(
    fc.asyncProperty(fc.array(requests, { minLength: 8, maxLength: 8 }), async (batch) => {
      const before = gate.logs().length;
      const answers = await Promise.all(
        batch.map(async (request) => {
          const bytes = bytesOf(request, fill);
          return { bytes, answer: await exchange(gate.port, bytes, { quiet: QUIET }) };
        }),
      );
      for (const { bytes, answer } of answers)
        if (answer && answer.status >= 500)
          expect([bytes, answer.status, answer.body]).toBe('no fault of its own');
      expect(
        gate
          .logs()
          .slice(before)
          .filter(({ level }) => level >= 50),
      ).toEqual([]);
      expect(gate.running).toBe(true);
      for (const { answer } of answers)
        seen.set(answer?.status ?? 0, (seen.get(answer?.status ?? 0) ?? 0) + 1);
    }),
    { ...fuzzed(40, examples), endOnFailure: true },
  );
  expect((await send(`${gate.url}/health/ready`)).status).toBe(200);
  // What is asked reaches every room, and not only the first refusal.
  expect([...seen.keys()]).toEqual(expect.arrayContaining([200, 400, 401, 404, 405]));
  if (process.env['FUZZ_RUNS']) process.stderr.write(`${JSON.stringify([...seen].sort())}\n`);
  expect(gate.stderr()).not.toMatch(/unhandled|uncaught|warning|assert/i);
});
