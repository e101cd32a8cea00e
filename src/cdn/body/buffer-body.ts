import type { Body } from './body';
import { ClientGone, Outlet } from './outlet';

/** Bytes that are in memory, and known to be right. */
export function bufferBody(bytes: Uint8Array): Body {
  let outlet: Outlet | undefined;
  return {
    length: bytes.length,
    async sendTo(sink) {
      outlet = new Outlet(sink);
      try {
        if (outlet.failure) throw outlet.failure;
        if (bytes.length > 0) await outlet.write(bytes);
      } finally {
        outlet.release();
      }
    },
    close: () => outlet?.break(new ClientGone()),
  };
}
