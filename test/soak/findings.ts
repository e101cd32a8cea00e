/** What has to be true of a soak: each a sentence, whether it is so, and the figures that show it. */
import { createHash } from 'node:crypto';
import { createReadStream, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { DatabaseSync } from 'node:sqlite';
import { CacheFolder, descriptors } from '../support/cache-folder';
import { MIB } from '../support/images';
import { eventually } from '../support/lifecycle';
import { loginOf, pulled, rightsOf, type Done } from './deeds';
import type { Stand } from './stand';
import type { Entry } from './traffic';
import { growthOf, lives, type Sample } from './watch';

export interface Finding {
  readonly what: string;
  readonly holds: boolean;
  readonly figures: string;
}

/** Some of what went wrong, to be read. */
function some(list: readonly string[]): string {
  return list.length > 5
    ? `${list.slice(0, 5).join('; ')}; and ${list.length - 5} more`
    : list.join('; ');
}

function none(what: string, bad: readonly string[], otherwise: string): Finding {
  return { what, holds: bad.length === 0, figures: bad.length === 0 ? otherwise : some(bad) };
}

export function ofTraffic(entries: readonly Entry[]): Finding[] {
  const withVerdict = (verdict: Entry['verdict']) =>
    entries
      .filter((entry) => entry.verdict === verdict)
      .map(({ kind, begun, why = '' }) => `${kind} at ${Math.round(begun / 1_000)} s: ${why}`);
  return [
    none('No answer that was complete had wrong bytes', withVerdict('wrong'), 'every byte hashed'),
    none('Nothing that was acknowledged was missing later', withVerdict('lost'), 'none'),
    none('No failure without a fault or a restart', withVerdict('unexpected'), 'none'),
  ];
}

/** Every push, account and right, once more, when all is quiet. */
export async function ofLedger(stand: Stand): Promise<Finding[]> {
  const { pushed, accounts } = stand.ledger;
  const sure = accounts.filter(({ inDoubt }) => !inDoubt);
  const images = await all(pushed, (image) => pulled(stand, image));
  const logins = await all(sure, (account) => loginOf(stand, account));
  const there = sure.filter((account) => account.there);
  const rights = await all(there, (account) => rightsOf(stand, account));
  return [
    none(
      'Every push that was answered 201 is there, byte for byte',
      images,
      `${pushed.length} images`,
    ),
    none(
      'Every account that was made logs in, every removed one does not',
      logins,
      `${there.length} made, ${sure.length - there.length} removed, ${accounts.length - sure.length} in doubt`,
    ),
    none('Rights are as they were last set', rights, `${there.length} accounts`),
  ];
}

/** Four at once; what went wrong. */
async function all<T>(things: readonly T[], check: (thing: T) => Promise<Done>): Promise<string[]> {
  const left = [...things];
  const bad: string[] = [];
  const worker = async () => {
    for (let thing = left.shift(); thing !== undefined; thing = left.shift()) {
      const done = await check(thing);
      const why = done.lost ?? done.wrong ?? (done.fault && `${done.fault} ${done.at}`);
      if (why !== undefined) bad.push(why);
    }
  };
  await Promise.all(Array.from({ length: 4 }, worker));
  return bad;
}

/** Growth that says nothing: what is kept for use fills, and the heap is where it is. */
const SLACK = 48 * MIB;
/** A life has to be this long before its growth says something, in milliseconds. */
const LONG_ENOUGH = 4 * 60_000;

export function ofMemory(samples: readonly Sample[]): Finding {
  const grown = lives(samples).map((life) => {
    const { from, to } = growthOf(life);
    const lasted = (life.at(-1)?.at ?? 0) - (life[0]?.at ?? 0);
    return { from, to, tells: lasted >= LONG_ENOUGH };
  });
  const mib = (bytes: number) => Math.round(bytes / MIB);
  return {
    what: 'Memory is flat: medians of the first and last third of each life',
    holds: grown.every(({ from, to, tells }) => !tells || to < from * 1.15 + SLACK),
    figures: grown
      .map(({ from, to, tells }) => `${mib(from)} → ${mib(to)} MiB${tells ? '' : ' (short life)'}`)
      .join(', '),
  };
}

/** What the gate may need more when idle than right after its start: what it keeps for use. */
const KEPT_OPEN = 12;

export async function ofDescriptors({ gate, clients }: Stand, before: number): Promise<Finding> {
  clients.end();
  const isBack = () => descriptors(gate).all <= before + KEPT_OPEN;
  const holds = await eventually('descriptors are back', isBack, 90_000).catch(() => false);
  return {
    what: 'Descriptors are back where they were when all is quiet',
    holds,
    figures: `${before} before, ${descriptors(gate).all} after`,
  };
}

export async function ofDisk(stand: Stand, samples: readonly Sample[]): Promise<Finding[]> {
  const { gate, size } = stand;
  const folder = new CacheFolder(gate);
  const isEmpty = () => folder.spools().length === 0;
  await eventually('the spool is empty', isEmpty, 30_000).catch(() => undefined);
  const most = samples.reduce((highest, { held }) => Math.max(highest, held), 0);
  const wrong = folder.wrong();
  const overview = (await gate.rest('GET', '/cache')).json<{ contents: number; bytes: number }>();
  const files = folder.blobs().length;
  const known = `index ${overview.contents} (${overview.bytes} B), disk ${files} (${folder.bytes()} B)`;
  return [
    none('Every held file hashes to its name', wrong, `${files} files`),
    none('Nothing is left of what was on its way into the cache', folder.spools(), 'empty'),
    {
      what: 'The cache stays below its limit',
      holds: most <= size.cache,
      figures: `at most ${most} of ${size.cache} B`,
    },
    {
      what: 'Index and disk agree on how much is held',
      // A row without a file is a miss, and heals.
      holds: Math.abs(overview.contents - files) <= 4,
      figures: known,
    },
  ];
}

/** After its end. */
export function ofIndex({ gate }: Stand): Finding {
  const database = new DatabaseSync(join(gate.dataDir, 'index.sqlite'), { readOnly: true });
  const rows = database.prepare('SELECT digest FROM content').all() as { digest: string }[];
  const [verdict] = database.prepare('PRAGMA integrity_check').all() as {
    integrity_check: string;
  }[];
  database.close();
  const known = new Set(rows.map(({ digest }) => digest));
  const held = new CacheFolder(gate).digests();
  const unknown = held.filter((digest) => !known.has(digest)).length;
  // A row without a file is a miss, and heals; a file without a row would take up room that nobody counts.
  return {
    what: 'The index is whole after the end, and names every file that is held',
    holds: verdict?.integrity_check === 'ok' && unknown === 0,
    figures: `${verdict?.integrity_check}; ${rows.length} rows, ${held.length} files, ${unknown} without a row`,
  };
}

export function ofUpstream({ proxy }: Stand): Finding {
  return none(
    'The registry saw no credential but its own',
    proxy.foreign,
    `${proxy.requests} requests`,
  );
}

const PASSED = /eyJ[\w-]{8,}\.[\w-]+\.[\w-]+|_state=[\w-]{20}|Basic [\w+/=]{8}/;

/** Each line of the log, once. */
export async function ofLog({ logFile, gate, ledger }: Stand): Promise<Finding[]> {
  const secret = readFileSync(join(gate.dataDir, 'token-secret'), 'utf8').trim();
  const secrets = [...ledger.secrets, secret];
  // Looked for by their fixed beginnings: one by one, they would take hours.
  const beginnings = new RegExp(`pass-[0-9a-f]{12}|up-[0-9a-f]{12}`, 'g');
  const known = new Set(secrets);
  const loud: string[] = [];
  const told: string[] = [];
  let count = 0;
  for await (const line of createInterface({ input: createReadStream(logFile) })) {
    count += 1;
    const found = [...line.matchAll(beginnings)].some(([text]) => known.has(text));
    const isTold = found || PASSED.test(line) || line.includes(secret);
    if (isTold || line.includes(gate.admin.password)) told.push(shortened(line));
    const { level, msg = '' } = JSON.parse(line) as { level: number; msg?: string };
    if (level >= 50) loud.push(`${msg}: ${line.slice(0, 300)}`);
  }
  return [
    none('The log has no line at the level of errors', loud, `${count} lines`),
    none('The log tells no secret', told, `${secrets.length} looked for`),
  ];
}

/** A line that may not be repeated: where it is. */
function shortened(line: string): string {
  return `the line with the hash ${createHash('sha256').update(line).digest('hex').slice(0, 12)}`;
}
