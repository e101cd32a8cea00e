import type { ExecutionContext } from '@nestjs/common';
import { needOf, requestFor } from '../../test/support/auth-room';
import { attachContext, type RequestContext } from '../edge/request-context';
import { AccessGuard } from './access.guard';
import type { AccountsVoucher } from './accounts.voucher';
import type { Voucher } from './voucher';

/** Which of the two was asked to vouch. */
async function voucherOf(given: Partial<RequestContext> | undefined): Promise<string> {
  const request = {};
  const context = given && requestFor(given);
  if (context) attachContext(request as never, context);
  let asked = 'nobody';
  const vouching = (name: string) => ({
    admit: async (admitted: RequestContext) => {
      expect(admitted).toBe(context);
      asked = name;
    },
  });
  const guard = new AccessGuard(
    vouching('clients') as unknown as Voucher,
    vouching('operators') as unknown as AccountsVoucher,
  );
  const execution = { switchToHttp: () => ({ getRequest: () => request }) };
  expect(await guard.canActivate(execution as unknown as ExecutionContext)).toBe(true);
  return asked;
}

describe('the guard', () => {
  it.each<[string, Partial<RequestContext>]>([
    ['operators', { need: { kind: 'admin' } }],
    ['operators', { need: { kind: 'nothing' } }],
    ['clients', { need: { kind: 'login' } }],
    ['clients', { need: { kind: 'catalog' } }],
    ['clients', { need: { kind: 'search' } }],
    ['clients', { need: needOf('team/app') }],
  ])('asks who vouches for %s: %j', async (who, given) => {
    expect(await voucherOf(given)).toBe(who);
  });

  it('denies what the edge has not read', async () => {
    await expect(voucherOf(undefined)).rejects.toMatchObject({ code: 'DENIED' });
  });

  it('lets through nobody who is not vouched for', async () => {
    const refusing = { admit: () => Promise.reject(new Error('no')) };
    const guard = new AccessGuard(
      refusing as unknown as Voucher,
      refusing as unknown as AccountsVoucher,
    );
    const request = {};
    attachContext(request as never, requestFor());
    const execution = { switchToHttp: () => ({ getRequest: () => request }) };

    await expect(guard.canActivate(execution as unknown as ExecutionContext)).rejects.toThrow('no');
  });
});

describe('the guard that is asked at once', () => {
  /** Which of the two was asked whether it vouches at once, and what the guard makes of the answer. */
  const askedAtOnce = (given: Partial<RequestContext>, answer: boolean) => {
    const context = requestFor(given);
    const asked: string[] = [];
    const vouching = (name: string) => ({
      admit: () => Promise.reject(new Error('nobody is to be waited for')),
      admitNow: (admitted: RequestContext) => {
        expect(admitted).toBe(context);
        asked.push(name);
        return answer;
      },
    });
    const guard = new AccessGuard(
      vouching('clients') as unknown as Voucher,
      vouching('operators') as unknown as AccountsVoucher,
    );
    return { charge: guard.admitNow({ context }), asked };
  };

  it.each<[string, Partial<RequestContext>]>([
    ['operators', { need: { kind: 'admin' } }],
    ['operators', { need: { kind: 'nothing' } }],
    ['clients', { need: needOf('team/app') }],
  ])('asks who vouches for %s: %j', (who, given) => {
    const yes = askedAtOnce(given, true);
    const no = askedAtOnce(given, false);

    expect([yes.asked, no.asked]).toEqual([[who], [who]]);
    expect([typeof yes.charge, no.charge]).toEqual(['function', undefined]);
  });
});
