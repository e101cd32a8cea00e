import { Inject, Injectable } from '@nestjs/common';
import { createHmac } from 'node:crypto';
import { Secrets, type SigningKeys } from '../../config/secrets';
import { Settings } from '../../config/settings';

/** ACCOUNTS in relay: the logins at the registry that are let through. Without any, all are. */
@Injectable()
export class RelayLogins {
  /** Only listed logins are let through. */
  readonly limited: boolean;
  readonly #passwords: ReadonlyMap<string, string>;

  constructor(
    @Inject(Settings) { accounts }: Settings,
    private readonly secrets: Secrets,
  ) {
    this.limited = accounts.length > 0;
    this.#passwords = new Map(accounts.map(({ username, password }) => [username, password]));
  }

  admits(username: string, password: string): boolean {
    if (!this.limited) return true;
    const listed = this.#passwords.get(username);
    // Compared as digests, which take the same time however much of them is right.
    const [one, other] = [password, listed ?? ''].map((text) =>
      digestOf(username, text, this.secrets.current),
    );
    return listed !== undefined && one === other;
  }

  /** What tokens carry of a listed login, so that they end with it; undefined where nobody is listed. */
  proofOf(username: string | undefined): string | undefined {
    return this.#proof(username, this.secrets.current);
  }

  /** Whether a proof that a token carries is that of a login which is listed now. */
  stands(username: string | undefined, proof: string | undefined): boolean {
    if (!this.limited || username === undefined) return true;
    return (
      proof !== undefined && this.secrets.keys.some((keys) => this.#proof(username, keys) === proof)
    );
  }

  #proof(username: string | undefined, keys: SigningKeys): string | undefined {
    const password = username === undefined ? undefined : this.#passwords.get(username);
    return password === undefined || username === undefined
      ? undefined
      : digestOf(username, password, keys);
  }
}

function digestOf(username: string, password: string, { seal }: SigningKeys): string {
  const login = JSON.stringify([username, password]);
  return createHmac('sha256', seal).update(`relay login ${login}`).digest('base64url');
}
