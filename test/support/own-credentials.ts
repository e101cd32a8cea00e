/**
 * Servers of the tests know which credentials are theirs to see. Any other fails the test in which it comes, without
 * the test's asking; importing this file is enough.
 */

/** An Authorization, a Proxy-Authorization or a Cookie, whole; or how to know one. */
export type Credential = string | RegExp | ((value: string) => boolean);

/** Headers that carry one. */
export const CREDENTIAL = /^(?:authorization|proxy-authorization|cookie2?)$/i;
const watched = new Set<OwnCredentials>();

export class OwnCredentials {
  readonly #own: Credential[];
  #foreign: string[] = [];

  /** @param where as the failure names the server. */
  constructor(
    readonly where: string,
    own: readonly Credential[] = [],
  ) {
    this.#own = [...own];
    watched.add(this);
  }

  add(...own: Credential[]): void {
    this.#own.push(...own);
  }

  /** Looks at a request's headers as they came: a name, its value, and so on. */
  note(rawHeaders: readonly string[]): void {
    for (let at = 0; at < rawHeaders.length; at += 2) {
      const [name = '', value = ''] = rawHeaders.slice(at, at + 2);
      if (CREDENTIAL.test(name) && !this.#knows(value)) this.#foreign.push(`${name}: ${value}`);
    }
  }

  /** What came since the last look, and was none of its own. */
  takeForeign(): string[] {
    // Once more: what a test calls its own may have come a moment before.
    const foreign = this.#foreign.filter((line) => !this.#knows(line.replace(/^[^:]*: /, '')));
    this.#foreign = [];
    return foreign.map((line) => `${this.where} was shown ${line}`);
  }

  #knows(value: string): boolean {
    return this.#own.some((own) => {
      if (typeof own === 'function') return own(value);
      return typeof own === 'string' ? own === value : own.test(value);
    });
  }
}

/** Runs after each test of every spec with such a server. */
export function failOnForeign(): void {
  const foreign = [...watched].flatMap((server) => server.takeForeign());
  if (foreign.length > 0) throw new Error(`credentials in the wrong hands: ${foreign.join('; ')}`);
}

afterEach(failOnForeign);
afterAll(failOnForeign);
