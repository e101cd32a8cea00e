import { hasherFor, type Digest } from '../../oci/digest';
import { OciError } from '../../oci/oci-error';
import type { Body } from './body';
import type { StoredContent } from '../store/content-store';
import { holds } from '../fetch/digest-mismatch';
import { ClientGone, Outlet } from './outlet';
import type { ReadBuffers } from './read-buffers';

/** What held bytes are compared with on their way out, and who is told of the outcome. */
export interface HeldCheck {
  readonly digest: Digest;
  /** Called once, before the last byte goes out; not at all when the client leaves before that. */
  readonly onVerdict: (ok: boolean) => void;
}

/**
 * Held content, read from the store at the client's pace.
 * @param stored open for the part that is to be sent, and closed in any case.
 * @param length bytes of that part.
 * @param check only for whole content: its last byte is withheld until the digest holds.
 */
export function heldBody(
  stored: StoredContent,
  length: number,
  buffers: ReadBuffers,
  check?: HeldCheck,
): Body {
  let outlet: Outlet | undefined;
  let closed = false;
  const finish = () => {
    if (closed) return;
    closed = true;
    // It was read: whatever closing it says, the bytes were right. Nor is it waited for: the client has them all, and may
    // ask for the next thing over the same connection, while nobody has ended the answer yet.
    void stored.close().catch(() => undefined);
  };
  return {
    length,
    async sendTo(sink) {
      outlet = new Outlet(sink);
      try {
        if (closed) outlet.break(new ClientGone());
        await send(outlet, stored, length, { buffers, check });
      } finally {
        outlet.release();
        finish();
      }
    },
    close() {
      if (outlet) outlet.break(new ClientGone());
      else finish();
    },
  };
}

async function send(
  outlet: Outlet,
  stored: StoredContent,
  length: number,
  { buffers, check }: { buffers: ReadBuffers; check: HeldCheck | undefined },
): Promise<void> {
  const hash = check && hasherFor(check.digest);
  const judge = () => {
    if (!check || !hash) return;
    const ok = holds(check.digest, hash);
    check.onVerdict(ok);
    if (!ok) throw damaged();
  };
  if (outlet.failure) throw outlet.failure;
  if (length === 0) judge();
  for (let left = length; left > 0;) {
    const buffer = await buffers.filled(left, (into) => stored.read(into));
    const { bytes } = buffer;
    try {
      if (bytes.length === 0) {
        check?.onVerdict(false);
        throw damaged();
      }
      left -= bytes.length;
      hash?.update(bytes);
      if (left === 0) judge();
    } catch (error) {
      buffer.give();
      throw error;
    }
    await outlet.write(bytes, buffer);
  }
}

function damaged(): OciError {
  return new OciError('UNKNOWN', { message: 'what is held of this content is damaged' });
}
