/** A gate as it is shipped, between clients and a real registry that is behind faults. */
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from '../support/free-port';
import { EVERYTHING, startGate, type Gate } from '../support/gate';
import { basic, unique } from '../support/http';
import { freshFolder } from '../support/lifecycle';
import { startRegistry, type Registry } from '../support/registry';
import { Clients } from './clients';
import { FaultProxy } from './fault-proxy';
import { Ledger, TEAMS, type KnownImage } from './ledger';
import type { Login } from './orders';
import { HEADER_TIMEOUT } from './plan';
import type { Random } from './random';

/** How much there is of everything. */
export interface Size {
  readonly popular: number;
  readonly rare: number;
  /** Of a layer; each image has two or three of half to twice that. */
  readonly layer: number;
  /** What the gate may hold: less than there is, so that it evicts all the time. */
  readonly cache: number;
}

export interface Stand {
  readonly gate: Gate;
  readonly registry: Registry;
  readonly proxy: FaultProxy;
  readonly clients: Clients;
  readonly ledger: Ledger;
  readonly random: Random;
  readonly size: Size;
  /** May do everything. */
  readonly robot: Login;
  readonly logFile: string;
}

/** So high that none counts: refusals are not what is looked for here. */
const NO_LIMITS = {
  RATE_LIMIT: '100000/s',
  RATE_BURST: '100000',
  MAX_CONNECTIONS: '10000',
  MAX_UPLOADS: '100000',
};

export async function openStand(size: Size, random: Random): Promise<Stand> {
  const registry = await startRegistry({ auth: 'htpasswd' });
  const upstream = registry.credentials ?? { username: '', password: '' };
  const proxy = await FaultProxy.start(registry.port, basic(upstream).authorization);
  const logFile = join(freshFolder('soak'), 'gate.log');
  closeSync(openSync(logFile, 'a'));
  const gate = await startGate(
    {
      ...registry.settings,
      ...NO_LIMITS,
      UPSTREAM_REGISTRY: proxy.url,
      UPSTREAM_HEADER_TIMEOUT: `${HEADER_TIMEOUT}s`,
      UPSTREAM_IDLE_TIMEOUT: `${HEADER_TIMEOUT}s`,
      PORT: String(await freePort()),
      CACHE_MAX_SIZE: String(size.cache),
      CACHE_MIN_FREE: '1MiB',
      CACHE_MEMORY: '4MiB',
      CACHE_TAG_TTL: '5s',
      TOKEN_TTL: '60s',
      DRAIN_TIMEOUT: '20s',
    },
    // The log of an hour is too much for the memory of this process.
    ['sh', '-c', `exec "$@" >>'${logFile}'`, 'sh'],
  );
  const ledger = new Ledger();
  const robot = await gate.addAccount(EVERYTHING);
  for (const secret of [robot.password, gate.admin.password, upstream.password])
    ledger.secrets.add(secret);
  return {
    gate,
    registry,
    proxy,
    clients: new Clients(),
    ledger,
    random,
    size,
    robot: { ...robot, byToken: true },
    logFile,
  };
}

/** Fills the registry, past the gate. */
export async function fill(stand: Stand): Promise<void> {
  const { ledger, size } = stand;
  for (let n = 0; n < size.popular; n += 1)
    ledger.popular.push(await seeded(stand, `popular/app-${n}`));
  for (let n = 0; n < size.rare; n += 1) ledger.rare.push(await seeded(stand, `rare/app-${n}`));
  for (const team of TEAMS) ledger.ofTeam.set(team, await seeded(stand, `${team}/base`));
}

async function seeded(stand: Stand, repository: string): Promise<KnownImage> {
  const { clients, registry } = stand;
  const as = registry.credentials ?? { username: '', password: '' };
  const base = registry.url;
  const tag = 'latest';
  const order = { do: 'push', base, as, repository, tag, ...ingredients(stand) } as const;
  const { digest, at } = await clients.perform(order);
  if (digest === undefined) throw new Error(`${repository} cannot be made: ${at}`);
  return { repository, tag, digest };
}

/** What an image is made of. */
export function ingredients({ random, size }: Stand): { seed: string; sizes: number[] } {
  const sizes = Array.from({ length: 2 + random.below(2) }, () =>
    Math.round(size.layer * (0.5 + 1.5 * random.fraction())),
  );
  return { seed: unique('image-'), sizes };
}
