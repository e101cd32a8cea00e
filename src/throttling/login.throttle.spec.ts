import {
  basic as password,
  bearer as shown,
  needOf,
  requestFor,
  tokenRequest,
} from '../../test/support/auth-room';
import { basic, bearer, errorCode } from '../../test/support/http';
import {
  ANA,
  WRONG,
  counts,
  inTurn,
  statuses,
  throttledRoom,
  times,
} from '../../test/support/throttled-room';
import type { RequestContext } from '../edge/request-context';
import { LoginThrottle } from './login.throttle';

describe('failed logins', () => {
  it('are refused before any hash after ten of one name from one address, and refill slowly (S20)', async () => {
    const clock = { now: 0 };
    const { ask, doorkeeper } = await throttledRoom({}, { clock });
    const guess = (username = 'ana') => ask('/v2/', { headers: basic({ ...WRONG, username }) });
    expect(statuses(await inTurn(5, () => guess()))).toEqual(Array(5).fill(401));
    expect(statuses(await inTurn(7, () => guess('ANA')))).toEqual([
      ...Array<number>(5).fill(401),
      429,
      429,
    ]);
    expect(doorkeeper.asked).toBe(10);
    const refused = await ask('/v2/', { headers: basic(ANA) });
    expect([refused.status, errorCode(refused), refused.headers['retry-after']]).toEqual([
      429,
      'TOOMANYREQUESTS',
      '6',
    ]);
    clock.now += 6000;
    expect(statuses(await inTurn(2, () => guess()))).toEqual([401, 429]);
  });

  it('from one address do not lock the owner out elsewhere (S21), nor other names there', async () => {
    const { ask } = await throttledRoom();
    await inTurn(30, () => ask('/v2/', { headers: basic(WRONG) }, '203.0.113.9'));
    expect((await ask('/v2/', { headers: basic(ANA) })).status).toBe(200);
    const other = await ask('/v2/', { headers: basic({ ...ANA, username: 'ben' }) }, '203.0.113.9');
    expect(other.status).toBe(200);
    const token = await ask('/v2/', { headers: bearer('ana') }, '203.0.113.9');
    expect(token.status).toBe(200);
  });

  it('of many names from one address are bounded too', async () => {
    const { ask, doorkeeper } = await throttledRoom({}, { clock: { now: 0 } });
    let name = 0;
    const guess = () => ask('/v2/', { headers: basic({ ...WRONG, username: `u${(name += 1)}` }) });
    expect(counts(await inTurn(105, guess))).toEqual({ 401: 100, 429: 5 });
    expect(doorkeeper.asked).toBe(100);
  });

  it('at the token endpoint count alike: by header, by password form, by refresh token', async () => {
    const { ask } = await throttledRoom({}, { clock: { now: 0 } });
    const form = (fields: Record<string, string>) => () =>
      ask('/token', {
        method: 'POST',
        body: new URLSearchParams({ service: 'tidegate', ...fields }).toString(),
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
      });
    const wrong = form({ grant_type: 'password', ...WRONG });
    const right = form({ grant_type: 'password', ...ANA });
    expect(statuses(await inTurn(5, wrong))).toEqual(Array(5).fill(401));
    const byHeader = () => ask('/v2/auth', { headers: basic(WRONG) });
    expect(statuses(await inTurn(6, byHeader))).toEqual([...Array<number>(5).fill(401), 429]);
    expect((await right()).status).toBe(429);
    const refresh = form({ grant_type: 'refresh_token', refresh_token: 'stale' });
    expect(counts(await inTurn(92, refresh))).toEqual({ 401: 90, 429: 2 });
  });

  it('cannot be tried for free where no login is needed', async () => {
    const { ask } = await throttledRoom({}, { clock: { now: 0 } });
    const guess = () => ask('/health', { headers: basic(WRONG) });
    expect(statuses(await inTurn(11, guess))).toEqual([...Array<number>(10).fill(200), 429]);
    expect((await ask('/health')).status).toBe(200);
  });

  it.each(['/', '/v1/_ping', '/help/clients'])(
    'are none at %s, where nobody looks at credentials',
    async (path) => {
      const { ask } = await throttledRoom({}, { clock: { now: 0 } });
      expect(counts(await inTurn(12, () => ask(path, { headers: basic(WRONG) })))).toEqual({
        200: 12,
      });
    },
  );

  it('are not what good logins are charged for', async () => {
    const { ask } = await throttledRoom({}, { clock: { now: 0 } });
    const good = await times(150, () => ask('/v2/', { headers: basic(ANA) }));
    const tokens = await inTurn(110, () => ask('/v2/auth', { headers: basic(ANA) }));
    expect(counts([...good, ...tokens])).toEqual({ 200: 260 });
  });
});

describe('a login that is asked about at once', () => {
  it('is none where a token is shown, and is never let through at once otherwise', async () => {
    const { now } = await throttledRoom();
    const look = (credentials: RequestContext['credentials']) =>
      now(LoginThrottle, requestFor({ need: needOf('team/app'), credentials }));

    expect(look(shown('a.token'))).toBeDefined();
    expect(look({ scheme: 'none' })).toBeDefined();
    expect(look(password('ana', 'right'))).toBeUndefined();
    expect(now(LoginThrottle, tokenRequest({ method: 'POST' }))).toBeUndefined();
  });
});
