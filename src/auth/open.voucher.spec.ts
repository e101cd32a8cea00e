import {
  authRoom,
  basic,
  named,
  needOf,
  openAccounts,
  quay,
  refusalOf,
  requestFor,
  scopeOf,
  tokenRequest,
} from '../../test/support/auth-room';
import type { Need } from '../edge/request-context';
import { OpenVoucher } from './open.voucher';

async function open() {
  const { tokens } = authRoom(await openAccounts());
  return { tokens, voucher: new OpenVoucher(tokens) };
}

describe('AUTH_MODE=open', () => {
  it.each<Need>([
    { kind: 'nothing' },
    { kind: 'login' },
    { kind: 'catalog' },
    { kind: 'search' },
    needOf('team/app'),
  ])('lets everybody read, whatever they show: %j', async (need) => {
    const { voucher } = await open();
    const context = requestFor({ need, credentials: basic('nobody', 'wrong') });
    await voucher.admit(context);

    expect(context.identity).toMatchObject({
      username: undefined,
      epoch: 0,
      admin: false,
      unjudged: true,
    });
    const { canonical } = named('team/app');
    const { may, sees, upstreamAs, registryAs } = context.identity!;
    expect([may(canonical, 'pull'), may(canonical, 'push'), may(canonical, 'delete')]).toEqual([
      true,
      false,
      false,
    ]);
    expect([sees(canonical), upstreamAs(canonical), registryAs(quay)]).toEqual([
      true,
      'configured',
      'configured',
    ]);
  });

  it.each([['push'], ['delete'], ['pull', 'push']] as const)(
    'lets nobody %s',
    async (...actions) => {
      const { voucher } = await open();

      expect(
        await refusalOf(() => voucher.admit(requestFor({ need: needOf('team/app', actions) }))),
      ).toEqual({
        status: 403,
        challenge: undefined,
        message: 'this gate is open to everybody, for pulls alone',
      });
    },
  );

  it('lets nobody administer', async () => {
    const { voucher } = await open();

    expect(
      await refusalOf(() => voucher.admit(requestFor({ need: { kind: 'admin' } }))),
    ).toMatchObject({ status: 403 });
  });

  it('gives tokens that are good for pulls, to clients that still ask for them', async () => {
    const { voucher, tokens } = await open();
    const scopes = [
      scopeOf('team/app', ['pull', 'push']),
      scopeOf('team/b', ['push']),
      { type: 'catalog' } as const,
    ];
    const { token, access, refreshToken } = await voucher.token(
      tokenRequest({ scopes, offline: true }),
    );

    expect(access).toEqual([
      { type: 'repository', name: 'docker.io/team/app', actions: ['pull'] },
      { type: 'registry', name: 'catalog', actions: ['*'] },
    ]);
    expect(refreshToken).toBeUndefined();
    expect(tokens.verify(token)).toEqual({ account: undefined, access });
  });
});
