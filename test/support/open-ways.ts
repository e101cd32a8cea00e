/** Asks for content in every way there is, and tells which of them are open. */
import { setTimeout } from 'node:timers/promises';
import type { Asking, CachedStand } from './cached-stand';
import { sha256, type Account } from './http';

export const REFUSED = [401, 403, 404];

/** All ways of asking for a blob. */
const WAYS: readonly Asking[] = [
  {},
  { method: 'HEAD' },
  { headers: { range: 'bytes=0-9' } },
  { headers: { range: 'bytes=-5' } },
];

/** Milliseconds; a refusal comes long before, on a busy machine, too: whoever waits so long is waiting for bytes. */
const PATIENCE = 20_000;

/** Every way of asking, by that account and under that path, that was not refused, or gave something of these bytes. */
export async function openWays(
  stand: CachedStand,
  path: string,
  as: Account | null,
  bytes: Buffer,
): Promise<string[]> {
  const digest = sha256(bytes);
  const conditional: Asking = { headers: { 'if-none-match': `"${digest}"` } };
  const open: string[] = [];
  const ways: readonly Asking[] = [...WAYS, conditional, { ...conditional, method: 'HEAD' }];
  for (const way of ways) {
    const asked = `${way.method ?? 'GET'} ${JSON.stringify(way.headers)} ${path}`;
    const over = new AbortController();
    const waiting = setTimeout(PATIENCE, undefined, { signal: over.signal }).catch(() => undefined);
    const got = await Promise.race([stand.begin(path, { ...way, as }), waiting]);
    over.abort();
    if (!got) open.push(`no answer to ${asked}`);
    else if (!REFUSED.includes(got.status) || got.headers.etag !== undefined)
      open.push(`${got.status} to ${asked}`);
    // What is refused ends soon; what is not may be on its way for long.
    else if ((await got.whole) && got.received().includes(bytes.subarray(0, 5)))
      open.push(`bytes to ${asked}`);
    got?.leave();
  }
  return open;
}
