import { named, needOf, requestFor } from '../../test/support/auth-room';
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
import type { Identity } from '../edge/request-context';
import type { Tag } from '../oci/reference';
import { AccountThrottle } from './account.throttle';

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

describe('an account that is asked about at once', () => {
  const rate = { rateLimit: 1, rateBurst: 1 };
  const lookOf = (username: string | undefined) =>
    requestFor({
      asked: { noun: 'manifest', name: named('team/app'), reference: '1' as Tag },
      need: needOf('team/app'),
      identity: { username, epoch: 0, admin: false } as Identity,
    });

  it('draws on the bucket on which it draws otherwise, once for each charge', async () => {
    const { ask, now } = await throttledRoom(rate, { clock: { now: 0 } });
    const put = (from: string) =>
      ask(MANIFEST, { method: 'PUT', headers: bearer('ana') }, `198.51.100.${from}`);

    const charges = [1, 2, 3, 4, 5].map(() => now(AccountThrottle, lookOf('ana')));
    charges[0]?.();
    charges[1]?.();

    expect(charges.every(Boolean)).toBe(true);
    expect(statuses([await put('1'), await put('2'), await put('3')])).toEqual([200, 200, 429]);
    expect(now(AccountThrottle, lookOf('ana'))).toBeUndefined();
    expect(now(AccountThrottle, lookOf('ben'))).toBeDefined();
  });

  it('is free where nobody has one', async () => {
    const { now } = await throttledRoom(rate, { clock: { now: 0 } });

    const charges = Array.from({ length: 20 }, () => {
      const charge = now(AccountThrottle, lookOf(undefined));
      charge?.();
      return charge;
    });

    expect(charges.every(Boolean)).toBe(true);
  });
});
