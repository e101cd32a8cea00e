/** What clients do, each once, and what has to come of it. */
import { CacheFolder } from '../support/cache-folder';
import { TEAMS, type KnownAccount, type KnownImage, type Team } from './ledger';
import type { Outcome } from './orders';
import { ingredients, type Stand } from './stand';

export const KINDS = ['popular pull', 'rare pull', 'push', 'login', 'account', 'check'] as const;
export type Kind = (typeof KINDS)[number];

/** What became of a deed. */
export interface Done extends Outcome {
  /** What was acknowledged is not so: an image, an account, or a right. */
  readonly lost?: string;
  /** Of something that the gate holds, so that no fault of the registry is an excuse. */
  readonly held?: boolean;
}

const deeds: Readonly<Record<Kind, (stand: Stand) => Promise<Done>>> = {
  'popular pull': popularPull,
  'rare pull': (stand) => pulled(stand, stand.random.of(stand.ledger.rare)),
  push,
  login,
  account,
  check: (stand) =>
    stand.ledger.pushed.length > 0 && stand.random.chance(0.6)
      ? pulled(stand, stand.random.of(stand.ledger.pushed))
      : rights(stand),
};

export function perform(kind: Kind, stand: Stand): Promise<Done> {
  return deeds[kind](stand);
}

/** Where it fails, it counts whether the gate holds what it did not give. */
async function popularPull(stand: Stand): Promise<Done> {
  const image = stand.random.of(stand.ledger.popular);
  const done = await pulled(stand, image);
  if (done.fault === undefined) return done;
  const digest = /sha256:[0-9a-f]{64}/.exec(done.at ?? '')?.[0] ?? image.digest;
  return { ...done, held: new CacheFolder(stand.gate).holds(digest) };
}

/** Pulls an image that is known to be there. */
export async function pulled(
  { clients, gate, robot }: Pick<Stand, 'clients' | 'gate' | 'robot'>,
  image: KnownImage,
): Promise<Done> {
  const { repository, tag, digest } = image;
  const order = { base: gate.url, as: robot, repository, reference: tag, digest };
  const outcome = await clients.perform({ do: 'pull', ...order });
  const isGone = [401, 403, 404].includes(outcome.status);
  return isGone ? { ...outcome, lost: `${repository}:${tag} ${outcome.at}` } : outcome;
}

async function push(stand: Stand): Promise<Done> {
  const { clients, gate, ledger, random, robot } = stand;
  const repository = `${random.of(TEAMS)}/app-${random.below(20)}`;
  const tag = ledger.newTag();
  const order = { base: gate.url, as: robot, repository, tag, ...ingredients(stand) };
  const outcome = await clients.perform({ do: 'push', ...order });
  const { digest } = outcome;
  if (digest !== undefined) ledger.pushed.push({ repository, tag, digest });
  return outcome;
}

/** One that has another status than it must have; where it has any at all, that is no matter of chance. */
function judged(outcome: Outcome, right: readonly number[], what: string): Done {
  if (outcome.fault !== undefined || right.includes(outcome.status)) return outcome;
  const at = `${what}: ${outcome.status} in place of ${right.join(' or ')}`;
  const isAnswer = outcome.status < 429;
  return { ...outcome, fault: 'status', at, ...(isAnswer ? { lost: at } : {}) };
}

function tokenOrder({ gate, random }: Stand, account: KnownAccount, password: string) {
  const scope = `repository:${account.team}/base:pull`;
  const path = `/v2/auth?service=tidegate&scope=${scope}&n=${random.below(1e9)}`;
  const as = { username: account.username, password };
  return { do: 'ask', base: gate.url, as, method: 'GET', path } as const;
}

async function login(stand: Stand): Promise<Done> {
  const { clients, ledger, random } = stand;
  const there = !random.chance(0.1);
  const accounts = ledger.certain(there);
  if (accounts.length === 0) return account(stand);
  const one = random.of(accounts);
  return alone(one, async () => {
    // Rarely: failures of one address are counted, and clients of a real gate are not all wrong.
    const isWrong = there && random.chance(0.05);
    const password = isWrong ? ledger.newPassword() : one.password;
    const outcome = await clients.perform(tokenOrder(stand, one, password));
    const what = isWrong ? 'a wrong password' : there ? 'a login' : 'a login of a removed account';
    return judged(outcome, [there && !isWrong ? 200 : 401], `${what} of ${one.username}`);
  });
}

async function alone<T>(account: KnownAccount, work: () => Promise<T>): Promise<T> {
  account.busy = true;
  try {
    return await work();
  } finally {
    account.busy = false;
  }
}

const FEWEST = 20;
const MOST = 40;

function account(stand: Stand): Promise<Done> {
  const { ledger, random } = stand;
  const there = ledger.certain(true);
  const isMaking = there.length < FEWEST || (there.length < MOST && random.chance(0.4));
  if (isMaking) return create(stand, ledger.newAccount(random.of(TEAMS)));
  const one = random.of(there);
  return alone(one, () => (random.chance(0.35) ? remove(stand, one) : change(stand, one)));
}

/** What the account has to be once that is answered; in doubt when it is not. */
async function altered(
  { clients, gate }: Stand,
  one: KnownAccount,
  { method, right, body }: { method: string; right: number; body?: unknown },
  then: () => void,
): Promise<Done> {
  const path = method === 'POST' ? '/admin/users' : `/admin/users/${one.username}`;
  const text = body === undefined ? {} : { body: JSON.stringify(body) };
  const order = { do: 'ask', base: gate.url, as: gate.admin, method, path, ...text } as const;
  const done = judged(await clients.perform(order), [right], `${method} of an account`);
  if (done.status === right) then();
  else one.inDoubt = true;
  return done;
}

function accessTo(team: Team) {
  return [{ repository: `${team}/**`, actions: ['pull'] }];
}

async function create(stand: Stand, one: KnownAccount): Promise<Done> {
  const { username, password, team } = one;
  const body = { username, password, access: accessTo(team) };
  return alone(one, () =>
    altered(stand, one, { method: 'POST', right: 201, body }, () => (one.there = true)),
  );
}

function remove(stand: Stand, one: KnownAccount): Promise<Done> {
  return altered(stand, one, { method: 'DELETE', right: 204 }, () => (one.there = false));
}

function change(stand: Stand, one: KnownAccount): Promise<Done> {
  const { ledger, random } = stand;
  const request = { method: 'PATCH', right: 200 };
  if (random.chance(0.5)) {
    const password = ledger.newPassword();
    return altered(stand, one, { ...request, body: { password } }, () => (one.password = password));
  }
  const team = random.of(TEAMS.filter((other) => other !== one.team));
  const body = { access: accessTo(team) };
  return altered(stand, one, { ...request, body }, () => (one.team = team));
}

/** An account pulls of its own team, and of no other. */
async function rights(stand: Stand): Promise<Done> {
  const { ledger, random } = stand;
  const accounts = ledger.certain(true);
  if (accounts.length === 0) return account(stand);
  const one = random.of(accounts);
  return alone(one, () => rightsOf(stand, one));
}

export async function rightsOf(stand: Stand, one: KnownAccount): Promise<Done> {
  const own = await manifestAsked(stand, one, one.team);
  const done = judged(own, [200], `${one.username} of ${one.team} asks for its own team's`);
  if (done.fault !== undefined) return done;
  const other = stand.random.of(TEAMS.filter((team) => team !== one.team));
  const outcome = await manifestAsked(stand, one, other);
  return judged(outcome, [401, 403], `${one.username} of ${one.team} asks for ${other}'s`);
}

function manifestAsked({ clients, gate, ledger }: Stand, one: KnownAccount, team: Team) {
  const path = `/v2/${team}/base/manifests/${ledger.ofTeam.get(team)?.tag}`;
  const as = { username: one.username, password: one.password };
  return clients.perform({ do: 'ask', base: gate.url, as, method: 'GET', path });
}

/** Logs in as an account that is there, or as one that was removed. */
export async function loginOf(stand: Stand, one: KnownAccount): Promise<Done> {
  const outcome = await stand.clients.perform(tokenOrder(stand, one, one.password));
  return judged(outcome, [one.there ? 200 : 401], `a login of ${one.username}`);
}
