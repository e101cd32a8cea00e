/** What is wrong with upstreams that an operator has to look at. */
import { Injectable } from '@nestjs/common';
import type { Registry, RegistryCredentials } from '../config/registry-table';

/** Which of a registry's hosts is asked: itself, its token endpoint, or where its redirects lead. */
export type Peer = 'registry' | 'tokens' | 'content';

/** What is wrong. A host that answers with errors is none of these: it can be asked, and says so itself. */
type FaultKind = 'silent' | 'untrusted' | 'refused';

export interface UpstreamFault {
  readonly registry: string;
  readonly kind: FaultKind;
  /** A sentence that names the registry, of refused credentials the user, and neither an address nor a secret. */
  readonly message: string;
  /** Since when there has been no better news. */
  readonly since: Date;
}

/**
 * Which registries cannot be reached, are not trusted, or refuse the gate's own credentials. Learnt from the requests
 * themselves: nobody is asked for it, so what nobody uses is not known.
 */
@Injectable()
export class UpstreamFaults {
  /** One entry at most for each part of a registry: each is mended, and heard of, by itself. */
  readonly #faults = new Map<string, UpstreamFault>();

  /** By the registry's name, which of its logins it refuses, as far as is known. */
  readonly #refused = new Map<
    string,
    { readonly all: Set<string>; readonly refused: Set<string> }
  >();

  readonly #listeners: ((registry: string, taken: boolean) => void)[] = [];

  /** Calls back whenever a registry takes credentials of the gate's own, and when it refuses all that there are. */
  onCredentials(listener: (registry: string, taken: boolean) => void): void {
    this.#listeners.push(listener);
  }

  /** A host gave an HTTP answer, whatever it says. */
  noteAnswer(registry: string, peer: Peer): void {
    this.#faults.delete(keyOf(registry, peer));
  }

  /** No answer could be had of a host. */
  noteFailure(
    registry: string,
    peer: Peer,
    kind: Exclude<FaultKind, 'refused'>,
    message: string,
  ): void {
    this.#note(keyOf(registry, peer), registry, kind, message);
  }

  /** Credentials of the gate's own were taken. */
  noteAccepted(registry: Registry, credentials: RegistryCredentials): void {
    const { name } = registry;
    const login = loginOf(credentials);
    this.#accountsOf(registry).refused.delete(login);
    this.#faults.delete(accountKeyOf(name, login));
    for (const listener of this.#listeners) listener(name, true);
  }

  /** Credentials of the gate's own were refused. */
  noteRefused(registry: Registry, credentials: RegistryCredentials): void {
    const { name } = registry;
    const login = loginOf(credentials);
    this.#accountsOf(registry).refused.add(login);
    const message = `the gate's own credentials for ${name} (user ${credentials.username}) are refused there`;
    this.#note(accountKeyOf(name, login), name, 'refused', message);
    if (this.refuses(name)) for (const listener of this.#listeners) listener(name, false);
  }

  /** True while the registry is known to refuse all credentials of the gate's own. */
  refuses(registry: string): boolean {
    const accounts = this.#refused.get(registry);
    return accounts !== undefined && accounts.refused.size === accounts.all.size;
  }

  /** Oldest first. */
  get all(): readonly UpstreamFault[] {
    return [...this.#faults.values()];
  }

  /**
   * The table of registries was changed: what is still wrong will be heard of again. Refused credentials are not shown again so
   * soon; they stay, where the registry and its account do.
   * @param byName what stands in the new table.
   */
  forget(byName: (registry: string) => Registry | undefined): void {
    for (const [key, { registry, kind }] of this.#faults)
      if (kind !== 'refused' || !byName(registry)) this.#faults.delete(key);
    for (const name of this.#refused.keys()) {
      const registry = byName(name);
      if (registry) this.#accountsOf(registry);
      if (!registry || registry.credentials.length === 0) this.#refused.delete(name);
    }
  }

  /** What was said of accounts that are no longer configured is forgotten. */
  #accountsOf({ name, credentials }: Registry) {
    const all = new Set(credentials.map(loginOf));
    const refused = this.#refused.get(name)?.refused ?? new Set<string>();
    for (const login of refused) {
      if (all.has(login)) continue;
      refused.delete(login);
      this.#faults.delete(accountKeyOf(name, login));
    }
    const accounts = { all, refused };
    this.#refused.set(name, accounts);
    return accounts;
  }

  #note(key: string, registry: string, kind: FaultKind, message: string): void {
    const known = this.#faults.get(key);
    const since = known?.kind === kind ? known.since : new Date();
    this.#faults.set(key, { registry, kind, message, since });
  }
}

function keyOf(registry: string, part: Peer): string {
  return `${part} ${registry}`;
}

function accountKeyOf(registry: string, login: string): string {
  return `account ${registry} ${login}`;
}

/** A user may stand there with two passwords, while one takes the place of the other. It is a secret: a key, and nothing else. */
function loginOf({ username, password }: RegistryCredentials): string {
  return JSON.stringify([username, password]);
}
