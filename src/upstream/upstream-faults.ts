/** What is wrong with upstreams that an operator has to look at. */
import { Injectable } from '@nestjs/common';

/** Which of a registry's hosts is asked: itself, its token endpoint, or where its redirects lead. */
export type Peer = 'registry' | 'tokens' | 'content';

/** What is wrong. A host that answers with errors is none of these: it can be asked, and says so itself. */
type FaultKind = 'silent' | 'untrusted' | 'refused';

export interface UpstreamFault {
  readonly registry: string;
  readonly kind: FaultKind;
  /** A sentence that names the registry, and neither an address nor a secret. */
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

  readonly #listeners: ((registry: string, taken: boolean) => void)[] = [];

  /** Calls back whenever a registry takes or refuses the gate's own credentials. */
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

  /** The gate's own credentials were taken. */
  noteAccepted(registry: string): void {
    this.#faults.delete(keyOf(registry, 'credentials'));
    for (const listener of this.#listeners) listener(registry, true);
  }

  /** The gate's own credentials were refused. */
  noteRefused(registry: string): void {
    const message = `the gate's own credentials for ${registry} are refused there`;
    this.#note(keyOf(registry, 'credentials'), registry, 'refused', message);
    for (const listener of this.#listeners) listener(registry, false);
  }

  /** True while the registry is known to refuse the gate's own credentials. */
  refuses(registry: string): boolean {
    return this.#faults.has(keyOf(registry, 'credentials'));
  }

  /** Oldest first. */
  get all(): readonly UpstreamFault[] {
    return [...this.#faults.values()];
  }

  #note(key: string, registry: string, kind: FaultKind, message: string): void {
    const known = this.#faults.get(key);
    const since = known?.kind === kind ? known.since : new Date();
    this.#faults.set(key, { registry, kind, message, since });
  }
}

function keyOf(registry: string, part: Peer | 'credentials'): string {
  return `${part} ${registry}`;
}
