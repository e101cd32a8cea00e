import fc from 'fast-check';
import { relayTokens } from '../../../test/support/relay-room';
import { registryAt } from '../../../test/support/upstream-fixture';

const hub = registryAt('https://registry-1.docker.io', { name: 'docker.io' });
const quay = registryAt('https://quay.io', { name: 'quay.io' });
const ann = { username: 'ann', password: 'her password' };
const OTHER_SECRET = 'another secret of thirty-two bytes!!';
const TOKEN = 'eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJhdXRoLmRvY2tlci5pbyJ9.c2ln';

/** It says that it is a JWT, and its claims are no JSON. */
const ODD_JWT = `${Buffer.from('{"typ":"JWT","alg":"HS256"}').toString('base64url')}.eA.c2ln`;

describe("a registry's token, wrapped", () => {
  it('comes out as it went in, with whose it is, at its own registry', () => {
    const tokens = relayTokens();

    const text = tokens.wrap(hub, 'ann', TOKEN);

    expect(tokens.unwrap(text, hub)).toEqual({ username: 'ann', token: TOKEN });
    expect(text).toMatch(/^[A-Za-z0-9._~+/=-]+$/);
  });

  it('is nothing at another registry', () => {
    const tokens = relayTokens();

    expect(tokens.unwrap(tokens.wrap(hub, 'ann', TOKEN), quay)).toBeUndefined();
  });

  it('is nothing at the registry of its name once that is somewhere else', () => {
    const tokens = relayTokens();
    const moved = { ...hub, url: new URL('https://mirror.example.com') };

    expect(tokens.unwrap(tokens.wrap(hub, 'ann', TOKEN), moved)).toBeUndefined();
    expect(tokens.verify(tokens.issue(hub, 'ann', []).token, moved)).toBeUndefined();
  });

  it('is nothing once any character of it is another', () => {
    const tokens = relayTokens();
    const text = tokens.wrap(hub, 'ann', TOKEN);

    fc.assert(
      fc.property(fc.nat(text.length - 1), fc.constantFrom('A', 'b', '0', '.'), (at, other) => {
        fc.pre(text[at] !== other);
        const altered = text.slice(0, at) + other + text.slice(at + 1);
        return tokens.unwrap(altered, hub) === undefined;
      }),
    );
  });

  it('is nothing to a gate with another secret', () => {
    const text = relayTokens().wrap(hub, 'ann', TOKEN);

    expect(relayTokens([], OTHER_SECRET).unwrap(text, hub)).toBeUndefined();
  });

  it('is good beyond a change of the secret, as is one that the gate signs', () => {
    const before = relayTokens([ann], OTHER_SECRET);
    const [wrapped, signed] = [before.wrap(hub, 'ann', TOKEN), before.issue(hub, 'ann', []).token];
    const after = relayTokens([ann], undefined, OTHER_SECRET);

    expect(after.unwrap(wrapped, hub)?.username).toBe('ann');
    expect(after.verify(signed, hub)?.username).toBe('ann');
    expect(after.isOwn(signed)).toBe(true);
  });

  it('is nothing with anything in front of it', () => {
    const tokens = relayTokens();

    expect(tokens.unwrap(`x${tokens.wrap(hub, 'ann', TOKEN)}`, hub)).toBeUndefined();
  });

  it('ends with the listed login', () => {
    const text = relayTokens([ann]).wrap(hub, 'ann', TOKEN);
    const changed = { ...ann, password: 'a new one' };

    expect(relayTokens([ann]).unwrap(text, hub)?.username).toBe('ann');
    expect(relayTokens([changed]).unwrap(text, hub)).toBeUndefined();
    expect(relayTokens([{ ...ann, username: 'bob' }]).unwrap(text, hub)).toBeUndefined();
  });

  it('of a gate that listed nobody is nothing to one that does', () => {
    const text = relayTokens().wrap(hub, 'ann', TOKEN);

    expect(relayTokens([ann]).unwrap(text, hub)).toBeUndefined();
  });

  it('never throws, whatever the text is', () => {
    const tokens = relayTokens();

    fc.assert(
      fc.property(fc.string(), fc.base64String(), (head, tail) => {
        const texts = [
          head,
          `tidegate.${head}.${tail}`,
          `tidegate.${tail}.${'A'.repeat(43)}.${head}`,
        ];
        return texts.every((text) => tokens.unwrap(text, hub) === undefined);
      }),
    );
  });
});

describe('a token that the gate signs', () => {
  const access = [{ type: 'repository', name: 'docker.io/team/app', actions: ['pull'] }];

  it('says at its own registry what it is good for, and nothing at another', () => {
    const tokens = relayTokens();
    const { token } = tokens.issue(hub, undefined, access);

    expect(tokens.verify(token, hub)).toEqual({ username: undefined, access });
    expect(tokens.verify(token, quay)).toBeUndefined();
  });

  it('ends with the listed login', () => {
    const { token } = relayTokens([ann]).issue(hub, 'ann', access);

    expect(relayTokens([ann]).verify(token, hub)?.username).toBe('ann');
    expect(relayTokens([{ ...ann, password: 'new' }]).verify(token, hub)).toBeUndefined();
  });
});

describe("what is the gate's own", () => {
  it.each([
    ['a wrapped token', () => relayTokens().wrap(hub, 'ann', TOKEN)],
    ['a wrapped token, altered', () => relayTokens().wrap(hub, 'ann', TOKEN).slice(0, -3)],
    ['a signed token', () => relayTokens().issue(hub, undefined, []).token],
  ])('is known to be: %s', (_what, make) => {
    expect(relayTokens().isOwn(make())).toBe(true);
  });

  it.each([TOKEN, 'opaque', 'a.b.c', '', ODD_JWT])('is not %s', (token) => {
    expect(relayTokens().isOwn(token)).toBe(false);
  });

  it('is not what another gate signed, which may stand behind this one', () => {
    const { token } = relayTokens([], OTHER_SECRET).issue(hub, undefined, []);

    expect(relayTokens().isOwn(token)).toBe(false);
  });
});

describe('a refresh token', () => {
  const login = { username: 'ann', refreshToken: 'of the registry' };

  it('stands for the login at its own registry, and shows nothing of it', () => {
    const tokens = relayTokens();
    const text = tokens.seal(hub, login) ?? '';

    expect(tokens.unseal(text, hub)).toEqual(login);
    expect(tokens.unseal(text, quay)).toBeUndefined();
    expect(Buffer.from(text, 'base64url').toString('latin1')).not.toContain('of the registry');
  });

  it('is none where the registry’s own is too long to be carried', () => {
    expect(relayTokens().seal(hub, { ...login, refreshToken: 'x'.repeat(9_000) })).toBeUndefined();
  });
});
