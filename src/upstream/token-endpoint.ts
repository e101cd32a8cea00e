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
import { discard, readBody, type UpstreamResponse } from './upstream-response';

const MAX_ANSWER = 1024 * 1024;

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
    const realm = this.#realm(registry, asks.realm);
    const response = await this.transport.send({
      registry,
      peer: 'tokens',
      origin: realm,
      path: `${realm.pathname}${queryOf(realm, asks.service, access)}`,
      trust: this.policy.trustOf(registry, realm, registry.authHosts),
      method: 'GET',
      headers: {
        accept: 'application/json',
        ...(login ? { authorization: basicOf(login) } : {}),
      },
    });
    if (login && access.length > 0 && isRefusal(response.status)) {
      await discard(response);
      // Is it the credentials that are refused, or only what was asked for? Asked for nothing, the endpoint tells: else
      // one repository that the robot may not see would cast doubt on all that it did see.
      await this.token(registry, login, asks, []).catch((error: unknown) => {
        // Only its refusal says something of the credentials: where it says nothing, it is the repository that is refused.
        if (this.logins.isRefused(registry, login)) throw error;
      });
      throw notAllowed(registry, 'configured', access);
    }
    return this.#issued(registry, login, access, response);
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
    login: Login,
    access: readonly Access[],
    response: UpstreamResponse,
  ): Promise<IssuedToken> {
    if (response.status === 200) {
      const issued = parseTokenAnswer(await readBody(response, MAX_ANSWER));
      if (issued && login) this.logins.noteAccepted(registry, login);
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
    if (!login) throw notAllowed(registry, 'anonymous', access);
    this.logins.noteRefused(registry, login);
    throw new OciError('BAD_UPSTREAM', {
      message: `the gate's own credentials for ${registry.name} were refused there`,
    });
  }
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
