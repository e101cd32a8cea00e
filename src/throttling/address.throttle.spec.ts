import { bearer as token, named, needOf, requestFor } from '../../test/support/auth-room';
import { basic, bearer, errorCode } from '../../test/support/http';
import { eventually } from '../../test/support/lifecycle';
import {
  ADDRESS,
  ANA,
  BLOB,
  LINE,
  MANIFEST,
  UPLOAD,
  begin,
  counts,
  inTurn,
  statuses,
  throttledRoom,
  times,
} from '../../test/support/throttled-room';
import type { Tag } from '../oci/reference';
import { AddressThrottle } from './address.throttle';
import { WaitingRoom } from './waiting-room';

describe('the rate of an address', () => {
  it('does not disturb a pull of a 100-layer image at the default settings', async () => {
    const { ask } = await throttledRoom();
    const token = bearer('ana');
    const pull = [
      ...(await inTurn(1, () => ask('/v2/'))),
      await ask('/v2/auth?service=tidegate&scope=repository:team/app:pull', {
        headers: basic(ANA),
      }),
      await ask(MANIFEST, { method: 'HEAD', headers: token }),
      ...(await times(3, () => ask(MANIFEST, { headers: token }))),
      ...(await times(102, () => ask(BLOB, { method: 'HEAD', headers: token }))),
      ...(await times(102, () => ask(BLOB, { headers: token }))),
    ];
    expect(counts(pull)).toEqual({ 401: 1, 200: pull.length - 1 });
    expect(pull.length).toBeGreaterThanOrEqual(210);
  });

  it('lets the burst through, then answers 429 TOOMANYREQUESTS with Retry-After, whatever the route', async () => {
    const clock = { now: 0 };
    const { ask } = await throttledRoom({ rateLimit: 2, rateBurst: 6 }, { clock });
    const burst = [...(await times(3, () => ask('/'))), ...(await times(3, () => ask(MANIFEST)))];
    expect(counts(burst)).toEqual({ 200: 6 });
    const refused = await ask(BLOB);
    expect(refused.status).toBe(429);
    expect(errorCode(refused)).toBe('TOOMANYREQUESTS');
    expect(refused.headers['retry-after']).toBe('1');
    expect(
      Object.keys(refused.headers).filter((name) => /^(?:x-ratelimit|retry-after-)/.test(name)),
    ).toEqual([]);
    expect(refused.headers['x-reached']).toBeUndefined();
    clock.now += 500;
    expect(statuses(await inTurn(2, () => ask('/')))).toEqual([200, 429]);
  });

  it('holds for an address, and an IPv6 client is its /64', async () => {
    const { ask } = await throttledRoom({ rateLimit: 1, rateBurst: 1 }, { clock: { now: 0 } });
    const from = async (address: string) => (await ask('/', {}, address)).status;
    expect([await from('198.51.100.1'), await from('198.51.100.1')]).toEqual([200, 429]);
    expect(await from('198.51.100.2')).toBe(200);
    expect(await from('2001:db8:1:2::1')).toBe(200);
    expect(await from('2001:db8:1:2:ffff::9')).toBe(429);
    expect(await from('2001:db8:1:3::1')).toBe(200);
  });

  it('never limits health or a sealed upload address', async () => {
    const { ask } = await throttledRoom({ rateLimit: 1, rateBurst: 1 }, { clock: { now: 0 } });
    await ask('/');
    const health = await times(5, () => ask('/health/live'));
    const upload = await times(5, () =>
      ask(UPLOAD, { method: 'PATCH', body: 'x', headers: bearer('ana') }),
    );
    expect(counts([...health, ...upload])).toEqual({ 200: 10 });
    expect((await ask('/')).status).toBe(429);
  });

  it('makes a request with credentials wait for its turn, first come, first served', async () => {
    const { ask } = await throttledRoom({ rateLimit: 20, rateBurst: 2 });
    const begun = performance.now();
    const answers = await times(12, () => ask(MANIFEST, { headers: bearer('ana') }));
    expect(counts(answers)).toEqual({ 200: 12 });
    expect(performance.now() - begun).toBeGreaterThan(400);
  });

  it('lets nobody overtake those who wait', async () => {
    const clock = { now: 0 };
    const { ask, queue } = await throttledRoom({ rateLimit: 1, rateBurst: 1 }, { clock });
    await ask('/');
    const waiting = ask(MANIFEST, { headers: bearer('ana') });
    await eventually('it waits', () => queue.length(LINE) === 1);
    clock.now += 1000;
    expect((await ask('/')).status).toBe(429);
    expect((await waiting).status).toBe(200);
  });

  it('refuses who waited in vain, and forgets who left', async () => {
    const { ask, queue, url } = await throttledRoom(
      { rateLimit: 1, rateBurst: 1 },
      { clock: { now: 0 }, tokens: new WaitingRoom({ patience: 300 }) },
    );
    await ask('/');
    const waiting = ask(MANIFEST, { headers: bearer('ana') });
    const leaving = begin(`${url}${MANIFEST}`, bearer('ana'));
    await eventually('both wait', () => queue.length(LINE) === 2);
    leaving.destroy();
    await eventually('one left', () => queue.length(LINE) === 1);
    expect((await waiting).status).toBe(429);
    expect(queue.length(LINE)).toBe(0);
  });
});

describe('an address that is asked about at once', () => {
  const clock = { now: 0 };
  const look = requestFor({
    client: ADDRESS,
    asked: { noun: 'manifest', name: named('team/app'), reference: '1' as Tag },
    need: needOf('team/app'),
    credentials: token('ana'),
  });
  const room = (rate = { rateLimit: 1, rateBurst: 2 }) => throttledRoom(rate, { clock });

  it('may knock, and is charged when it is told to, once', async () => {
    const { ask, now } = await room();

    const charges = [1, 2, 3, 4].map(() => now(AddressThrottle, look));
    charges[0]?.();

    expect(charges.map(Boolean)).toEqual([true, true, true, true]);
    expect(statuses(await inTurn(2, () => ask('/')))).toEqual([200, 429]);
  });

  it('draws on the bucket on which it draws otherwise', async () => {
    const { ask, now } = await room();

    await ask('/');
    now(AddressThrottle, look)?.();

    expect((await ask('/')).status).toBe(429);
  });

  it('is told nothing while its bucket is empty, and nothing is charged for that', async () => {
    const { ask, now } = await room();
    await inTurn(2, () => ask('/'));

    const answers = [1, 2, 3].map(() => now(AddressThrottle, look));
    clock.now += 1000;

    expect(answers).toEqual([undefined, undefined, undefined]);
    expect(statuses(await inTurn(2, () => ask('/')))).toEqual([200, 429]);
  });

  it('is told nothing while others of it wait: they come first', async () => {
    const { ask, now, queue } = await room({ rateLimit: 1, rateBurst: 1 });
    await ask('/');
    const waiting = ask(MANIFEST, { headers: bearer('ana') });
    await eventually('it waits', () => queue.length(LINE) === 1);
    clock.now += 1000;

    const answer = now(AddressThrottle, look);

    expect(answer).toBeUndefined();
    expect((await waiting).status).toBe(200);
  });

  it('is free where it is not counted', async () => {
    const { ask, now } = await room();
    await inTurn(2, () => ask('/'));

    now(AddressThrottle, { ...look, asked: { noun: 'health' } })?.();
    clock.now += 1000;

    expect(now(AddressThrottle, { ...look, asked: { noun: 'health' } })).toBeDefined();
    expect((await ask('/')).status).toBe(200);
  });
});
