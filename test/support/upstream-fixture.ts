/** The upstream room put together by hand, as its module does it, with short limits. */
import { pino } from 'pino';
import { plainRegistry } from '../../src/config/built-in-registries';
import type { Registry } from '../../src/config/registry-table';
import type { OutgoingProxy, Settings } from '../../src/config/settings';
import { Dialer } from '../../src/upstream/dialer';
import { LoginRelay } from '../../src/upstream/login-relay';
import { EgressPolicy } from '../../src/upstream/egress-policy';
import { Logins } from '../../src/upstream/logins';
import { UpstreamPatience } from '../../src/upstream/patience';
import { Mirrors } from '../../src/upstream/mirrors';
import { RegistryClient } from '../../src/upstream/registry-client';
import { Redirects } from '../../src/upstream/redirects';
import { TokenEndpoint } from '../../src/upstream/token-endpoint';
import { Transport } from '../../src/upstream/transport';
import { UpstreamClient } from '../../src/upstream/upstream.client';
import { UpstreamFaults } from '../../src/upstream/upstream-faults';
import { UpstreamTokens } from '../../src/upstream/upstream-tokens';

export interface UpstreamFixture {
  readonly client: UpstreamClient;
  readonly relay: LoginRelay;
  readonly tokens: UpstreamTokens;
  readonly policy: EgressPolicy;
  readonly dialer: Dialer;
  readonly faults: UpstreamFaults;
  /** Everything that was logged, at debug level. */
  readonly logged: string[];
  /** Moves the clock of the client's patience on. */
  readonly later: (milliseconds: number) => void;
}

export interface UpstreamLimits {
  readonly connectTimeout?: number;
  readonly headerTimeout?: number;
  readonly idleTimeout?: number;
  readonly outgoingProxy?: OutgoingProxy;
}

export function upstreamFixture(limits: UpstreamLimits = {}): UpstreamFixture {
  const {
    connectTimeout = 4_000,
    headerTimeout = 5_000,
    idleTimeout = 5_000,
    outgoingProxy = { except: '' },
  } = limits;
  const settings = {
    upstream: { connectTimeout, headerTimeout, idleTimeout },
    outgoingProxy,
  } as Settings;
  const logged: string[] = [];
  const log = pino({ level: 'debug' }, { write: (line: string) => void logged.push(line) });
  const policy = new EgressPolicy();
  const dialer = new Dialer(settings, policy);
  const faults = new UpstreamFaults();
  const transport = new Transport(settings, log, dialer, faults);
  let ahead = 0;
  const now = () => performance.now() + ahead;
  const logins = new Logins(faults, log, now);
  const endpoint = new TokenEndpoint(transport, policy, logins, log);
  const tokens = new UpstreamTokens(transport, endpoint, logins);
  const registries = new RegistryClient(
    transport,
    tokens,
    new Redirects(transport, policy, log),
    new UpstreamPatience(faults, logins, log, now),
  );
  const relay = new LoginRelay(transport, endpoint, now);
  const client = new UpstreamClient(registries, new Mirrors(registries, log), transport);
  const later = (milliseconds: number) => void (ahead += milliseconds);
  return { client, relay, tokens, policy, dialer, faults, logged, later };
}

/** A registry of the table, with nothing but what is given. */
export function registryAt(url: string | URL, more: Partial<Registry> = {}): Registry {
  const at = new URL(url);
  return { ...plainRegistry(at.host, at), ...more };
}
