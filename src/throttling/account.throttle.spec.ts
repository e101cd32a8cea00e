import { bearer } from '../../test/support/http';
import {
  MANIFEST,
  UPLOAD,
  counts,
  inTurn,
  statuses,
  throttledRoom,
  times,
} from '../../test/support/throttled-room';

describe('the rate of an account', () => {
  const rate = { rateLimit: 1, rateBurst: 2 };
  const anyAddress = () => `198.51.100.${(next = (next % 250) + 1)}`;
  let next = 0;

  it('is four times that of an address, from wherever it comes', async () => {
    const { ask, doorkeeper } = await throttledRoom(rate, { clock: { now: 0 } });
    const put = () => ask(MANIFEST, { method: 'PUT', headers: bearer('ana') }, anyAddress());
    expect(statuses(await inTurn(9, put))).toEqual([...Array<number>(8).fill(200), 429]);
    expect(doorkeeper.asked).toBe(9);
    const other = await ask(MANIFEST, { method: 'PUT', headers: bearer('ben') }, anyAddress());
    expect(other.status).toBe(200);
  });

  it('makes reads wait, and writes not', async () => {
    const { ask } = await throttledRoom({ rateLimit: 5, rateBurst: 1 });
    const reads = times(8, () => ask(MANIFEST, { headers: bearer('ana') }, anyAddress()));
    expect(counts(await reads)).toEqual({ 200: 8 });
    await times(4, () => ask(MANIFEST, { headers: bearer('ben') }, anyAddress()));
    const writes = times(4, () =>
      ask(MANIFEST, { method: 'DELETE', headers: bearer('ben') }, anyAddress()),
    );
    expect(statuses(await writes)).toContain(429);
  });

  it('does not count anonymous readers, nor sealed upload addresses', async () => {
    const { ask } = await throttledRoom(rate, { clock: { now: 0 } });
    const anonymous = await times(20, () => ask(MANIFEST, {}, anyAddress()));
    const sealed = await times(20, () => ask(UPLOAD, { method: 'PATCH', headers: bearer('ana') }));
    expect(counts([...anonymous, ...sealed])).toEqual({ 200: 40 });
  });
});
