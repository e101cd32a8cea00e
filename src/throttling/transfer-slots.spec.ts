import { type ServerResponse } from 'node:http';
import { named, needOf, requestFor } from '../../test/support/auth-room';
import { bearer, errorCode } from '../../test/support/http';
import { eventually } from '../../test/support/lifecycle';
import {
  type Ask,
  BLOB,
  Everything,
  MANIFEST,
  UPLOAD,
  begin,
  counts,
  inTurn,
  throttledRoom,
} from '../../test/support/throttled-room';
import type { RequestContext } from '../edge/request-context';
import { digestOf } from '../oci/digest';
import type { Tag } from '../oci/reference';
import { TransferSlots } from './transfer-slots';
import { WaitingRoom } from './waiting-room';

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
    const { ask } = await throttledRoom(settings);
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
    const { ask, url } = await throttledRoom(settings, { slots });
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
    const { ask } = await throttledRoom(settings, { slots: new WaitingRoom({ patience: 50 }) });
    await fill(ask);
    const refused = await ask(BLOB, { headers: bearer('ana') });
    expect([refused.status, refused.headers['retry-after']]).toEqual([429, '5']);
  });

  it('of anonymous readers are bounded by their address', async () => {
    const { ask } = await throttledRoom(
      { maxConnections: 1 },
      { slots: new WaitingRoom({ patience: 50 }) },
    );
    const held = (Everything.held = new Set());
    void ask(BLOB);
    await eventually('one transfer', () => held.size === 1);
    expect((await ask(BLOB)).status).toBe(429);
    void ask(BLOB, {}, '198.51.100.2');
    await eventually('another one', () => held.size === 2);
  });
});

describe('a transfer that is asked about at once', () => {
  const name = named('team/app');
  const ask = async (given: Partial<RequestContext>) => {
    const { now } = await throttledRoom();
    return now(TransferSlots, requestFor({ need: needOf('team/app'), ...given }));
  };

  it('is never let through at once: its slot is held for as long as it lasts', async () => {
    const digest = digestOf(Buffer.from('content'));

    expect(await ask({ asked: { noun: 'blob', name, digest } })).toBeUndefined();
    const asked = { noun: 'manifest', name, reference: '1' as Tag } as const;
    expect(await ask({ asked, method: 'PUT' })).toBeUndefined();
  });

  it('is none where a manifest is read', async () => {
    const asked = { noun: 'manifest', name, reference: '1' as Tag } as const;

    expect(await ask({ asked })).toBeDefined();
  });
});
