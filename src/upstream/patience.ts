/**
 * When a registry is not asked, though somebody asks for something: it wants to be left alone, it does not answer, or it
 * refuses the gate's own credentials. RFC 9110 § 10.2.3.
 */
import { LRUCache } from 'lru-cache';
import { atMost } from '../config/at-most';
import { ClientLogin, type Principal } from '../config/principal';
import type { Registry } from '../config/registry-table';
import type { Log } from '../journal/log';
import type { Access } from '../oci/access';
import { OciError } from '../oci/oci-error';
import { type Attempt, CircuitBreaker } from './circuit-breaker';
import type { Login, Logins } from './logins';
import { faultOf } from './upstream-failure';
import type { UpstreamFaults } from './upstream-faults';

/** Of a request, what patience is about. */
interface Asking {
  readonly registry: Registry;
  readonly as: Principal;
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'POST' | 'DELETE';
  readonly access: readonly Access[];
  /** Somebody else can be asked: then any failure is one to be left alone for. */
  readonly spare?: boolean;
  readonly signal?: AbortSignal;
}

/** Milliseconds between two questions whose like was refused to the gate's own credentials. */
const REFUSED_PAUSE = 10_000;
const MAX_REFUSED = 1_000;

/** What is known of one registry. Times are on the clock that never goes back. */
interface Relation {
  readonly breaker: CircuitBreaker;
  /** By what was asked: registries refuse one repository in the words in which they refuse a password. */
  readonly refused: LRUCache<string, { readonly until: number; readonly error: OciError }>;
}

type Ask<T> = (who: Login | ClientLogin, answered: () => void) => Promise<T>;

/** GET and HEAD wait; what is pushed goes whatever is known, since it is not asked for again so easily. */
export class UpstreamPatience {
  /** By the registry itself: one whose settings were reloaded starts anew. */
  readonly #relations = new WeakMap<Registry, Relation>();

  /** @param now milliseconds of a clock that never goes back. */
  constructor(
    private readonly faults: UpstreamFaults,
    private readonly logins: Logins,
    private readonly log: Log,
    private readonly now: () => number = () => performance.now(),
  ) {}

  /**
   * Asks, unless it is known what would come of it, and learns from what comes of it. Of several accounts it is the one whose
   * turn it is, and the next one where that one cannot.
   * @param ask is told as whom, and how to say that the registry itself has answered: what fails after that, such as the host
   *   of its content, is not the registry.
   * @throws OciError TOOMANYREQUESTS with the seconds that are left in Retry-After; UNAVAILABLE likewise, while the registry
   *   does not answer; what was answered to the same question before, while the gate's own credentials are refused; and all
   *   that `ask` throws.
   */
  async during<T>(asking: Asking, ask: Ask<T>): Promise<T> {
    const { registry, as } = asking;
    if (as instanceof ClientLogin) return this.#once(asking, as, ask);
    return this.logins.inTurn(registry, as, waits(asking), (login) =>
      this.#once(asking, login, ask),
    );
  }

  async #once<T>(asking: Asking, who: Login | ClientLogin, ask: Ask<T>): Promise<T> {
    const relation = this.#relation(asking.registry);
    const held = waits(asking);
    if (held) this.#admit(asking, who, relation);
    const attempt = relation.breaker.begin({ regardless: !held });
    const answered = () => this.#answered(asking.registry, relation, attempt);
    try {
      // Of one that can be spared, the host of its content counts as itself.
      const answer = await ask(who, asking.spare === true ? () => undefined : answered);
      answered();
      return answer;
    } catch (error) {
      this.#learn(asking, who, { relation, attempt, error });
      throw error;
    }
  }

  #relation(registry: Registry): Relation {
    let relation = this.#relations.get(registry);
    if (!relation) {
      relation = {
        breaker: new CircuitBreaker(this.now),
        refused: new LRUCache(atMost(MAX_REFUSED)),
      };
      this.#relations.set(registry, relation);
    }
    return relation;
  }

  /** The breaker comes last: whoever passes it may be the one that it waits for. */
  #admit(asking: Asking, who: Login | ClientLogin, { breaker, refused }: Relation): void {
    const { registry } = asking;
    const asked = this.logins.waitOf(registry, who);
    if (asked) throw this.#notYet(asked.error, asked.until);
    const known = this.faults.refuses(registry.name) ? refused.get(keyOf(asking)) : undefined;
    if (known && known.until > this.now()) throw known.error;
    if (known) refused.set(keyOf(asking), { ...known, until: this.now() + REFUSED_PAUSE });
    if (breaker.wait === 0) return;
    const seconds = secondsOf(breaker.wait);
    throw new OciError('UNAVAILABLE', {
      message: `${registry.name} does not answer, and is not asked again for ${seconds} s`,
      headers: { 'Retry-After': String(seconds) },
    });
  }

  #notYet({ message }: OciError, until: number): OciError {
    const headers = { 'Retry-After': String(secondsOf(until - this.now())) };
    return new OciError('TOOMANYREQUESTS', { message, headers });
  }

  #learn(
    asking: Asking,
    who: Login | ClientLogin,
    { relation, attempt, error }: { relation: Relation; attempt: Attempt; error: unknown },
  ): void {
    const { registry, as } = asking;
    // Who left, or gave up, says nothing of the registry, whatever error it gave as its reason.
    if (!(error instanceof OciError) || asking.signal?.aborted) return attempt.left();
    const isFailure = asking.spare === true && error.code === 'BAD_UPSTREAM';
    if (faultOf(error) === 'silent' || isFailure)
      return this.#failed(registry, relation, attempt, error);
    this.#answered(registry, relation, attempt);
    if (error.code === 'TOOMANYREQUESTS') return this.logins.leaveAlone(registry, who, error);
    const refusal = error.code === 'DENIED' || error.code === 'BAD_UPSTREAM';
    if (refusal && as === 'configured' && this.faults.refuses(registry.name))
      relation.refused.set(keyOf(asking), { until: this.now() + REFUSED_PAUSE, error });
  }

  #failed({ name }: Registry, { breaker }: Relation, attempt: Attempt, error: OciError): void {
    const wasOpen = breaker.isOpen;
    attempt.failed(error);
    if (!wasOpen && breaker.isOpen)
      this.log.warn({ upstream: name }, `${name} does not answer, and is left alone for a time`);
  }

  #answered({ name }: Registry, { breaker }: Relation, attempt: Attempt): void {
    if (breaker.isOpen) this.log.info({ upstream: name }, `${name} answers again`);
    attempt.answered();
  }
}

function waits({ method }: Asking): boolean {
  return method === 'GET' || method === 'HEAD';
}

function keyOf({ as, access }: Asking): string {
  return JSON.stringify([as, access]);
}

function secondsOf(milliseconds: number): number {
  return Math.max(1, Math.ceil(milliseconds / 1000));
}
