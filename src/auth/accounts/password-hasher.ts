/** bcrypt, within bounds: its work starves everything else of the process's few threads when it is not kept in turn. */
import { compare, hash } from 'bcrypt';
import { OciError } from '../../oci/oci-error';
import { asHtpasswdHash, asLibraryHash, COST, dummyHash, MAX_COST } from './password-hash';

/** bcrypt looks at no more than this. */
export const MAX_PASSWORD_BYTES = 72;

/** Comparisons under way at once, waiting, and both together for one client address. */
const RUNNING = 2;
const WAITING = 32;
const PER_ADDRESS = 2;
/** New passwords that wait to be hashed. */
const WAITING_NEW = 1000;

/** The two functions of bcrypt; specs count the work with them. */
export interface Bcrypt {
  compare(password: string, hash: string): Promise<boolean>;
  hash(password: string, costOrSalt: number | string): Promise<string>;
}

/** Why a text cannot be a password here, or undefined. The reason never holds the text. */
export function passwordFault(password: string): string | undefined {
  if (password === '') return 'the password is empty';
  if (Buffer.byteLength(password) > MAX_PASSWORD_BYTES) {
    return `the password is longer than ${MAX_PASSWORD_BYTES} bytes (UTF-8), of which bcrypt would look at no more`;
  }
  if (password.includes('\0')) return 'the password holds a NUL, where bcrypt would end it';
  if (!password.isWellFormed()) return 'the password is not well-formed Unicode';
  return undefined;
}

/** Makes and compares password hashes. */
export class PasswordHasher {
  readonly #bcrypt: Bcrypt;
  readonly #comparing = new Turns(RUNNING, WAITING);
  readonly #making = new Turns(RUNNING, WAITING_NEW);
  readonly #byAddress = new Map<string, number>();
  readonly #dummies = Array.from({ length: MAX_COST + 1 }, (_, cost) => dummyHash(cost));

  constructor(bcrypt: Bcrypt = { compare, hash }) {
    this.#bcrypt = bcrypt;
  }

  /** The hash of a new password, as htpasswd files write it. Throws BODY_INVALID for one that cannot be set. */
  async make(password: string, salt: number | string = COST): Promise<string> {
    const fault = passwordFault(password);
    if (fault) throw new OciError('BODY_INVALID', { message: fault });
    return this.#making.take(async () => asHtpasswdHash(await this.#bcrypt.hash(password, salt)));
  }

  /**
   * Compares, and makes every failure cost the same: 2^`highest` rounds, whether the account exists or not, and however
   * cheap its own hash is. A password that could not have been set never matches.
   * @param hash of the account, with its cost; undefined when there is none that may log in
   * @param highest cost of any account
   * @throws TOOMANYREQUESTS when too many wait, or too many of this address
   */
  async matches(
    password: string,
    hash: { readonly text: string; readonly cost: number } | undefined,
    highest: number,
    address: string,
  ): Promise<boolean> {
    const held = this.#byAddress.get(address) ?? 0;
    if (held >= PER_ADDRESS) throw tooMany();
    this.#byAddress.set(address, held + 1);
    try {
      const comparable = passwordFault(password) === undefined ? hash : undefined;
      return await this.#comparing.take(() => this.#compare(password, comparable, highest));
    } finally {
      const left = (this.#byAddress.get(address) ?? 1) - 1;
      if (left > 0) this.#byAddress.set(address, left);
      else this.#byAddress.delete(address);
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
class Turns {
  #running = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(
    readonly maxRunning: number,
    readonly maxWaiting: number,
  ) {}

  async take<T>(task: () => Promise<T>): Promise<T> {
    if (this.#running < this.maxRunning) this.#running++;
    else {
      if (this.#waiting.length >= this.maxWaiting) throw tooMany();
      // Whoever leaves hands the turn over, so that nobody slips in between.
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
