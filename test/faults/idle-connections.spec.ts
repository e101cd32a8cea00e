/** Connections that want nothing cost those who want something nothing, however many there are. */
import { readFileSync } from 'node:fs';
import { BlobUpstream } from '../support/blob-upstream';
import { descriptors } from '../support/cache-folder';
import { figure, LONG, quantile } from '../support/figures';
import { startGate, type Gate } from '../support/gate';
import { basic, send } from '../support/http';
import { IdleClients } from '../support/idle-clients';
import { MIB } from '../support/images';
import { eventually } from '../support/lifecycle';
import { describeUnless } from '../support/means';
import { Patterned } from '../support/patterned';

const IDLE = LONG ? 10_000 : 1_000;
const REQUESTS = LONG ? 500 : 20;
/** A third of the gate's descriptors is not for connections. */
const NEEDED = (IDLE + 1) * 1.5;

/** Why so many connections cannot be had; Node has raised its own limit as far as that goes. */
function tooFewDescriptors(): string | undefined {
  const limits = readFileSync('/proc/self/limits', 'latin1');
  const allowed = Number(/^Max open files\s+\S+\s+(\d+)/m.exec(limits)?.[1] ?? Infinity);
  return allowed < NEEDED ? `needs ulimit -Hn ${NEEDED}, not ${allowed}` : undefined;
}

/** Requests one after the other, each on a connection of its own: how many milliseconds those took that got 200. */
async function timesOf(gate: Gate, path: string): Promise<number[]> {
  const times: number[] = [];
  for (let n = 0; n < REQUESTS; n += 1) {
    const began = performance.now();
    const answer = await send(`${gate.url}${path}`, { headers: basic(gate.admin) }).catch(() => {});
    if (answer?.status === 200) times.push(performance.now() - began);
  }
  return times;
}

describeUnless(tooFewDescriptors(), `F20: ${IDLE} idle connections`, () => {
  it('are held, a new request is answered like any other, and nothing is left of them', async () => {
    const content = new Patterned(1000, 'idle');
    const upstream = await BlobUpstream.start(content);
    const gate = await startGate({ ...upstream.settings, RATE_BURST: '100000' });
    const path = `/v2/team/app/blobs/${content.digest}`;
    await eventually('it is held', async () => {
      const { headers } = await send(`${gate.url}${path}`, { headers: basic(gate.admin) });
      return headers['cache-status'] === 'tidegate; hit';
    });
    const before = { descriptors: descriptors(gate).all, memory: gate.memory().now };

    const idle = await IdleClients.open(gate, IDLE);
    const open = idle.open;
    const times = await timesOf(gate, path);
    const still = idle.open;
    const moreMiB = Math.round((gate.memory().now - before.memory) / MIB);
    await idle.leave();

    const [p50, p99] = [quantile(times, 0.5), quantile(times, 0.99)];
    figure('F20', `requests beside ${open} idle connections`, {
      tried: REQUESTS,
      survived: times.length,
      lost: REQUESTS - times.length,
      stillIdle: still,
      p50Ms: p50.toFixed(1),
      p99Ms: p99.toFixed(1),
      moreMiB,
    });
    expect([open, times.length, still]).toEqual([IDLE, REQUESTS, IDLE]);
    if (LONG) expect(p99).toBeLessThan(100);
    await eventually('they are gone', () => descriptors(gate).all <= before.descriptors + 5);
  }, 180_000);
});

describe('F20: more idle connections than the gate may open files', () => {
  const DESCRIPTORS = 600;

  it('give way to those who ask: pulls and changes of accounts go on, and the log says once what to do', async () => {
    const content = new Patterned(3 * MIB, 'idle-many');
    const upstream = await BlobUpstream.start(content);
    const few = ['prlimit', `--nofile=${DESCRIPTORS}:${DESCRIPTORS}`];
    const gate = await startGate(upstream.settings, few);

    const idle = await IdleClients.open(gate, DESCRIPTORS * 2);
    const headers = basic(gate.admin);
    const pulled = await send(`${gate.url}/v2/team/app/blobs/${content.digest}`, { headers });
    const account = await gate.addAccount();
    const login = await send(`${gate.url}/v2/`, { headers: basic(account) });
    const busy = gate.processorTime();
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    const spun = gate.processorTime() - busy;

    expect([pulled.status, pulled.body.equals(content.bytes())]).toEqual([200, true]);
    expect(login.status).toBe(200);
    expect(idle.open).toBeGreaterThan(DESCRIPTORS / 2);
    expect(descriptors(gate).all).toBeLessThan(DESCRIPTORS * 0.8);
    expect(spun).toBeLessThan(0.5);
    const warned = gate.logs().filter(({ level }) => level >= 40);
    expect(warned.map(({ msg }) => msg)).toEqual([expect.stringMatching(/idle.*limit of open/)]);
    await idle.leave();
  });
});
