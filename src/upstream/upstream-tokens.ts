/**
 * The gate's own logins at upstreams. What each registry asks for is learnt from its challenges; a token is shared by
 * all requests of the same registry, login and scope, asked for once however many wait, and renewed before it ends.
 * CNCF distribution, docs/spec/auth/token.
 */
import { Injectable } from '@nestjs/common';
import { LRUCache } from 'lru-cache';
import { atMost } from '../config/at-most';
import { ClientLogin, type Principal } from '../config/principal';
import type { Registry, RegistryCredentials } from '../config/registry-table';
import type { Access } from '../oci/access';
import { OciError } from '../oci/oci-error';
import { type Asks, type AsksBearer, asksOf, keyOf } from './asks';
import { basicOf, type GatePrincipal, type Login, Logins } from './logins';
import { notAllowed, TokenEndpoint } from './token-endpoint';
import { Transport } from './transport';
import { discard } from './upstream-response';

export type { Principal } from '../config/principal';

interface HeldToken {
  readonly authorization: string;
  /** On the clock of performance.now(), which nobody sets. */
  readonly ends: number;
}

/** The tokens of one login. */
interface Purse {
  readonly held: LRUCache<string, HeldToken>;
  readonly coming: Map<string, Promise<HeldToken>>;
}

/** What is known of one registry towards the gate's accounts, or towards nobody. */
interface Relation {
  asks?: Asks;
  probe?: Promise<void>;
  readonly purses: Map<Login, Purse>;
}

const MAX_HELD = 1000;
/** Seconds before its end from which a token is no longer used: the request has to arrive, and clocks differ. */
const MARGIN = 10;

@Injectable()
export class UpstreamTokens {
  /** By the registry itself: one whose settings were reloaded starts anew, and an old one's secrets go with it. */
  readonly #relations = new WeakMap<Registry, Record<GatePrincipal, Relation>>();

  constructor(
    private readonly transport: Transport,
    private readonly endpoint: TokenEndpoint,
    private readonly logins: Logins,
  ) {}

  /**
   * The Authorization for a request, or undefined when the registry asks for none. Where that is not known yet, the
   * registry is asked: for requests whose body can be sent only once. Of several accounts it is that of the one whose turn it
   * is.
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
    return this.logins.inTurn(registry, as, true, async (login) => {
      try {
        const relation = this.#relation(registry, login);
        if (!relation.asks) {
          relation.probe ??= this.#probe(registry, login).finally(
            () => (relation.probe = undefined),
          );
          await relation.probe;
        }
        return await this.#authorization(registry, login, access, minimumLife);
      } catch (error) {
        if (error instanceof OciError && error.code === 'TOOMANYREQUESTS')
          this.logins.leaveAlone(registry, login, error);
        throw error;
      }
    });
  }

  /** That login's Authorization; undefined where the registry has not been met yet: the answer will tell. */
  async authorizationIfKnown(
    registry: Registry,
    login: Login,
    access: readonly Access[],
  ): Promise<string | undefined> {
    return this.#authorization(registry, login, access, 0);
  }

  /** Notes that the registry answered a request without credentials, unless it is known to ask for some elsewhere. */
  noteOpen(registry: Registry, login: Login): void {
    this.#relation(registry, login).asks ??= { scheme: 'nothing' };
  }

  /**
   * The Authorization that answers a 401.
   * @param challenge its WWW-Authenticate.
   * @param refused the Authorization that was sent, if any.
   * @throws OciError DENIED when there is nothing better to offer.
   */
  async answerTo(
    registry: Registry,
    login: Login,
    access: readonly Access[],
    challenge: string | undefined,
    refused?: string,
  ): Promise<string> {
    const relation = this.#relation(registry, login);
    relation.asks = asksOf(challenge) ?? relation.asks;
    // Without one, nothing was refused: a token that others fetched meanwhile is as good as new.
    if (refused !== undefined) this.renounce(registry, principalOf(login), access, refused);
    if (!relation.asks || relation.asks.scheme === 'nothing') {
      throw new OciError('BAD_UPSTREAM', {
        message: `${registry.name} asks for a login of a kind that is not known here`,
      });
    }
    const authorization = await this.#authorization(registry, login, access, 0);
    if (authorization !== undefined && authorization !== refused) return authorization;
    this.noteVerdict(registry, authorization, 401);
    throw notAllowed(registry, principalOf(login), access);
  }

  /**
   * Notes what a registry's answer to the gate's own credentials says of them. Tokens do not count: they are shown to
   * the token endpoint alone. Nor do other refusals: they are about what was asked for.
   */
  noteVerdict(registry: Registry, authorization: string | undefined, status: number): void {
    if (!authorization?.startsWith('Basic ')) return;
    const login = registry.credentials.find((each) => basicOf(each) === authorization);
    if (!login) return;
    if (status === 401) this.logins.noteRefused(registry, login);
    else if (status < 400 || status === 404) this.logins.noteAccepted(registry, login);
  }

  /**
   * Drops the token for that access, after the registry refused it.
   * @param refused the Authorization that was refused: a newer one, fetched meanwhile for others, then stays, and so do those
   *   of other accounts.
   */
  renounce(registry: Registry, as: Principal, access: readonly Access[], refused?: string): void {
    if (as instanceof ClientLogin) return;
    const login: Login = as === 'anonymous' ? undefined : registry.credentials[0];
    const relation = this.#relation(registry, login);
    if (relation.asks?.scheme === 'nothing') relation.asks = undefined;
    if (relation.asks?.scheme !== 'bearer') return;
    const key = keyOf(relation.asks, access);
    for (const { held } of relation.purses.values())
      if (refused === undefined || held.peek(key)?.authorization === refused) held.delete(key);
  }

  #relation(registry: Registry, login: Login): Relation {
    let relations = this.#relations.get(registry);
    if (!relations) {
      relations = { anonymous: { purses: new Map() }, configured: { purses: new Map() } };
      this.#relations.set(registry, relations);
    }
    return relations[principalOf(login)];
  }

  async #probe(registry: Registry, login: Login): Promise<void> {
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
      this.#relation(registry, login).asks = asksOf(response.headers['www-authenticate']);
    else this.noteOpen(registry, login);
  }

  async #authorization(
    registry: Registry,
    login: Login,
    access: readonly Access[],
    minimumLife: number,
  ): Promise<string | undefined> {
    const relation = this.#relation(registry, login);
    const { asks } = relation;
    if (asks?.scheme === 'basic') return login && basicOf(login);
    if (asks?.scheme !== 'bearer') return undefined;
    const { held, coming } = purseOf(relation, login);
    const key = keyOf(asks, access);
    const token = held.get(key);
    if (token && token.ends - performance.now() > Math.max(MARGIN, minimumLife) * 1000)
      return token.authorization;
    let fetched = coming.get(key);
    if (!fetched) {
      fetched = this.#fetch(registry, login, asks, access)
        .then((fresh) => (held.set(key, fresh), fresh))
        .catch((error: unknown) => {
          // Perhaps the registry has moved its endpoint: its next challenge will say. That one is told to wait, or refused
          // its login, says nothing of it, and the others know it still.
          const isOwn = this.logins.isRefused(registry, login) && registry.credentials.length > 1;
          if (!isOwn && !(error instanceof OciError && error.code === 'TOOMANYREQUESTS'))
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
    login: Login,
    asks: AsksBearer,
    access: readonly Access[],
  ): Promise<HeldToken> {
    const started = performance.now();
    const { token, life } = await this.endpoint.token(registry, login, asks, access);
    return { authorization: `Bearer ${token}`, ends: started + life * 1000 };
  }
}

function principalOf(login: RegistryCredentials | undefined): GatePrincipal {
  return login ? 'configured' : 'anonymous';
}

function purseOf({ purses }: Relation, login: Login): Purse {
  let purse = purses.get(login);
  if (!purse) {
    purse = { held: new LRUCache(atMost(MAX_HELD)), coming: new Map() };
    purses.set(login, purse);
  }
  return purse;
}
