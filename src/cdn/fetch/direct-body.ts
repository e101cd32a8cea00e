import type { Hash } from 'node:crypto';
import { hasherFor, type Digest } from '../../oci/digest';
import type { Body } from '../body/body';
import { assertDigest, DigestMismatch } from './digest-mismatch';
import { ClientGone, Outlet } from '../body/outlet';
import type { UpstreamContent } from './upstream-content';

/** Content on its way from an upstream to one client, past the cache. */
export interface Passage {
  /** Where the client's bytes begin, and end, in the whole content; to its end without `to`. */
  readonly from: number;
  readonly to?: number | undefined;
  /** With it, the last byte of all waits until the digest holds. The hash is that of everything before `at`. */
  readonly check?:
    { readonly digest: Digest; readonly hash: Hash; readonly at: number } | undefined;
  /** Bytes before `from` that are still to be sent, together with what comes. */
  readonly withheld?: Buffer;
}

/**
 * The upstream's content as it comes, held nowhere.
 * @param content opened for the part that is to be sent; closed in any case.
 * @param length bytes of that part; undefined where the upstream does not say.
 * @param digest only for whole content: its last byte is withheld until the digest holds, and a DigestMismatch thrown
 *   where it does not.
 */
export function directBody(
  content: UpstreamContent,
  length: number | undefined,
  digest: Digest | undefined,
): Body {
  let outlet: Outlet | undefined;
  return {
    length,
    async sendTo(sink) {
      outlet = new Outlet(sink);
      const check = digest && { digest, hash: hasherFor(digest), at: 0 };
      try {
        await passOn(outlet, content, { from: content.position, check });
      } catch (error) {
        if (error instanceof DigestMismatch) content.distrust();
        throw error;
      } finally {
        outlet.release();
      }
    },
    close() {
      if (outlet) outlet.break(new ClientGone());
      else content.close();
    },
  };
}

/**
 * Sends the part, and closes the content in any case, at once when the client leaves.
 * @throws DigestMismatch; what broke the content off; what ended the outlet.
 */
export async function passOn(
  outlet: Outlet,
  content: UpstreamContent,
  passage: Passage,
): Promise<void> {
  const close = () => content.close();
  outlet.signal.addEventListener('abort', close, { once: true });
  try {
    if (outlet.failure) throw outlet.failure;
    await send(outlet, content, passage);
  } catch (error) {
    // A content that was closed because the client left says only that it was closed.
    throw outlet.failure ?? error;
  } finally {
    outlet.signal.removeEventListener('abort', close);
    content.close();
  }
}

async function send(
  outlet: Outlet,
  content: UpstreamContent,
  { from, to = Infinity, check, withheld }: Passage,
): Promise<void> {
  let held = withheld ?? Buffer.alloc(0);
  let position = content.position;
  // A byte behind `to` shows that it was not the last one; a content that was read to its end leaves its connection behind.
  while (position < to || position === content.end || (check && position === to)) {
    const chunk = await content.read();
    if (!chunk) break;
    const start = position;
    position += chunk.length;
    check?.hash.update(chunk.subarray(Math.max(0, check.at - start)));
    const bytes = chunk.subarray(Math.max(0, from - start), Math.max(0, to - start));
    if (bytes.length === 0) continue;
    if (held.length > 0) await outlet.write(held);
    // Of a content whose end nobody knows, every byte may be the last.
    const maybeLast = check && position >= (content.end ?? 0);
    const ready = maybeLast ? bytes.length - 1 : bytes.length;
    // A copy: the bytes themselves are written over by what comes.
    held = Buffer.from(bytes.subarray(ready));
    if (ready > 0) await outlet.write(bytes.subarray(0, ready));
  }
  if (check && position <= to) assertDigest(check.digest, check.hash);
  if (held.length > 0) await outlet.write(held);
}
