import type { ServerResponse } from 'node:http';
import type { Writable } from 'node:stream';
import type { Body } from './body';
import { ClientGone, Outlet } from './outlet';

/** Bytes that are written at once: of a write, nobody sees how far its client has come. */
const MOST = 4 * 1024 * 1024;
/** Over TLS all of a write is encrypted at once, into memory that its client keeps until it has read it. */
const MOST_ENCRYPTED = 128 * 1024;

/** Bytes that are in memory, and known to be right. */
export function bufferBody(bytes: Uint8Array): Body {
  let outlet: Outlet | undefined;
  return {
    length: bytes.length,
    async sendTo(sink) {
      outlet = new Outlet(sink);
      const most = isEncrypted(sink) ? MOST_ENCRYPTED : MOST;
      try {
        if (outlet.failure) throw outlet.failure;
        for (let at = 0; at < bytes.length; at += most)
          await outlet.write(bytes.subarray(at, at + most));
      } finally {
        outlet.release();
      }
    },
    close: () => outlet?.break(new ClientGone()),
  };
}

function isEncrypted(sink: Writable): boolean {
  const { socket } = sink as Partial<ServerResponse>;
  return !!socket && 'encrypted' in socket;
}
