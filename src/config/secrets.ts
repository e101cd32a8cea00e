/** The gate's keys: they sign tokens, and seal what clients carry for the gate and can neither read nor alter. */
import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createSecretKey,
  hkdfSync,
  randomBytes,
  type KeyObject,
} from 'node:crypto';

/** The keys that are derived from one secret. */
export interface SigningKeys {
  /** Key id: the `kid` of tokens, and part of each seal. Says nothing of the keys but which they are. */
  readonly id: string;
  /** HMAC-SHA256, 32 bytes. */
  readonly sign: KeyObject;
  /** AES-256-GCM. */
  readonly seal: KeyObject;
}

/** A sealed text longer than this is not looked at. */
const MAX_SEALED = 8 * 1024;

const VERSION = Buffer.from([1]);
const ID_BYTES = 8;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const HEADER_BYTES = VERSION.length + ID_BYTES;
const MIN_BYTES = HEADER_BYTES + NONCE_BYTES + TAG_BYTES;

/** A key for one use, so that no signature can pass for a seal or the other way round. RFC 5869. */
function derive(secret: string, label: string): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, '', label, 32));
}

function keysOf(secret: string): SigningKeys {
  const sign = derive(secret, 'tidegate token v1');
  return {
    id: createHash('sha256').update(sign).digest().subarray(0, ID_BYTES).toString('base64url'),
    sign: createSecretKey(sign),
    seal: createSecretKey(derive(secret, 'tidegate seal v1')),
  };
}

/** What the seal vouches for besides the payload: its own header, and what it was made for. */
function context(header: Buffer, purpose: string): Buffer {
  return Buffer.concat([header, Buffer.from(purpose)]);
}

/** The keys in force, and those of the secret before them. */
export class Secrets {
  readonly current: SigningKeys;
  /** All of them, the current ones first. Those of the secret before verify and unseal, and never sign or seal. */
  readonly keys: readonly SigningKeys[];

  /** @param current a secret of at least 32 bytes. @param previous the one that was in force before. */
  constructor(current: string, previous?: string) {
    this.current = keysOf(current);
    const before = previous === undefined || previous === current ? [] : [keysOf(previous)];
    this.keys = [this.current, ...before];
  }

  /**
   * Seals a payload into text (base64url) that only this gate can read, and only for the same purpose:
   * version (1 byte), key id (8), nonce (12), tag (16), ciphertext of the payload's JSON. The nonce is random; by NIST
   * SP 800-38D §8.3 one secret is good for 2^32 seals.
   * @throws Error when the payload is too large to be read back.
   */
  seal(purpose: string, payload: object): string {
    const header = Buffer.concat([VERSION, Buffer.from(this.current.id, 'base64url')]);
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv('aes-256-gcm', this.current.seal, nonce, {
      authTagLength: TAG_BYTES,
    });
    cipher.setAAD(context(header, purpose));
    const sealed = Buffer.concat([cipher.update(JSON.stringify(payload), 'utf8'), cipher.final()]);
    const text = Buffer.concat([header, nonce, cipher.getAuthTag(), sealed]).toString('base64url');
    if (text.length > MAX_SEALED)
      throw new Error(`the payload of "${purpose}" is too large to seal`);
    return text;
  }

  /** The payload of a seal made for this purpose, or undefined when the text is anything else or was altered. */
  unseal(purpose: string, text: string): unknown {
    if (text.length > MAX_SEALED) return undefined;
    const bytes = Buffer.from(text, 'base64url');
    // The decoder forgives stray characters and spare bits; a seal has one spelling alone.
    if (bytes.length < MIN_BYTES || bytes.toString('base64url') !== text) return undefined;
    const header = bytes.subarray(0, HEADER_BYTES);
    const id = header.subarray(VERSION.length).toString('base64url');
    const keys = this.keys.find((candidate) => candidate.id === id);
    if (!keys || !header.subarray(0, VERSION.length).equals(VERSION)) return undefined;
    return open(keys.seal, context(header, purpose), bytes.subarray(HEADER_BYTES));
  }
}

/** @param body nonce, tag and ciphertext. */
function open(key: KeyObject, aad: Buffer, body: Buffer): unknown {
  const nonce = body.subarray(0, NONCE_BYTES);
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES });
  decipher.setAAD(aad);
  decipher.setAuthTag(body.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES));
  try {
    const plain = [decipher.update(body.subarray(NONCE_BYTES + TAG_BYTES)), decipher.final()];
    return JSON.parse(Buffer.concat(plain).toString('utf8'));
  } catch {
    return undefined;
  }
}
