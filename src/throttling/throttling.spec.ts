import {
  request as httpRequest,
  type ClientRequest,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http';
import {
  All,
  Controller,
  Injectable,
  Req,
  Res,
  type CanActivate,
  type ExecutionContext,
} from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { ThrottlerStorage } from '@nestjs/throttler';
import type { Settings } from '../config/settings';
import { contextOf } from '../edge/request-context';
import { OciError } from '../oci/oci-error';
import { behindEdge, settingsFor } from '../../test/support/behind-edge';
import { basic, bearer, errorCode, send, type Sending } from '../../test/support/http';
import { eventually } from '../../test/support/lifecycle';
import { AccountThrottle } from './account.throttle';
import { AddressThrottle } from './address.throttle';
import { LoginThrottle } from './login.throttle';
import { ThrottlingModule } from './throttling.module';
import { TokenBucketStorage } from './token-bucket.storage';
import { TokenQueue } from './token-queue';
import { TransferSlots } from './transfer-slots';
import { WaitingRoom } from './waiting-room';

const ADDRESS = '198.51.100.1';
const ANA = { username: 'ana', password: 'right' };
const WRONG = { username: 'ana', password: 'wrong' };
const BLOB = `/v2/team/app/blobs/sha256:${'a'.repeat(64)}`;
const MANIFEST = '/v2/team/app/manifests/1';
const UPLOAD = '/v2/team/app/blobs/uploads/6f8b1a52-3c4d-4e5f-8a9b-0c1d2e3f4a5b?_state=c2VhbA';

/** Stands where the real guard stands: knows ana by password or by a token, and counts how often it was asked. */
@Injectable()
class Doorkeeper implements CanActivate {
  asked = 0;

  canActivate(execution: ExecutionContext): boolean {
    const context = contextOf(execution.switchToHttp().getRequest<IncomingMessage>());
    if (!context) throw new OciError('DENIED');
    this.asked += 1;
    const { credentials, asked } = context;
    const username =
      credentials.scheme === 'bearer'
        ? credentials.token
        : credentials.scheme === 'basic' && credentials.password === 'right'
          ? credentials.username
          : undefined;
    const anonymous =
      (credentials.scheme === 'none' && context.need.kind !== 'login') ||
      context.need.kind === 'nothing';
    if (username !== undefined || anonymous) {
      const upstreamAs = () => 'anonymous' as const;
      context.identity = {
        username,
        epoch: 0,
        admin: false,
        may: () => true,
        sees: () => true,
        upstreamAs,
      };
    }
    if (context.identity || asked.noun === 'token' || asked.noun === 'health') return true;
    throw new OciError('UNAUTHORIZED');
  }
}

/** Answers everything; holds blobs and bodies open while `held` is set. */
@Controller()
class Everything {
  static held: Set<ServerResponse> | undefined;

  @All(['', '*path'])
  answer(@Req() request: IncomingMessage, @Res() response: ServerResponse): void {
    const context = contextOf(request);
    if (context?.asked.noun === 'token') {
      const { grant } = context.asked.request;
      const shown = grant.kind === 'password' ? grant : context.credentials;
      const good = 'password' in shown ? shown.password === 'right' : grant.kind === 'header';
      if (!good) throw new OciError('UNAUTHORIZED');
    }
    response.setHeader('X-Reached', 'yes');
    if (Everything.held && context?.asked.noun !== 'base') Everything.held.add(response);
    else response.end('{}');
  }
}

const LINE = { key: 'address:198.51.100.1' };

interface Given {
  clock?: { now: number };
  /** Where requests wait for tokens. */
  tokens?: WaitingRoom;
  /** Where downloads wait for a slot. */
  slots?: WaitingRoom;
}

/** The module as it is, or with a clock and a waiting rooms of the test's own. */
async function gate(settings: Partial<Settings> = {}, { clock, tokens, slots }: Given = {}) {
  const storage = new TokenBucketStorage(clock && { now: () => clock.now });
  const { app, url } = await behindEdge({
    settings,
    imports: [ThrottlingModule],
    controllers: [Everything],
    providers: [
      Doorkeeper,
      { provide: APP_GUARD, useExisting: AddressThrottle },
      { provide: APP_GUARD, useExisting: LoginThrottle },
      { provide: APP_GUARD, useExisting: Doorkeeper },
      { provide: APP_GUARD, useExisting: AccountThrottle },
      { provide: APP_GUARD, useExisting: TransferSlots },
    ],
    override: [
      ...(clock ? [{ token: ThrottlerStorage, value: storage }] : []),
      ...(tokens ? [{ token: TokenQueue, value: new TokenQueue(storage, tokens) }] : []),
      ...(slots
        ? [{ token: TransferSlots, value: new TransferSlots(settingsFor(settings), slots) }]
        : []),
    ],
  });
  const ask = (path: string, sending: Sending = {}, from = ADDRESS) =>
    send(`${url}${path}`, { ...sending, headers: { 'x-forwarded-for': from, ...sending.headers } });
  const queue = app.get(TokenQueue, { strict: false });
  return { ask, url, queue, doorkeeper: app.get(Doorkeeper) };
}

type Ask = Awaited<ReturnType<typeof gate>>['ask'];

/** A request whose answer nobody awaits: it is there to be broken off. */
function begin(url: string, headers: Record<string, string>): ClientRequest {
  const outgoing = httpRequest(url, { headers: { 'x-forwarded-for': ADDRESS, ...headers } });
  outgoing.on('error', () => undefined).end();
  return outgoing;
}

function times<T>(count: number, ask: () => Promise<T>): Promise<T[]> {
  return Promise.all(Array.from({ length: count }, ask));
}

/** Asks one after the other, so that each failure is charged before the next guess. */
async function inTurn<T>(count: number, ask: () => Promise<T>): Promise<T[]> {
  const answers: T[] = [];
  for (let n = 0; n < count; n++) answers.push(await ask());
  return answers;
}

const statuses = (answers: { status: number }[]) => answers.map(({ status }) => status);
const counts = (answers: { status: number }[]) =>
  Object.fromEntries([...Map.groupBy(statuses(answers), String)].map(([k, v]) => [k, v.length]));

describe('the rate of an address', () => {
  it('does not disturb a pull of a 100-layer image at the default settings', async () => {
    const { ask } = await gate();
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
    const { ask } = await gate({ rateLimit: 2, rateBurst: 6 }, { clock });
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
    const { ask } = await gate({ rateLimit: 1, rateBurst: 1 }, { clock: { now: 0 } });
    const from = async (address: string) => (await ask('/', {}, address)).status;
    expect([await from('198.51.100.1'), await from('198.51.100.1')]).toEqual([200, 429]);
    expect(await from('198.51.100.2')).toBe(200);
    expect(await from('2001:db8:1:2::1')).toBe(200);
    expect(await from('2001:db8:1:2:ffff::9')).toBe(429);
    expect(await from('2001:db8:1:3::1')).toBe(200);
  });

  it('never limits health or a sealed upload address', async () => {
    const { ask } = await gate({ rateLimit: 1, rateBurst: 1 }, { clock: { now: 0 } });
    await ask('/');
    const health = await times(5, () => ask('/health/live'));
    const upload = await times(5, () =>
      ask(UPLOAD, { method: 'PATCH', body: 'x', headers: bearer('ana') }),
    );
    expect(counts([...health, ...upload])).toEqual({ 200: 10 });
    expect((await ask('/')).status).toBe(429);
  });

  it('makes a request with credentials wait for its turn, first come, first served', async () => {
    const { ask } = await gate({ rateLimit: 20, rateBurst: 2 });
    const begun = performance.now();
    const answers = await times(12, () => ask(MANIFEST, { headers: bearer('ana') }));
    expect(counts(answers)).toEqual({ 200: 12 });
    expect(performance.now() - begun).toBeGreaterThan(400);
  });

  it('lets nobody overtake those who wait', async () => {
    const clock = { now: 0 };
    const { ask, queue } = await gate({ rateLimit: 1, rateBurst: 1 }, { clock });
    await ask('/');
    const waiting = ask(MANIFEST, { headers: bearer('ana') });
    await eventually('it waits', () => queue.length(LINE) === 1);
    clock.now += 1000;
    expect((await ask('/')).status).toBe(429);
    expect((await waiting).status).toBe(200);
  });

  it('refuses who waited in vain, and forgets who left', async () => {
    const { ask, queue, url } = await gate(
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

describe('the rate of an account', () => {
  const rate = { rateLimit: 1, rateBurst: 2 };
  const anyAddress = () => `198.51.100.${(next = (next % 250) + 1)}`;
  let next = 0;

  it('is four times that of an address, from wherever it comes', async () => {
    const { ask, doorkeeper } = await gate(rate, { clock: { now: 0 } });
    const put = () => ask(MANIFEST, { method: 'PUT', headers: bearer('ana') }, anyAddress());
    expect(statuses(await inTurn(9, put))).toEqual([...Array<number>(8).fill(200), 429]);
    expect(doorkeeper.asked).toBe(9);
    const other = await ask(MANIFEST, { method: 'PUT', headers: bearer('ben') }, anyAddress());
    expect(other.status).toBe(200);
  });

  it('makes reads wait, and writes not', async () => {
    const { ask } = await gate({ rateLimit: 5, rateBurst: 1 });
    const reads = times(8, () => ask(MANIFEST, { headers: bearer('ana') }, anyAddress()));
    expect(counts(await reads)).toEqual({ 200: 8 });
    await times(4, () => ask(MANIFEST, { headers: bearer('ben') }, anyAddress()));
    const writes = times(4, () =>
      ask(MANIFEST, { method: 'DELETE', headers: bearer('ben') }, anyAddress()),
    );
    expect(statuses(await writes)).toContain(429);
  });

  it('does not count anonymous readers, nor sealed upload addresses', async () => {
    const { ask } = await gate(rate, { clock: { now: 0 } });
    const anonymous = await times(20, () => ask(MANIFEST, {}, anyAddress()));
    const sealed = await times(20, () => ask(UPLOAD, { method: 'PATCH', headers: bearer('ana') }));
    expect(counts([...anonymous, ...sealed])).toEqual({ 200: 40 });
  });
});

describe('failed logins', () => {
  it('are refused before any hash after ten of one name from one address, and refill slowly (S20)', async () => {
    const clock = { now: 0 };
    const { ask, doorkeeper } = await gate({}, { clock });
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
    const { ask } = await gate();
    await inTurn(30, () => ask('/v2/', { headers: basic(WRONG) }, '203.0.113.9'));
    expect((await ask('/v2/', { headers: basic(ANA) })).status).toBe(200);
    const other = await ask('/v2/', { headers: basic({ ...ANA, username: 'ben' }) }, '203.0.113.9');
    expect(other.status).toBe(200);
    const token = await ask('/v2/', { headers: bearer('ana') }, '203.0.113.9');
    expect(token.status).toBe(200);
  });

  it('of many names from one address are bounded too', async () => {
    const { ask, doorkeeper } = await gate({}, { clock: { now: 0 } });
    let name = 0;
    const guess = () => ask('/v2/', { headers: basic({ ...WRONG, username: `u${(name += 1)}` }) });
    expect(counts(await inTurn(105, guess))).toEqual({ 401: 100, 429: 5 });
    expect(doorkeeper.asked).toBe(100);
  });

  it('at the token endpoint count alike: by header, by password form, by refresh token', async () => {
    const { ask } = await gate({}, { clock: { now: 0 } });
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
    const { ask } = await gate({}, { clock: { now: 0 } });
    const guess = () => ask('/health', { headers: basic(WRONG) });
    expect(statuses(await inTurn(11, guess))).toEqual([...Array<number>(10).fill(200), 429]);
    expect((await ask('/health')).status).toBe(200);
  });

  it('are none where nobody looks at credentials', async () => {
    const { ask } = await gate({}, { clock: { now: 0 } });
    expect(counts(await inTurn(12, () => ask('/', { headers: basic(WRONG) })))).toEqual({
      200: 12,
    });
  });

  it('are not what good logins are charged for', async () => {
    const { ask } = await gate({}, { clock: { now: 0 } });
    const good = await times(150, () => ask('/v2/', { headers: basic(ANA) }));
    const tokens = await inTurn(110, () => ask('/v2/auth', { headers: basic(ANA) }));
    expect(counts([...good, ...tokens])).toEqual({ 200: 260 });
  });
});

describe('transfers under way', () => {
  const body = { method: 'PATCH', body: 'x', headers: bearer('ana') };
  const settings = { maxConnections: 2 };

  afterEach(() => {
    for (const response of Everything.held ?? []) response.end();
    Everything.held = undefined;
  });

  /** Takes every slot, with one download and one upload. */
  async function fill(ask: Ask) {
    const held = (Everything.held = new Set());
    const answers = [ask(BLOB, { headers: bearer('ana') }), ask(UPLOAD, body)];
    await eventually('two transfers', () => held.size === 2);
    return { held, answers: Promise.all(answers) };
  }

  it('are bounded per account: uploads over it get 503 with Retry-After, and other requests pass', async () => {
    const { ask } = await gate(settings);
    const { held } = await fill(ask);
    const bodies = [
      ask(UPLOAD, body),
      ask(UPLOAD, { ...body, method: 'PUT' }),
      ask('/v2/team/app/blobs/uploads/', { ...body, method: 'POST' }),
      ask(MANIFEST, { ...body, method: 'PUT' }),
    ];
    for (const refused of await Promise.all(bodies)) {
      expect([refused.status, errorCode(refused), refused.headers['retry-after']]).toEqual([
        503,
        'UNAVAILABLE',
        '5',
      ]);
    }
    const passing = [
      ask(BLOB, { method: 'HEAD', headers: bearer('ana') }),
      ask('/v2/team/app/blobs/uploads/', { method: 'POST', headers: bearer('ana') }),
      ask(MANIFEST, { headers: bearer('ana') }),
      ask(BLOB, { headers: bearer('ben') }),
      ask(BLOB),
    ];
    await eventually('all of them pass', () => held.size === 2 + passing.length);
    for (const response of held) response.end();
    expect(counts(await Promise.all(passing))).toEqual({ 200: passing.length });
  });

  it('give their slot to the download that waits, when they end and when their client leaves', async () => {
    const slots = new WaitingRoom();
    const { ask, url } = await gate(settings, { slots });
    const held = (Everything.held = new Set<ServerResponse>());
    const leaving = begin(`${url}${BLOB}`, bearer('ana'));
    const first = ask(BLOB, { headers: bearer('ana') });
    await eventually('two transfers', () => held.size === 2);
    const waiting = [1, 2].map(() => ask(BLOB, { headers: bearer('ana') }));
    await eventually('two wait', () => slots.length('account:ana') === 2);
    expect(held.size).toBe(2);
    leaving.destroy();
    await eventually('one may begin', () => held.size === 3);
    expect(slots.length('account:ana')).toBe(1);
    for (const response of held) response.end();
    await eventually('the other may begin', () => held.size === 4);
    for (const response of held) response.end();
    expect(counts(await Promise.all([first, ...waiting]))).toEqual({ 200: 3 });
    Everything.held = undefined;
    expect(counts(await inTurn(5, () => ask(UPLOAD, body)))).toEqual({ 200: 5 });
  });

  it('refuse a download that waited in vain with 429', async () => {
    const { ask } = await gate(settings, { slots: new WaitingRoom({ patience: 50 }) });
    await fill(ask);
    const refused = await ask(BLOB, { headers: bearer('ana') });
    expect([refused.status, refused.headers['retry-after']]).toEqual([429, '5']);
  });

  it('of anonymous readers are bounded by their address', async () => {
    const { ask } = await gate({ maxConnections: 1 }, { slots: new WaitingRoom({ patience: 50 }) });
    const held = (Everything.held = new Set());
    void ask(BLOB);
    await eventually('one transfer', () => held.size === 1);
    expect((await ask(BLOB)).status).toBe(429);
    void ask(BLOB, {}, '198.51.100.2');
    await eventually('another one', () => held.size === 2);
  });
});
