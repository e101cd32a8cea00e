/** bcrypt, within bounds: its work starves everything else of the process's few threads when it is not kept in turn. */
import { compare, hash } from 'bcrypt';
import { PASSWORD_RULE, passwordFault } from '../../config/account-grammar';
import { OciError } from '../../oci/oci-error';
import { asHtpasswdHash, asLibraryHash, COST, dummyHash, MAX_COST } from './password-hash';

/** Comparisons under way at once, waiting, and both together for one client. */
const RUNNING = 2;
const WAITING = 32;
const PER_CLIENT = 2;
/** New passwords that wait to be hashed. */
const WAITING_NEW = 1000;

/** The two functions of bcrypt; specs count the work with them. */
export interface Bcrypt {
  compare(password: string, hash: string): Promise<boolean>;
  hash(password: string, costOrSalt: number | string): Promise<string>;
}

/** Makes and compares password hashes. */
export class PasswordHasher {
  readonly #bcrypt: Bcrypt;
  readonly #comparing = new Slots(RUNNING, WAITING);
  readonly #making = new Slots(RUNNING, WAITING_NEW);
  readonly #byClient = new Map<string, number>();
  readonly #dummies = Array.from({ length: MAX_COST + 1 }, (_, cost) => dummyHash(cost));

  constructor(bcrypt: Bcrypt = { compare, hash }) {
    this.#bcrypt = bcrypt;
  }

  /** The hash of a new password, as htpasswd files write it. @throws OciError BODY_INVALID for one that cannot be. */
  async make(password: string, salt: number | string = COST): Promise<string> {
    const fault = passwordFault(password);
    if (fault) {
      throw new OciError('BODY_INVALID', {
        message: `password: ${fault}; give ${PASSWORD_RULE}`,
      });
    }
    return this.#making.run(async () => asHtpasswdHash(await this.#bcrypt.hash(password, salt)));
  }

  /**
   * Compares, and makes every failure cost the same: 2^`highest` rounds, whether the account exists or not, and however
   * cheap its own hash is. A password that could not have been set never matches.
   * @param hash of the account, with its cost; undefined when there is none that may log in
   * @param highest cost of any account
   * @param client whom the hashing is counted for: an address, of IPv6 the /64
   * @throws OciError TOOMANYREQUESTS when too many wait, or too many of this client
   */
  async matches(
    password: string,
    hash: { readonly text: string; readonly cost: number } | undefined,
    highest: number,
    client: string,
  ): Promise<boolean> {
    const held = this.#byClient.get(client) ?? 0;
    if (held >= PER_CLIENT) throw tooMany();
    this.#byClient.set(client, held + 1);
    try {
      const comparable = passwordFault(password) === undefined ? hash : undefined;
      return await this.#comparing.run(() => this.#compare(password, comparable, highest));
    } finally {
      const left = (this.#byClient.get(client) ?? 1) - 1;
      if (left > 0) this.#byClient.set(client, left);
      else this.#byClient.delete(client);
    }
  }

  async #compare(
    password: string,
    hash: { readonly text: string; readonly cost: number } | undefined,
    highest: number,
  ): Promise<boolean> {
    if (!hash) {
      await this.#compareWithDummy(highest);
      return false;
    }
    if (await this.#bcrypt.compare(password, asLibraryHash(hash.text))) return true;
    // 2^c + (2^c + 2^(c+1) + … + 2^(highest-1)) = 2^highest
    for (let cost = hash.cost; cost < highest; cost++) await this.#compareWithDummy(cost);
    return false;
  }

  async #compareWithDummy(cost: number): Promise<void> {
    await this.#bcrypt.compare('no password', this.#dummies[cost] ?? dummyHash(cost));
  }
}

function tooMany(): OciError {
  return new OciError('TOOMANYREQUESTS', {
    message: 'too many logins at once; try again in a second',
    headers: { 'Retry-After': '1' },
  });
}

/** Lets so many tasks run and so many wait, first come first served. */
class Slots {
  #running = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(
    readonly maxRunning: number,
    readonly maxWaiting: number,
  ) {}

  async run<T>(task: () => Promise<T>): Promise<T> {
    if (this.#running < this.maxRunning) this.#running++;
    else {
      if (this.#waiting.length >= this.maxWaiting) throw tooMany();
      // Whoever leaves hands the slot over, so that nobody slips in between.
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    try {
      return await task();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#running--;
    }
  }
}
