/**
 * The gate's own accounts at registries: whose turn it is, who was told to wait, and who is refused. Several accounts of one
 * registry are equals, so that what one may not do now another one does.
 */
import { createHmac, randomBytes } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { atMost } from '../config/at-most';
import { ClientLogin, type Principal } from '../config/principal';
import type { Registry, RegistryCredentials } from '../config/registry-table';
import type { Log } from '../journal/log';
import { OciError } from '../oci/oci-error';
import { retryAfterSeconds } from './retry-after';
import type { UpstreamFaults } from './upstream-faults';

/** Those as whom the gate logs in by itself. */
export type GatePrincipal = Exclude<Principal, ClientLogin>;

/** As whom exactly: one of the registry's accounts; undefined for nobody. */
export type Login = RegistryCredentials | undefined;

/** Until when somebody is to leave the registry alone, and what it said. */
interface Wait {
  readonly until: number;
  readonly error: OciError;
}

/** What is known of one registry. Times are on the clock that never goes back. */
interface Relation {
  /** Requests that were asked in turn so far. */
  turns: number;
  readonly waits: LRUCache<string, Wait>;
  /** Logins that are refused, and until when they are not shown again while others are there. */
  readonly refused: Map<Login, number>;
}

/** Clients with logins of their own, beside the gate. */
const MAX_ASKERS = 1_000;
// Remembered under a key that nobody else has, so that a memory dump tells no logins.
const key = randomBytes(32);
/** Milliseconds. A registry may lock an account that shows a wrong password too often. */
const REST = 5 * 60_000;

export class Logins {
  /** By the registry itself: one whose settings were reloaded starts anew. */
  readonly #relations = new WeakMap<Registry, Relation>();

  /** @param now milliseconds of a clock that never goes back. */
  constructor(
    private readonly faults: UpstreamFaults,
    private readonly log: Log,
    private readonly now: () => number = () => performance.now(),
  ) {}

  /**
   * Does it as the one whose turn it is; where that one is refused its login, or told to wait, at once as the next one.
   * @param repeatable false for what may not be sent again after a 429.
   * @throws OciError TOOMANYREQUESTS with the least Retry-After when all have to wait; whatever else the work throws.
   */
  async inTurn<T>(
    registry: Registry,
    as: GatePrincipal,
    repeatable: boolean,
    work: (login: Login) => Promise<T>,
  ): Promise<T> {
    const failures: OciError[] = [];
    for (const login of this.#order(registry, as)) {
      try {
        return await work(login);
      } catch (error) {
        if (!(error instanceof OciError)) throw error;
        const waits = error.code === 'TOOMANYREQUESTS';
        if (waits ? !repeatable : !this.isRefused(registry, login)) throw error;
        failures.push(error);
      }
    }
    throw leastOf(failures);
  }

  /** Until when that one is to leave the registry alone; undefined when there is nothing to wait for. */
  waitOf(registry: Registry, who: Login | ClientLogin): Wait | undefined {
    const wait = this.#relation(registry).waits.get(keyOf(registry, who));
    return wait && wait.until > this.now() ? wait : undefined;
  }

  /** @param error TOOMANYREQUESTS, as the registry's 429 was told. */
  leaveAlone(registry: Registry, who: Login | ClientLogin, error: OciError): void {
    const seconds = retryAfterSeconds(String(error.headers['Retry-After']));
    const until = this.now() + seconds * 1000;
    const known = this.waitOf(registry, who);
    if (known && known.until >= until) return;
    this.#relation(registry).waits.set(keyOf(registry, who), { until, error });
    this.log.warn({ upstream: registry.name, as: nameOf(who), seconds }, error.message);
  }

  /** Whether its login was refused when it was last shown. */
  isRefused(registry: Registry, login: Login): boolean {
    return this.#relation(registry).refused.has(login);
  }

  noteAccepted(registry: Registry, login: RegistryCredentials): void {
    this.#relation(registry).refused.delete(login);
    this.faults.noteAccepted(registry, login);
  }

  noteRefused(registry: Registry, login: RegistryCredentials): void {
    this.#relation(registry).refused.set(login, this.now() + REST);
    this.faults.noteRefused(registry, login);
    this.log.error(
      { upstream: registry.name, username: login.username },
      `the gate's own credentials for ${registry.name} were refused there; set the right ones: the config file and what ` +
        'it names are read again by themselves, UPSTREAM_PASSWORD and its file at the next start',
    );
  }

  /**
   * Those to be asked, one after the other. When nobody may be, it is the one who may be soonest: what cannot wait goes all the
   * same, and the others are told how long. When all are refused, it is the next one, to go and see.
   */
  #order(registry: Registry, as: GatePrincipal): readonly Login[] {
    if (as === 'anonymous' || registry.credentials.length === 0) return [undefined];
    const relation = this.#relation(registry);
    const first = relation.turns % registry.credentials.length;
    relation.turns += 1;
    const all = [...registry.credentials.slice(first), ...registry.credentials.slice(0, first)];
    const shown = all.filter((login) => (relation.refused.get(login) ?? 0) <= this.now());
    const ready = shown.filter((login) => !this.waitOf(registry, login));
    if (ready.length > 0) return ready;
    if (shown.length === 0) return all.slice(0, 1);
    const untilOf = (login: Login) => this.waitOf(registry, login)?.until ?? 0;
    return shown.toSorted((one, other) => untilOf(one) - untilOf(other)).slice(0, 1);
  }

  #relation(registry: Registry): Relation {
    let relation = this.#relations.get(registry);
    if (!relation) {
      relation = { turns: 0, waits: new LRUCache(atMost(MAX_ASKERS)), refused: new Map() };
      this.#relations.set(registry, relation);
    }
    return relation;
  }
}

/** The Authorization by which a login is shown as it is. */
export function basicOf({ username, password }: RegistryCredentials): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}

/** How long to wait is the best news there is: the soonest counts. */
function leastOf(failures: readonly OciError[]): OciError {
  const secondsOf = ({ headers }: OciError) => Number(headers['Retry-After']);
  const waits = failures.filter(({ code }) => code === 'TOOMANYREQUESTS');
  const [least] = waits.toSorted((one, other) => secondsOf(one) - secondsOf(other));
  const found = least ?? failures.at(-1);
  if (!found) throw new Error('nobody was asked');
  return found;
}

/** Without credentials, all requests are the same to the registry. */
function keyOf(registry: Registry, who: Login | ClientLogin): string {
  if (!(who instanceof ClientLogin))
    return who ? `configured ${registry.credentials.indexOf(who)}` : 'anonymous';
  const login = who.authorizationFor(registry);
  return login === undefined
    ? 'anonymous'
    : createHmac('sha256', key).update(login).digest('base64');
}

/** For the log. */
function nameOf(who: Login | ClientLogin): string {
  if (who instanceof ClientLogin) return 'client';
  return who?.username ?? 'anonymous';
}
