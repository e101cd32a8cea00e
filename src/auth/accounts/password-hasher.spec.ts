import { compare, hash } from 'bcrypt';
import { costOf, dummyHash } from './password-hash';
import { PasswordHasher, type Bcrypt } from './password-hasher';

/** bcrypt that counts its rounds; with `held`, it answers only when it is let go. */
class CountingBcrypt implements Bcrypt {
  rounds = 0;
  running = 0;
  mostRunning = 0;
  readonly #held: (() => void)[] = [];

  constructor(readonly hold = false) {}

  async compare(password: string, text: string): Promise<boolean> {
    this.rounds += 2 ** (costOf(text) ?? NaN);
    return this.#count(() => compare(password, text));
  }

  hash(password: string, costOrSalt: number | string): Promise<string> {
    return this.#count(() => hash(password, costOrSalt));
  }

  letGo(): void {
    for (const go of this.#held.splice(0)) go();
  }

  async #count<T>(work: () => Promise<T>): Promise<T> {
    this.mostRunning = Math.max(this.mostRunning, ++this.running);
    if (this.hold) await new Promise<void>((resolve) => this.#held.push(resolve));
    try {
      return await work();
    } finally {
      this.running--;
    }
  }
}

const PASSWORD = 'correct horse';

describe('PasswordHasher', () => {
  it('takes htpasswd’s $2y$ hashes, and makes such', async () => {
    const hasher = new PasswordHasher();
    const text = await hasher.make(PASSWORD, 4);

    expect(text).toMatch(/^\$2y\$04\$/);
    expect(await hasher.matches(PASSWORD, { text, cost: 4 }, 4, 'a')).toBe(true);
    expect(await hasher.matches('wrong', { text, cost: 4 }, 4, 'a')).toBe(false);
  });

  it('S18: does the same work for every failure, whatever the account and its hash', async () => {
    const highest = 10;
    const rounds: number[] = [];
    const failing = async (password: string, cost: number | undefined) => {
      const bcrypt = new CountingBcrypt();
      const hash = cost === undefined ? undefined : { text: dummyHash(cost), cost };
      await new PasswordHasher(bcrypt).matches(password, hash, highest, 'a');
      rounds.push(bcrypt.rounds);
    };

    await failing('wrong', undefined);
    for (const cost of [4, 5, 7, 9, 10]) await failing('wrong', cost);
    for (const password of ['', 'x'.repeat(73), 'a\0b', '\ud800']) await failing(password, 5);

    expect(new Set(rounds)).toEqual(new Set([2 ** highest]));
  });

  it('S19: never matches a password by its first 72 bytes, nor up to a NUL', async () => {
    const hasher = new PasswordHasher();
    const full = 'é'.repeat(36);
    const text = await hasher.make(full, 4);
    const short = await hasher.make('abc', 4);

    expect(await hasher.matches(full, { text, cost: 4 }, 4, 'a')).toBe(true);
    expect(await hasher.matches(`${full}x`, { text, cost: 4 }, 4, 'a')).toBe(false);
    expect(await hasher.matches('abc\0def', { text: short, cost: 4 }, 4, 'a')).toBe(false);
    await expect(hasher.make(`${full}x`)).rejects.toMatchObject({
      code: 'BODY_INVALID',
      message: expect.stringContaining('72 bytes') as string,
    });
    await expect(hasher.make('')).rejects.toMatchObject({ code: 'BODY_INVALID' });
    await expect(hasher.make('a\0b')).rejects.toMatchObject({ code: 'BODY_INVALID' });
    expect(await hasher.make('x'.repeat(72), 4)).toMatch(/^\$2y\$/);
  });

  it('S20: runs two at once, lets 32 wait, and refuses the rest with Retry-After', async () => {
    const bcrypt = new CountingBcrypt(true);
    const hasher = new PasswordHasher(bcrypt);
    const login = (index: number) => hasher.matches('wrong', undefined, 4, `address ${index}`);
    const all = Array.from({ length: 50 }, (_, index) => login(index));
    const settled = Promise.allSettled(all);
    const letting = setInterval(() => bcrypt.letGo(), 1);

    const results = await settled;
    clearInterval(letting);

    const refused = results.filter(({ status }) => status === 'rejected');
    expect(refused).toHaveLength(50 - 34);
    expect(refused[0]).toMatchObject({
      reason: { code: 'TOOMANYREQUESTS', headers: { 'Retry-After': '1' } },
    });
    expect(bcrypt.mostRunning).toBe(2);
  });

  it('S21: gives a client two places at most, so that the others keep theirs', async () => {
    const bcrypt = new CountingBcrypt(true);
    const hasher = new PasswordHasher(bcrypt);
    const text = dummyHash(4);
    const login = (client: string) => hasher.matches('x', { text, cost: 4 }, 4, client);
    const first = [login('a'), login('a')];

    await expect(login('a')).rejects.toMatchObject({ code: 'TOOMANYREQUESTS' });
    const other = login('b');
    const letting = setInterval(() => bcrypt.letGo(), 1);
    expect(await Promise.all([...first, other])).toEqual([false, false, false]);
    expect(await login('a')).toBe(false);
    clearInterval(letting);
  });

  it('hashes any number of new passwords, two at once, beside the logins', async () => {
    const bcrypt = new CountingBcrypt();
    const hasher = new PasswordHasher(bcrypt);

    const made = await Promise.all(Array.from({ length: 50 }, () => hasher.make(PASSWORD, 4)));

    expect(new Set(made).size).toBe(50);
    expect(bcrypt.mostRunning).toBe(2);
  });
});
