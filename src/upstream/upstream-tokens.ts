/**
 * The gate's own logins at upstreams. What each registry asks for is learnt from its challenges; a token is shared by
 * all requests of the same registry, principal and scope, asked for once however many wait, and renewed before it ends.
 * CNCF distribution, docs/spec/auth/token.
 */
import { Inject, Injectable } from '@nestjs/common';
import { LRUCache } from 'lru-cache';
import { ClientLogin, type Principal } from '../config/principal';
import type { Registry } from '../config/registry-table';
import { Log } from '../journal/log';
import type { Access } from '../oci/access';
import { OciError } from '../oci/oci-error';
import { type Asks, type AsksBearer, asksOf, keyOf, queryOf } from './asks';
import { EgressPolicy } from './egress-policy';
import { type IssuedToken, parseTokenAnswer } from './token-answer';
import { Transport } from './transport';
import { UpstreamFaults } from './upstream-faults';
import { discard, readBody, type UpstreamResponse } from './upstream-response';

export type { Principal } from '../config/principal';

/** Those as whom the gate logs in by itself. */
type GatePrincipal = Exclude<Principal, ClientLogin>;

interface HeldToken {
  readonly authorization: string;
  /** On the clock of performance.now(), which nobody sets. */
  readonly ends: number;
}

/** What is known of one registry towards one principal. */
interface Relation {
  asks?: Asks;
  probe?: Promise<void>;
  readonly held: LRUCache<string, HeldToken>;
  readonly coming: Map<string, Promise<HeldToken>>;
}

const MAX_ANSWER = 1024 * 1024;
const MAX_HELD = 1000;
/** Seconds before its end from which a token is no longer used: the request has to arrive, and clocks differ. */
const MARGIN = 10;

@Injectable()
export class UpstreamTokens {
  /** By the registry itself: one whose settings were reloaded starts anew, and an old one's secrets go with it. */
  readonly #relations = new WeakMap<Registry, Record<GatePrincipal, Relation>>();

  constructor(
    private readonly transport: Transport,
    private readonly policy: EgressPolicy,
    private readonly faults: UpstreamFaults,
    @Inject(Log) private readonly log: Log,
  ) {}

  /**
   * The Authorization for a request, or undefined when the registry asks for none. Where that is not known yet, the
   * registry is asked: for requests whose body can be sent only once.
   * @param access what the token must be good for.
   * @param minimumLife seconds for which a token must still be good; a new one is fetched otherwise.
   * @throws OciError BAD_UPSTREAM, DENIED, TOOMANYREQUESTS, UNAVAILABLE, UPSTREAM_TIMEOUT
   */
  async authorizationFor(
    registry: Registry,
    as: Principal,
    access: readonly Access[],
    { minimumLife = 0 }: { minimumLife?: number } = {},
  ): Promise<string | undefined> {
    if (as instanceof ClientLogin) return as.authorizationFor(registry);
    const relation = this.#relation(registry, as);
    if (!relation.asks) {
      relation.probe ??= this.#probe(registry, as).finally(() => (relation.probe = undefined));
      await relation.probe;
    }
    return this.#authorization(registry, as, access, minimumLife);
  }

  /** As {@link authorizationFor}, but undefined where the registry has not been met yet: the answer will tell. */
  async authorizationIfKnown(
    registry: Registry,
    as: GatePrincipal,
    access: readonly Access[],
  ): Promise<string | undefined> {
    return this.#authorization(registry, as, access, 0);
  }

  /** Notes that the registry answered a request without credentials, unless it is known to ask for some elsewhere. */
  noteOpen(registry: Registry, as: GatePrincipal): void {
    this.#relation(registry, as).asks ??= { scheme: 'nothing' };
  }

  /**
   * The Authorization that answers a 401.
   * @param challenge its WWW-Authenticate.
   * @param refused the Authorization that was sent, if any.
   * @throws OciError DENIED when there is nothing better to offer.
   */
  async answerTo(
    registry: Registry,
    as: GatePrincipal,
    access: readonly Access[],
    challenge: string | undefined,
    refused?: string,
  ): Promise<string> {
    const relation = this.#relation(registry, as);
    relation.asks = asksOf(challenge) ?? relation.asks;
    // Without one, nothing was refused: a token that others fetched meanwhile is as good as new.
    if (refused !== undefined) this.renounce(registry, as, access, refused);
    if (!relation.asks || relation.asks.scheme === 'nothing') {
      throw new OciError('BAD_UPSTREAM', {
        message: `${registry.name} asks for a login of a kind that is not known here`,
      });
    }
    const authorization = await this.#authorization(registry, as, access, 0);
    if (authorization !== undefined && authorization !== refused) return authorization;
    this.noteVerdict(registry, authorization, 401);
    throw notAllowed(registry, as, access);
  }

  /**
   * Notes what a registry's answer to the gate's own credentials says of them. Tokens do not count: they are shown to
   * the token endpoint alone. Nor do other refusals: they are about what was asked for.
   */
  noteVerdict(registry: Registry, authorization: string | undefined, status: number): void {
    if (!authorization?.startsWith('Basic ')) return;
    if (status === 401) this.#tellRefusal(registry);
    else if (status < 400 || status === 404) this.faults.noteAccepted(registry.name);
  }

  /**
   * Drops the token for that access, after the registry refused it.
   * @param refused the Authorization that was refused: a newer one, fetched meanwhile for others, then stays.
   */
  renounce(registry: Registry, as: Principal, access: readonly Access[], refused?: string): void {
    if (as instanceof ClientLogin) return;
    const relation = this.#relation(registry, as);
    if (relation.asks?.scheme === 'nothing') relation.asks = undefined;
    if (relation.asks?.scheme !== 'bearer') return;
    const key = keyOf(relation.asks, access);
    if (refused === undefined || relation.held.peek(key)?.authorization === refused)
      relation.held.delete(key);
  }

  #relation(registry: Registry, as: GatePrincipal): Relation {
    let relations = this.#relations.get(registry);
    if (!relations) {
      relations = { anonymous: newRelation(), configured: newRelation() };
      this.#relations.set(registry, relations);
    }
    return relations[as];
  }

  async #probe(registry: Registry, as: GatePrincipal): Promise<void> {
    const response = await this.transport.send({
      registry,
      origin: registry.url,
      path: '/v2/',
      trust: 'own',
      method: 'GET',
      headers: {},
    });
    await discard(response);
    if (response.status === 401)
      this.#relation(registry, as).asks = asksOf(response.headers['www-authenticate']);
    else this.noteOpen(registry, as);
  }

  async #authorization(
    registry: Registry,
    as: GatePrincipal,
    access: readonly Access[],
    minimumLife: number,
  ): Promise<string | undefined> {
    const relation = this.#relation(registry, as);
    const { asks, held, coming } = relation;
    if (asks?.scheme === 'basic') return basicOf(registry, as);
    if (asks?.scheme !== 'bearer') return undefined;
    const key = keyOf(asks, access);
    const token = held.get(key);
    if (token && token.ends - performance.now() > Math.max(MARGIN, minimumLife) * 1000)
      return token.authorization;
    let fetched = coming.get(key);
    if (!fetched) {
      fetched = this.#fetch(registry, as, asks, access)
        .then((fresh) => (held.set(key, fresh), fresh))
        .catch((error: unknown) => {
          // Perhaps the registry has moved its endpoint: its next challenge will say.
          if (!(error instanceof OciError && error.code === 'TOOMANYREQUESTS'))
            relation.asks = undefined;
          throw error;
        })
        .finally(() => coming.delete(key));
      coming.set(key, fetched);
    }
    return (await fetched).authorization;
  }

  async #fetch(
    registry: Registry,
    as: GatePrincipal,
    asks: AsksBearer,
    access: readonly Access[],
  ): Promise<HeldToken> {
    const realm = this.#realm(registry, asks.realm);
    const authorization = basicOf(registry, as);
    const started = performance.now();
    const response = await this.transport.send({
      registry,
      peer: 'tokens',
      origin: realm,
      path: `${realm.pathname}${queryOf(realm, asks.service, access)}`,
      trust: this.policy.trustOf(registry, realm, registry.authHosts),
      method: 'GET',
      headers: {
        accept: 'application/json',
        ...(authorization === undefined ? {} : { authorization }),
      },
    });
    if (authorization !== undefined && access.length > 0 && isRefusal(response.status)) {
      await discard(response);
      // Is it the credentials that are refused, or only what was asked for? Asked for nothing, the endpoint tells: else
      // one repository that the robot may not see would cast doubt on all that it did see.
      await this.#fetch(registry, as, asks, []).catch((error: unknown) => {
        // Only its refusal says something of the credentials: where it says nothing, it is the repository that is refused.
        if (this.faults.refuses(registry.name)) throw error;
      });
      throw notAllowed(registry, as, access);
    }
    const { token, life } = await this.#issued(
      registry,
      authorization !== undefined,
      access,
      response,
    );
    return { authorization: `Bearer ${token}`, ends: started + life * 1000 };
  }

  #realm(registry: Registry, text: string): URL {
    const realm = URL.canParse(text) ? new URL(text) : undefined;
    if (realm && this.policy.allowsRealm(registry, realm)) return realm;
    this.log.warn(
      { upstream: registry.name, realm: realm?.host },
      'the registry names a token endpoint that is neither on its own domain nor in its auth_hosts',
    );
    throw new OciError('BAD_UPSTREAM', {
      message: `${registry.name} names a token endpoint that it may not name`,
    });
  }

  /** A redirect is not followed: it would carry the scope, and the client's trust, to a host that nobody checked. */
  async #issued(
    registry: Registry,
    withCredentials: boolean,
    access: readonly Access[],
    response: UpstreamResponse,
  ): Promise<IssuedToken> {
    if (response.status === 200) {
      const issued = parseTokenAnswer(await readBody(response, MAX_ANSWER));
      if (issued && withCredentials) this.faults.noteAccepted(registry.name);
      if (issued) return issued;
      throw new OciError('BAD_UPSTREAM', {
        message: `the token endpoint of ${registry.name} gave no token that can be used`,
      });
    }
    await discard(response);
    if (!isRefusal(response.status)) {
      throw new OciError('BAD_UPSTREAM', {
        message: `the token endpoint of ${registry.name} answered ${response.status}`,
      });
    }
    if (!withCredentials) throw notAllowed(registry, 'anonymous', access);
    this.#tellRefusal(registry);
    throw new OciError('BAD_UPSTREAM', {
      message: `the gate's own credentials for ${registry.name} were refused there`,
    });
  }

  #tellRefusal(registry: Registry): void {
    this.faults.noteRefused(registry.name);
    this.log.error(
      { upstream: registry.name, username: registry.credentials[0]?.username },
      `the gate's own credentials for ${registry.name} were refused there; set the right ones and start again`,
    );
  }
}

function isRefusal(status: number): boolean {
  return status === 401 || status === 403;
}

function newRelation(): Relation {
  return { held: new LRUCache({ max: MAX_HELD }), coming: new Map() };
}

function basicOf({ credentials }: Registry, as: GatePrincipal): string | undefined {
  const [login] = credentials;
  if (as === 'anonymous' || !login) return undefined;
  return `Basic ${Buffer.from(`${login.username}:${login.password}`).toString('base64')}`;
}

/** Registries do not tell what is not there from what may not be seen, so neither can the gate. */
export function notAllowed(registry: Registry, as: Principal, access: readonly Access[]): OciError {
  const what = access[0]?.name ?? 'what was asked for';
  const who =
    as === 'configured' && registry.credentials.length > 0
      ? "the gate's credentials may not see it"
      : 'it may not be seen without a login there';
  return new OciError('DENIED', {
    message: `${what} does not exist at ${registry.name}, or ${who}`,
  });
}
