/** Asks registries' token endpoints. CNCF distribution, docs/spec/auth/token. */
import { Inject, Injectable } from '@nestjs/common';
import type { Principal } from '../config/principal';
import type { Registry } from '../config/registry-table';
import { Log } from '../journal/log';
import type { Access } from '../oci/access';
import { OciError } from '../oci/oci-error';
import { type AsksBearer, queryOf } from './asks';
import { EgressPolicy } from './egress-policy';
import { basicOf, type Login, Logins } from './logins';
import { type IssuedToken, parseTokenAnswer } from './token-answer';
import { Transport } from './transport';
import { discard, readBody } from './upstream-response';

const MAX_ANSWER = 1024 * 1024;

/** What is asked of an endpoint: by query, or by form, which is posted. */
export interface TokenQuestion {
  readonly query?: URLSearchParams;
  readonly authorization?: string;
  readonly form?: URLSearchParams;
}

@Injectable()
export class TokenEndpoint {
  constructor(
    private readonly transport: Transport,
    private readonly policy: EgressPolicy,
    private readonly logins: Logins,
    @Inject(Log) private readonly log: Log,
  ) {}

  /**
   * A token for that access.
   * @throws OciError DENIED where it is not granted; BAD_UPSTREAM where the endpoint may not be asked, refuses the login, or
   *   gives nothing that can be used; TOOMANYREQUESTS, UNAVAILABLE, UPSTREAM_TIMEOUT
   */
  async token(
    registry: Registry,
    login: Login,
    asks: AsksBearer,
    access: readonly Access[],
  ): Promise<IssuedToken> {
    const answer = await this.ask(registry, asks, {
      query: queryOf(asks.service, access),
      authorization: login && basicOf(login),
    });
    if (typeof answer !== 'number') {
      if (login) this.logins.noteAccepted(registry, login);
      return answer;
    }
    if (!isRefusal(answer)) throw oddAnswer(registry, answer);
    if (!login) throw notAllowed(registry, 'anonymous', access);
    if (access.length > 0) {
      // Is it the credentials that are refused, or only what was asked for? Asked for nothing, the endpoint tells: else
      // one repository that the robot may not see would cast doubt on all that it did see.
      await this.token(registry, login, asks, []).catch((error: unknown) => {
        // Only its refusal says something of the credentials: where it says nothing, it is the repository that is refused.
        if (this.logins.isRefused(registry, login)) throw error;
      });
      throw notAllowed(registry, 'configured', access);
    }
    this.logins.noteRefused(registry, login);
    throw new OciError('BAD_UPSTREAM', {
      message: `the gate's own credentials for ${registry.name} were refused there`,
    });
  }

  /**
   * Asks the endpoint that the registry names, whoever wants a token of it. A redirect is not followed: it would carry the
   * scope, and the client's trust, to a host that nobody checked.
   * @returns the token, or the status of an answer that has none.
   * @throws OciError BAD_UPSTREAM where the registry may not name that endpoint, or its 200 gives nothing that can be used;
   *   TOOMANYREQUESTS, UNAVAILABLE, UPSTREAM_TIMEOUT
   */
  async ask(
    registry: Registry,
    asks: AsksBearer,
    { query, authorization, form }: TokenQuestion,
  ): Promise<IssuedToken | number> {
    const realm = this.#realm(registry, asks.realm);
    const own = realm.search.slice(1);
    const all = [own, query?.toString() ?? ''].filter((part) => part !== '').join('&');
    const response = await this.transport.send({
      registry,
      peer: 'tokens',
      origin: realm,
      path: `${realm.pathname}${all === '' ? '' : `?${all}`}`,
      trust: this.policy.trustOf(registry, realm, registry.authHosts),
      method: form ? 'POST' : 'GET',
      headers: {
        accept: 'application/json',
        ...(authorization === undefined ? {} : { authorization }),
        ...(form ? { 'content-type': 'application/x-www-form-urlencoded' } : {}),
      },
      body: form && Buffer.from(form.toString()),
    });
    if (response.status !== 200) {
      await discard(response);
      return response.status;
    }
    const issued = parseTokenAnswer(await readBody(response, MAX_ANSWER));
    if (issued) return issued;
    throw new OciError('BAD_UPSTREAM', {
      message: `the token endpoint of ${registry.name} gave no token that can be used`,
    });
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
}

/** An answer of the endpoint's that is neither a token nor a refusal. */
export function oddAnswer({ name }: Registry, status: number): OciError {
  return new OciError('BAD_UPSTREAM', {
    message: `the token endpoint of ${name} answered ${status}`,
  });
}

function isRefusal(status: number): boolean {
  return status === 401 || status === 403;
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
