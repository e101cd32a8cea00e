import {
  basic,
  bearer,
  hub,
  named,
  needOf,
  quay,
  refusalOf,
  tokenRequest,
} from '../../../test/support/auth-room';
import { relayRoom } from '../../../test/support/relay-room';
import { ClientLogin } from '../../config/principal';
import type { RequestContext } from '../../edge/request-context';

const [app, away] = [named('team/app').canonical, named('team/app', quay).canonical];

async function admit(given: Partial<RequestContext>) {
  const { passthrough, admit: by } = relayRoom();
  return by(given, passthrough);
}

async function shown(given: Partial<RequestContext>) {
  const { identity } = await admit({ need: needOf('team/app', ['push']), ...given });
  const principal = identity!.upstreamAs(app);
  return principal instanceof ClientLogin ? principal.authorizationFor(hub) : principal;
}

describe('AUTH_MODE=passthrough', () => {
  it("shows the registry the client's own header", async () => {
    expect(await shown({})).toBeUndefined();
    expect(await shown({ credentials: basic('ann', 'pä:ss') })).toBe(
      `Basic ${Buffer.from('ann:pä:ss').toString('base64')}`,
    );
    expect(await shown({ credentials: bearer('x.y.z') })).toBe('Bearer x.y.z');
    expect(await shown({ credentials: { scheme: 'unreadable' } })).toBeUndefined();
  });

  it("shows it no token of the gate's own", async () => {
    const { tokens } = relayRoom();

    expect(await shown({ credentials: bearer(tokens.wrap(hub, 'ann', 't')) })).toBeUndefined();
    expect(
      await shown({ credentials: bearer(tokens.issue(hub, 'ann', []).token) }),
    ).toBeUndefined();
  });

  it('lets all through at the registry of logins here', async () => {
    const { refusal, identity } = await admit({
      need: needOf('team/app', ['pull', 'push', 'delete']),
    });

    expect(refusal).toBeUndefined();
    expect(identity).toMatchObject({ username: undefined, vouchedBy: 'docker.io', unjudged: true });
    expect(identity!.registryAs(hub)).toBeInstanceOf(ClientLogin);
    expect((await admit({})).refusal).toBeUndefined();
  });

  it('lets another registry be read as nobody, and pushed to by nobody', async () => {
    const credentials = basic('ann', 'right');
    const { refusal, identity } = await admit({
      need: needOf('team/app', ['pull'], quay),
      credentials,
    });

    expect(refusal).toBeUndefined();
    expect([identity!.upstreamAs(away), identity!.registryAs(quay)]).toEqual([
      'anonymous',
      'anonymous',
    ]);
    expect(
      (await admit({ need: needOf('team/app', ['pull', 'push'], quay), credentials })).refusal,
    ).toMatchObject({
      status: 403,
      message:
        'pushes to quay.io need a host of its own here: a login for another registry is not for it',
    });
  });

  it('shows no login where there is a search, and the catalog’s registry its own', async () => {
    const credentials = basic('ann', 'right');
    const { identity } = await admit({ need: { kind: 'search' }, credentials });
    expect([identity!.upstreamAs(app), identity!.registryAs(hub)]).toEqual([
      'anonymous',
      'anonymous',
    ]);

    const catalog = (registry: typeof hub) =>
      ({
        need: { kind: 'catalog' },
        asked: { noun: 'catalog', registry, prefix: '', page: {} },
        credentials,
      }) as const;
    expect((await admit(catalog(hub))).identity!.registryAs(hub)).toBeInstanceOf(ClientLogin);
    expect((await admit(catalog(quay))).identity!.vouchedBy).toBe('quay.io');
    const parted = { registry: quay, prefix: 'quay.io/', rest: 'app' };
    const asked = {
      noun: 'search',
      query: { q: 'app' },
      parted,
      naming: {},
    } as unknown as RequestContext['asked'];
    expect((await admit({ need: { kind: 'search' }, asked })).identity!.vouchedBy).toBe('quay.io');
  });

  it('passes the challenge of the registry on, untouched', async () => {
    const { identity } = await admit({});
    const passed = (challenge: string | undefined) => {
      const { code, message, headers } = identity!.challenged!(challenge);
      return [code, message, headers['WWW-Authenticate']];
    };
    const challenge = 'Bearer realm="https://auth.docker.io/token",service="registry.docker.io"';

    expect(passed(challenge)).toEqual(['UNAUTHORIZED', 'authentication required', challenge]);
    const long = 'x'.repeat(8192);
    expect(passed(`\t ${long.slice(2)}`)[0]).toBe('UNAUTHORIZED');
    for (const odd of [
      undefined,
      '',
      `${long}x`,
      'a\r\nSet-Cookie: x',
      'Basic realm="é"',
      'a\nb',
      '\na',
      'a\n',
    ])
      expect(passed(odd)).toEqual([
        'BAD_UPSTREAM',
        'the registry asks for a login in a way that cannot be passed on',
        undefined,
      ]);
  });

  it('gives out no tokens', async () => {
    const { passthrough } = relayRoom();

    expect(await refusalOf(() => passthrough.token(tokenRequest()))).toMatchObject({
      status: 404,
      message: 'this gate gives out no tokens: clients fetch them where docker.io says',
    });
  });
});
