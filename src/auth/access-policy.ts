import { Inject, Injectable } from '@nestjs/common';
import ipaddr from 'ipaddr.js';
import { Registries, type RegistryTable } from '../config/registry-table';
import { Settings } from '../config/settings';
import type { RequestContext } from '../edge/request-context';
import type { AskedScope } from '../edge/token-request';
import type { Access, RepositoryAction } from '../oci/access';
import type { CanonicalName } from '../oci/repository-name';
import type { AccessRule, Account } from './accounts/account';
import { compilePattern, completePattern, type NameTest } from './repository-pattern';

/** Somebody with an account, a reader who needs none, or a stranger: nobody that anything is served to. */
export type Subject = Account | 'anonymous' | undefined;

/** Which account may do what; denied is what nothing here allows. */
@Injectable()
export class AccessPolicy {
  readonly #trusted: readonly Network[];
  /** What readers without an account are shown by the gate's own credentials. */
  readonly #shown: readonly AccessRule[];
  /** By the list, which never changes: an account that does has another one. */
  readonly #compiled = new WeakMap<readonly AccessRule[], CompiledRules>();

  constructor(
    @Inject(Settings) private readonly settings: Settings,
    private readonly registries: Registries,
  ) {
    this.#trusted = settings.trustedNetworks
      .flatMap((text) => NAMED[text] ?? [text])
      .map(networkOf);
    this.#shown = settings.anonymousRepositories.map((repository) => ({
      repository,
      actions: ['pull'],
    }));
  }

  /** Who somebody without a login is here. */
  withoutLogin({ address, addressCounts }: RequestContext): 'anonymous' | undefined {
    if (this.settings.anonymousAccess === 'pull') return 'anonymous';
    return addressCounts && this.#isTrusted(address) ? 'anonymous' : undefined;
  }

  /** The rights of this moment. An ordinary account without a list may pull everything; an admin may do all. */
  may(subject: Subject, name: CanonicalName, action: RepositoryAction): boolean {
    if (!subject) return false;
    if (subject === 'anonymous') return action === 'pull';
    if (subject.role === 'admin') return true;
    if (!subject.access) return action === 'pull';
    return this.#allow(subject.access, name, action);
  }

  /** What of the asked-for scopes is granted, over canonical names; a scope of which nothing is granted is left out. */
  grant(subject: Subject, scopes: readonly AskedScope[]): Access[] {
    return grantOf(scopes, accountOf(subject) !== undefined, (name, action) =>
      this.may(subject, name, action),
    );
  }

  /** Whose credentials go upstream for this subject. */
  upstreamAs(subject: Subject, name: CanonicalName): 'anonymous' | 'configured' {
    if (accountOf(subject)) return 'configured';
    return this.#allow(this.#shown, name, 'pull') ? 'configured' : 'anonymous';
  }

  #allow(rules: readonly AccessRule[], name: CanonicalName, action: RepositoryAction): boolean {
    return this.#compiledOf(rules).some(
      ({ actions, matches }) => actions.includes(action) && matches(name),
    );
  }

  /** Made once: whoever lists a registry's repositories asks about each of them, and nobody else is served meanwhile. */
  #compiledOf(rules: readonly AccessRule[]): CompiledRules['rules'] {
    const table = this.registries.current;
    const known = this.#compiled.get(rules);
    if (known?.table === table) return known.rules;
    const compiled = rules.map(({ repository, actions }) => ({
      actions,
      matches: compilePattern(completePattern(repository, table)),
    }));
    this.#compiled.set(rules, { table, rules: compiled });
    return compiled;
  }

  #isTrusted(address: string): boolean {
    if (this.#trusted.length === 0 || !ipaddr.isValid(address)) return false;
    const client = ipaddr.process(address);
    return this.#trusted.some(
      ([network, bits]) => network.kind() === client.kind() && client.match(network, bits),
    );
  }
}

/** The account, where the subject has one. */
export function accountOf(subject: Subject): Account | undefined {
  return subject === 'anonymous' ? undefined : subject;
}

/**
 * What of the asked-for scopes is granted, over canonical names.
 * @param catalog whether listings of a whole registry are.
 */
export function grantOf(
  scopes: readonly AskedScope[],
  catalog: boolean,
  may: (name: CanonicalName, action: RepositoryAction) => boolean,
): Access[] {
  return scopes.flatMap((scope) => {
    if (scope.type === 'catalog')
      return catalog ? [{ type: 'registry', name: 'catalog', actions: ['*'] }] : [];
    const { canonical } = scope.name;
    const actions = scope.actions.filter((action) => may(canonical, action));
    return actions.length > 0 ? [{ type: 'repository', name: canonical, actions }] : [];
  });
}

/** True when a token's entries cover the action: they are the upper bound of what the token can be used for. */
export function covers(
  access: readonly Access[],
  name: CanonicalName,
  action: RepositoryAction,
): boolean {
  return access.some(
    (entry) => entry.type === 'repository' && entry.name === name && entry.actions.includes(action),
  );
}

/** True when a token's entries allow to list a registry's repositories. */
export function coversCatalog(access: readonly Access[]): boolean {
  return access.some(({ type, name }) => type === 'registry' && name === 'catalog');
}

/** A list of rules before the table of registries by which its patterns were completed. */
interface CompiledRules {
  readonly table: RegistryTable;
  readonly rules: readonly {
    readonly actions: readonly RepositoryAction[];
    readonly matches: NameTest;
  }[];
}

type Network = readonly [ipaddr.IPv4 | ipaddr.IPv6, number];

/** As TRUST_PROXY names them, too. */
const NAMED: Readonly<Record<string, readonly string[] | undefined>> = {
  loopback: ['127.0.0.1/8', '::1/128'],
  linklocal: ['169.254.0.0/16', 'fe80::/10'],
  uniquelocal: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7'],
};

/** The settings have checked that it is one. */
function networkOf(text: string): Network {
  if (text.includes('/')) return ipaddr.parseCIDR(text);
  const address = ipaddr.process(text);
  return [address, address.kind() === 'ipv4' ? 32 : 128];
}
