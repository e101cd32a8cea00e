import {
  basic,
  bearer,
  hub,
  named,
  needOf,
  quay,
  scopeOf,
  tokenRequest,
} from '../../../test/support/auth-room';
import { relayRoom } from '../../../test/support/relay-room';
import type { Identity } from '../../edge/request-context';
import type { Access } from '../../oci/access';

const ANN = { username: 'ann', password: 'right' };
const [app, away] = [named('team/app').canonical, named('team/app', quay).canonical];
const ACTIONS = ['pull', 'push', 'delete'] as const;

const rightsOf = (identity: Identity | undefined, name = app) =>
  ACTIONS.filter((action) => identity?.may(name, action));
const pullOf = (name: string): Access => ({ type: 'repository', name, actions: ['pull'] });

describe('another registry than the one of logins here', () => {
  const there = { registry: quay, need: needOf('team/app', ['pull'], quay) };
  const push = { registry: quay, need: needOf('team/app', ['push'], quay) };

  it('is read as nobody, and is shown no login', async () => {
    const { admit, upstream } = relayRoom({ anonymousRepositories: [] });
    for (const credentials of [{ scheme: 'none' } as const, basic('ann', 'right')]) {
      const { refusal, identity } = await admit({ ...there, credentials });

      expect(refusal).toBeUndefined();
      expect([rightsOf(identity, away), rightsOf(identity)]).toEqual([['pull'], []]);
      expect([identity!.upstreamAs(away), identity!.registryAs(quay)]).toEqual([
        'anonymous',
        'anonymous',
      ]);
    }
    expect(upstream.logins).toEqual([]);
  });

  it('is read by the listed with the operator’s credentials', async () => {
    const { admit } = relayRoom({ accounts: [ANN] });
    const { identity } = await admit({ ...there, credentials: basic('ann', 'right') });

    expect([identity!.upstreamAs(away), identity!.registryAs(quay)]).toEqual([
      'configured',
      'configured',
    ]);
    expect(rightsOf(identity, away)).toEqual(['pull']);
  });

  it('takes no pushes, and says where they go', async () => {
    const { admit, trail } = relayRoom();

    expect((await admit({ ...push, credentials: basic('ann', 'right') })).refusal).toEqual({
      status: 403,
      challenge: undefined,
      message:
        'pushes to quay.io need a host of its own here: a login for another registry is not for it',
    });
    expect(trail).toMatchObject([{ audit: 'denied', target: 'quay.io/team/app' }]);
    expect((await admit(push)).refusal?.status).toBe(401);
  });

  it('has its tokens from the gate, for pulls', async () => {
    const { voucher, upstream, tokens } = relayRoom();
    const scopes = [scopeOf('team/app', ['pull', 'push'], quay)];
    const byPath = await voucher.token(tokenRequest({ scopes }));
    const byNamespace = await voucher.token(tokenRequest({}, { registry: quay }));

    expect(upstream.questions).toEqual([]);
    expect(byPath.access).toEqual([pullOf(away)]);
    expect(tokens.verify(byPath.token, hub)).toBeDefined();
    expect(tokens.verify(byNamespace.token, quay)).toBeDefined();
    // One that asks for both goes to the registry of logins here.
    await voucher.token(tokenRequest({ scopes: [...scopes, scopeOf('team/app')] }));
    expect(upstream.questions).toHaveLength(1);
  });
});

describe('a search', () => {
  const need = { kind: 'search' } as const;

  it('shows no login to anybody, and takes the token of one at the registry', async () => {
    const { admit, tokens, upstream } = relayRoom({ accounts: [ANN] });
    const credentials = bearer(tokens.wrap(hub, 'ann', 't'));
    const { refusal, identity } = await admit({ need, credentials });

    expect([refusal, identity?.username]).toEqual([undefined, 'ann']);
    expect(identity!.upstreamAs(app)).toBe('anonymous');
    expect(
      (await admit({ need: { kind: 'login' }, credentials: bearer(tokens.wrap(quay, 'ann', 't')) }))
        .refusal?.status,
    ).toBe(401);
    expect((await admit({ need, registry: quay, credentials })).refusal?.status).toBe(401);
    expect((await admit({ need, credentials: bearer('x') })).refusal?.status).toBe(401);
    expect(upstream.logins).toEqual([]);
  });
});
