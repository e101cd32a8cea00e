/** Clients' own logins at registries: what a registry asks of them, and its answers to them. Nothing here is the gate's own. */
import { createHmac, randomBytes } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { atMost } from '../config/at-most';
import type { Registry } from '../config/registry-table';
import { type Access, formatScope } from '../oci/access';
import { parseChallenges } from '../oci/challenge';
import { OciError } from '../oci/oci-error';
import { type Asks, asksOf, queryOf } from './asks';
import { basicOf } from './logins';
import type { IssuedToken } from './token-answer';
import { oddAnswer, TokenEndpoint } from './token-endpoint';
import { Transport } from './transport';
import { discard } from './upstream-response';

/** What a registry asks of clients, with what a challenge of ours has to repeat. */
type Asked = Asks & { readonly basicRealm?: string };

interface Known {
  readonly asks: Asked;
  readonly until: number;
}

/** User name and password, or a refresh token that the endpoint gave out before. */
export type ClientProof =
  { readonly username: string; readonly password: string } | { readonly refreshToken: string };

/** Milliseconds for which what a registry asks is taken for what it still asks. */
const KNOWN_FOR = 5 * 60_000;
/** Milliseconds for which a registry's yes to user name and password is remembered. Its no never is. */
const TAKEN_FOR = 60_000;
/** Milliseconds for which a registry that could not be asked what it asks is not asked again. */
const AWAY_FOR = 10_000;
const MAX_TAKEN = 10_000;

export class LoginRelay {
  readonly #known = new WeakMap<Registry, Known>();
  readonly #asking = new WeakMap<Registry, Promise<Asked>>();
  // Remembered under a key that nobody else has, so that a memory dump lists no passwords.
  readonly #key = randomBytes(32);
  readonly #taken: LRUCache<string, true>;
  readonly #taking = new Map<string, Promise<boolean>>();

  /** @param now milliseconds of a clock that never goes back. */
  constructor(
    private readonly transport: Transport,
    private readonly endpoint: TokenEndpoint,
    private readonly now: () => number = () => performance.now(),
  ) {
    this.#taken = new LRUCache({
      ...atMost(MAX_TAKEN),
      ttl: TAKEN_FOR,
      ttlResolution: 0,
      perf: { now },
    });
  }

  /** What the registry asks of clients; while it is away, what it asked when it was last seen. */
  async asks(
    registry: Registry,
  ): Promise<
    | { readonly scheme: 'nothing' }
    | { readonly scheme: 'basic'; readonly realm: string }
    | { readonly scheme: 'bearer'; readonly service: string | undefined }
  > {
    const asked = await this.#asked(registry);
    if (asked.scheme === 'bearer') return { scheme: 'bearer', service: printable(asked.service) };
    if (asked.scheme === 'nothing') return asked;
    return { scheme: 'basic', realm: asked.basicRealm ?? registry.name };
  }

  /** Whether the registry takes user name and password, asked once however many requests come with them. */
  async takes(registry: Registry, username: string, password: string): Promise<boolean> {
    const login = JSON.stringify([registry.name, registry.url.origin, username, password]);
    const key = createHmac('sha256', this.#key).update(login).digest('base64url');
    if (this.#taken.has(key)) return true;
    let taking = this.#taking.get(key);
    if (!taking) {
      taking = this.#take(registry, username, password).finally(() => this.#taking.delete(key));
      this.#taking.set(key, taking);
    }
    const taken = await taking;
    if (taken) this.#taken.set(key, true);
    return taken;
  }

  /**
   * A token of the registry's own, for a client with a login of its own there.
   * @returns undefined where the endpoint refuses.
   * @throws OciError BAD_UPSTREAM, TOOMANYREQUESTS, UNAVAILABLE, UPSTREAM_TIMEOUT
   */
  async token(
    registry: Registry,
    {
      login,
      access,
      offline,
    }: {
      readonly login?: ClientProof;
      readonly access: readonly Access[];
      readonly offline: boolean;
    },
  ): Promise<IssuedToken | undefined> {
    const asked = await this.#asked(registry);
    if (asked.scheme !== 'bearer')
      throw new OciError('BAD_UPSTREAM', {
        message: `${registry.name} asks for no token any more`,
      });
    const answer = await this.endpoint.ask(
      registry,
      asked,
      login && 'refreshToken' in login
        ? { form: refreshForm(asked.service, access, login.refreshToken) }
        : {
            query: loginQuery(asked.service, access, offline),
            authorization: login && basicOf(login),
          },
    );
    if (typeof answer !== 'number') return answer;
    if (REFUSALS.has(answer)) return undefined;
    throw oddAnswer(registry, answer);
  }

  async #asked(registry: Registry): Promise<Asked> {
    const known = this.#known.get(registry);
    if (known && known.until > this.now()) return known.asks;
    let asking = this.#asking.get(registry);
    if (!asking) {
      asking = this.#probe(registry).finally(() => this.#asking.delete(registry));
      this.#asking.set(registry, asking);
    }
    try {
      const asks = await asking;
      this.#known.set(registry, { asks, until: this.now() + KNOWN_FOR });
      return asks;
    } catch (error) {
      if (!known) throw error;
      // It is away: nobody waits for it each time to hear the same.
      this.#known.set(registry, { ...known, until: this.now() + AWAY_FOR });
      return known.asks;
    }
  }

  async #probe(registry: Registry): Promise<Asked> {
    const response = await this.transport.send({
      ...registryItself(registry),
      method: 'GET',
      headers: {},
    });
    await discard(response);
    // One that leads elsewhere is read without a login: none is ever carried along.
    if (response.status < 400) return { scheme: 'nothing' };
    if (response.status !== 401)
      throw new OciError('BAD_UPSTREAM', {
        message: `${registry.name} does not say what it asks of clients: it answered ${response.status}`,
      });
    const header = response.headers['www-authenticate'];
    const asks = asksOf(header);
    if (!asks) {
      throw new OciError('BAD_UPSTREAM', {
        message: `${registry.name} asks for a login of a kind that is not known here`,
      });
    }
    const basic = parseChallenges(header ?? '').find(({ scheme }) => scheme === 'basic');
    return { ...asks, basicRealm: printable(basic?.params['realm']) };
  }

  async #take(registry: Registry, username: string, password: string): Promise<boolean> {
    const response = await this.transport.send({
      ...registryItself(registry),
      method: 'GET',
      headers: { authorization: basicOf({ username, password }) },
    });
    await discard(response);
    return response.status >= 200 && response.status < 300;
  }
}

/** 400 is OAuth2's word for a grant that is not good: RFC 6749 § 5.2. 404 and 405 are those of endpoints without POST. */
const REFUSALS: ReadonlySet<number> = new Set([400, 401, 403, 404, 405]);

function registryItself(registry: Registry) {
  return { registry, origin: registry.url, path: '/v2/', trust: 'own' } as const;
}

function refreshForm(
  service: string | undefined,
  access: readonly Access[],
  refreshToken: string,
): URLSearchParams {
  const form = new URLSearchParams({ grant_type: 'refresh_token', client_id: 'tidegate' });
  if (service !== undefined) form.set('service', service);
  if (access.length > 0) form.set('scope', access.map(formatScope).join(' '));
  form.set('refresh_token', refreshToken);
  return form;
}

function loginQuery(
  service: string | undefined,
  access: readonly Access[],
  offline: boolean,
): URLSearchParams {
  const query = queryOf(service, access);
  query.set('client_id', 'tidegate');
  if (offline) query.set('offline_token', 'true');
  return query;
}

/** What may be said to clients: it stands in a header of the gate's. */
function printable(text: string | undefined): string | undefined {
  return text !== undefined && /^[\x20-\x7e]{1,255}$/.test(text) ? text : undefined;
}
