/** bcrypt hashes as texts: their form, their cost, and the fingerprint by which tokens and accounts.json know them. */
import { createHash, randomInt } from 'node:crypto';

/** The most that a line of the file may ask for: each step doubles the work, and 14 is about a second. */
export const MAX_COST = 14;
/** Of the hashes made here. */
export const COST = 10;

const BCRYPT = /^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}$/;
const BCRYPT_ALPHABET = './ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';

/** The cost of a bcrypt hash, or undefined when the text is none. */
export function costOf(hash: string): number | undefined {
  const cost = BCRYPT.exec(hash)?.[1];
  return cost === undefined ? undefined : Number(cost);
}

/** `$2y$` is what htpasswd writes and Apache reads, `$2b$` what the bcrypt library knows: the same algorithm. */
export function asLibraryHash(hash: string): string {
  return hash.replace(/^\$2y\$/, '$2b$');
}

/** The form that every reader of htpasswd files takes. */
export function asHtpasswdHash(hash: string): string {
  return hash.replace(/^\$2b\$/, '$2y$');
}

/** Names a hash without giving it away: base64url of the first 16 bytes of its sha256. */
export function fingerprintOf(hash: string): string {
  return createHash('sha256')
    .update(asLibraryHash(hash))
    .digest()
    .subarray(0, 16)
    .toString('base64url');
}

/**
 * A salt that is the same for a name at every start. The hash of a fixed account, and with it the fingerprint that its
 * tokens carry, must outlive a restart; nothing of it is kept on disk.
 */
export function fixedSalt(username: string): string {
  const bytes = createHash('sha256').update(`fixed account ${username}`).digest();
  // The 22nd character holds two bits of the salt only; `u` is one of the four that a bcrypt salt may end in.
  const text = [...bytes.subarray(0, 21)].map((byte) => BCRYPT_ALPHABET[byte % 64]).join('');
  return `$2b$${COST}$${text}u`;
}

/** A well-formed hash of no password at all: comparing with it costs what a real one of that cost does. */
export function dummyHash(cost: number): string {
  const text = Array.from({ length: 53 }, () => BCRYPT_ALPHABET[randomInt(64)]).join('');
  return `$2b$${String(cost).padStart(2, '0')}$${text}`;
}
