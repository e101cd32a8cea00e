/** What a disk without room looks like, and whether it takes bytes again. */
import type { Spools } from '../store/spool';

/** Enough for more than what a file costs by itself. */
const PROBE = Buffer.alloc(64 * 1024);
/** More is in its upper bits, https://sqlite.org/rescode.html */
const SQLITE_FULL = 13;

/** ENOSPC, EDQUOT or SQLITE_FULL where the error says that there is no room; undefined for every other one. */
export function codeOfFull(error: unknown): string | undefined {
  const { code, errcode } = (error ?? {}) as { code?: unknown; errcode?: unknown };
  if (code === 'ENOSPC' || code === 'EDQUOT') return code;
  if (typeof errcode === 'number' && (errcode & 0xff) === SQLITE_FULL) return 'SQLITE_FULL';
  return undefined;
}

/** Writes a little and removes it again. @throws Error when it cannot be written. */
export async function probe(spools: Spools): Promise<void> {
  const spool = await spools.create();
  try {
    await spool.append([PROBE]);
    await spool.sync();
  } finally {
    await spool.discard().finally(() => spool.release());
  }
}
