/** The rooms of relay, put together by hand: its tokens, and those who vouch, before a registry that is scripted. */
import { JwtService } from '@nestjs/jwt';
import { AccessPolicy } from '../../src/auth/access-policy';
import { PassthroughVoucher } from '../../src/auth/relay/passthrough.voucher';
import { RelayLogins } from '../../src/auth/relay/relay-logins';
import { RelayTokens } from '../../src/auth/relay/relay-tokens';
import { RelayVoucher } from '../../src/auth/relay/relay.voucher';
import {
  UpstreamLogin,
  type AskedOfClients,
  type TokenAnswer,
  type TokenQuestion,
} from '../../src/auth/relay/upstream-login';
import { VouchedByGate } from '../../src/auth/relay/vouched-by-gate';
import { VouchedByRegistry } from '../../src/auth/relay/vouched-by-registry';
import { Refusals } from '../../src/auth/refusals';
import { keysOfTokens } from '../../src/auth/token/token-keys';
import { Registries, RegistryTable, type Registry } from '../../src/config/registry-table';
import { Secrets } from '../../src/config/secrets';
import type { FixedAccount, Settings } from '../../src/config/settings';
import type { RequestContext } from '../../src/edge/request-context';
import { hub, quay, refusalOf, requestFor, SECRET, trailOf } from './auth-room';
import { settingsFor } from './behind-edge';

export function relayTokens(
  accounts: FixedAccount[] = [],
  secret = SECRET,
  before?: string,
): RelayTokens {
  const settings = settingsFor({ authMode: 'relay', accounts });
  const secrets = new Secrets(secret, before);
  const jwt = new JwtService({ secretOrKeyProvider: keysOfTokens(secrets) });
  return new RelayTokens(jwt, secrets, new RelayLogins(settings, secrets), settings);
}

/** The registry of logins here: what it asks, whom it knows, and what it was asked. Any other one fails the test. */
export class ScriptedLogin extends UpstreamLogin {
  asked: AskedOfClients = { scheme: 'bearer', service: 'registry.docker.io' };
  answer: TokenAnswer | undefined = { token: 'of-the-registry', life: 300.9 };
  readonly questions: TokenQuestion[] = [];
  readonly logins: string[] = [];

  asks(registry: Registry): Promise<AskedOfClients> {
    expect(registry).toBe(hub);
    return Promise.resolve(this.asked);
  }

  takes(registry: Registry, username: string, password: string): Promise<boolean> {
    expect(registry).toBe(hub);
    this.logins.push(username);
    return Promise.resolve(password === 'right');
  }

  token(registry: Registry, question: TokenQuestion): Promise<TokenAnswer | undefined> {
    expect(registry).toBe(hub);
    this.questions.push(question);
    return Promise.resolve(this.answer);
  }
}

/** Those who vouch in relay and in passthrough. */
export function relayRoom(overrides: Partial<Settings> = {}) {
  const settings = settingsFor({ authMode: 'relay', ...overrides });
  const { audit, trail } = trailOf();
  const tokens = relayTokens(settings.accounts as FixedAccount[]);
  const logins = new RelayLogins(settings, new Secrets(SECRET));
  const policy = new AccessPolicy(settings, new Registries(new RegistryTable([hub, quay])));
  const refusals = new Refusals(audit);
  const upstream = new ScriptedLogin();
  const voucher = new RelayVoucher(
    upstream,
    new VouchedByGate(tokens, logins, policy, refusals),
    new VouchedByRegistry(upstream, tokens, logins, policy, refusals),
  );
  const passthrough = new PassthroughVoucher(tokens);
  const admit = async (
    given: Partial<RequestContext>,
    by = voucher as { admit(c: RequestContext): Promise<void> },
  ) => {
    const context = requestFor(given);
    const refusal = await refusalOf(() => by.admit(context));
    return { refusal, identity: context.identity };
  };
  return { voucher, passthrough, upstream, tokens, trail, admit };
}
