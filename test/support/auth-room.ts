/** The rooms of logins and rights put together by hand, and requests as the edge has read them. */
import { JwtService } from '@nestjs/jwt';
import { pino } from 'pino';
import { AccessPolicy } from '../../src/auth/access-policy';
import type { Accounts } from '../../src/auth/accounts/accounts.service';
import { Refusals } from '../../src/auth/refusals';
import { keysOfTokens } from '../../src/auth/token/token-keys';
import { TokenService } from '../../src/auth/token/token.service';
import { Registries, RegistryTable, type Registry } from '../../src/config/registry-table';
import { plainRegistry } from '../../src/config/built-in-registries';
import { Secrets } from '../../src/config/secrets';
import type { Settings } from '../../src/config/settings';
import type { NamedRepository } from '../../src/edge/names';
import type { Need, RequestContext } from '../../src/edge/request-context';
import type { AskedScope, TokenRequest } from '../../src/edge/token-request';
import { Audit } from '../../src/journal/audit';
import type { RepositoryAction } from '../../src/oci/access';
import { OciError } from '../../src/oci/oci-error';
import { canonicalName, parseRepositoryName } from '../../src/oci/repository-name';
import { AccountsFolder } from './accounts';
import { settingsFor } from './behind-edge';

export const SECRET = 'a secret of more than thirty-two bytes';

/** The registry that logins are for, and another one. */
export const hub = plainRegistry('docker.io', new URL('https://registry-1.docker.io'));
export const quay = plainRegistry('quay.io', new URL('https://quay.io'));

/** The real accounts on a folder of their own. */
export function openAccounts(): Promise<Accounts> {
  return new AccountsFolder().open({ watch: false });
}

/** An audit trail, and its lines. */
export function trailOf() {
  const trail: Record<string, unknown>[] = [];
  const write = (line: string) => void trail.push(JSON.parse(line) as Record<string, unknown>);
  return { audit: new Audit(pino({ base: null, timestamp: false }, { write })), trail };
}

/** What decides over accounts, and the audit trail that it writes. */
export function authRoom(
  accounts: Accounts,
  overrides: Partial<Settings> = {},
  secrets = new Secrets(SECRET),
) {
  const settings = settingsFor(overrides);
  const { audit, trail } = trailOf();
  const policy = new AccessPolicy(settings, new Registries(new RegistryTable([hub, quay])));
  const jwt = new JwtService({ secretOrKeyProvider: keysOfTokens(secrets) });
  const tokens = new TokenService(jwt, accounts, secrets, settings);
  const refusals = new Refusals(audit);
  return { settings, trail, policy, jwt, secrets, tokens, refusals };
}

/** A repository as a client named it. */
export function named(repository: string, registry: Registry = hub): NamedRepository {
  const name = parseRepositoryName(repository)!;
  return { registry, repository: name, canonical: canonicalName(registry.name, name), asked: name };
}

/** What a request for a repository needs. */
export function needOf(
  repository: string,
  actions: readonly RepositoryAction[] = ['pull'],
  registry: Registry = hub,
): Need {
  return { kind: 'repository', name: named(repository, registry), actions };
}

/** A scope that is asked for. */
export function scopeOf(
  repository: string,
  actions: readonly RepositoryAction[] = ['pull'],
  registry: Registry = hub,
): AskedScope {
  return { type: 'repository', name: named(repository, registry), actions };
}

/** A request as the edge has read it: by default one for `/v2/` that shows nothing. */
export function requestFor(given: Partial<RequestContext> = {}): RequestContext {
  return {
    id: 'r1',
    method: 'GET',
    address: '192.0.2.1',
    client: '192.0.2.1',
    base: 'https://gate.example',
    addressCounts: true,
    home: hub,
    registry: hub,
    byHost: false,
    realm: 'https://gate.example/token',
    service: 'tidegate',
    asked: { noun: 'base' },
    need: { kind: 'login' },
    credentials: { scheme: 'none' },
    wantBody: () => undefined,
    ...given,
  };
}

/** A request to the token endpoint. */
export function tokenRequest(
  request: Partial<TokenRequest> = {},
  given: Partial<RequestContext> = {},
): RequestContext {
  const asked = { method: 'GET', grant: { kind: 'header' }, scopes: [], offline: false } as const;
  return requestFor({
    asked: { noun: 'token', request: { ...asked, ...request } },
    need: { kind: 'nothing' },
    ...given,
  });
}

/** Login by Authorization header. */
export function basic(username: string, password: string): RequestContext['credentials'] {
  return { scheme: 'basic', username, password };
}

export function bearer(token: string): RequestContext['credentials'] {
  return { scheme: 'bearer', token };
}

/** What a client is told: status, challenge and message of the refusal, or `undefined` where there was none. */
export async function refusalOf(deed: () => unknown) {
  try {
    await deed();
    return undefined;
  } catch (error) {
    if (!(error instanceof OciError)) throw error;
    return {
      status: error.status,
      challenge: error.headers['WWW-Authenticate'],
      message: error.message,
    };
  }
}
