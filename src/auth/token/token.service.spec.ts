import { createHmac } from 'node:crypto';
import fc from 'fast-check';
import { authRoom, openAccounts, SECRET } from '../../../test/support/auth-room';
import { ACTOR } from '../../../test/support/accounts';
import { Secrets } from '../../config/secrets';
import type { Accounts } from '../accounts/accounts.service';

const PASSWORD = 'correct horse';
const OTHER_SECRET = 'another secret of thirty-two bytes!!';
const access = [{ type: 'repository', name: 'docker.io/team/app', actions: ['pull', 'push'] }];

let accounts: Accounts;
beforeAll(async () => {
  accounts = await openAccounts();
  await accounts.add({ username: 'ann', password: PASSWORD }, ACTOR);
});

const base64 = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
const partOf = (token: string, at: number) =>
  JSON.parse(Buffer.from(token.split('.')[at]!, 'base64url').toString()) as Record<string, unknown>;

/** A token of any header and any claims, signed with a key of the gate's. */
function signed(header: object, claims: object, secrets = new Secrets(SECRET)): string {
  const text = `${base64(header)}.${base64(claims)}`;
  const mac = createHmac('sha256', secrets.current.sign).update(text).digest('base64url');
  return `${text}.${mac}`;
}

/** An account of its own for a test that changes it. */
async function newcomer(username: string) {
  return accounts.add({ username, password: PASSWORD }, ACTOR);
}

describe('a token', () => {
  const { id } = new Secrets(SECRET).current;

  it('says what the field says of a token, and how long it is good', () => {
    const { tokens: room } = authRoom(accounts, { tokenTtl: 120, tokenService: 'a gate' });
    const before = Math.floor(Date.now() / 1000);

    const { token, expiresIn, issuedAt } = room.issue(accounts.find('ann'), access);

    const claims = partOf(token, 1);
    const iat = issuedAt.getTime() / 1000;
    expect(partOf(token, 0)).toEqual({ alg: 'HS256', typ: 'JWT', kid: id });
    expect(claims).toMatchObject({ iss: 'a gate', aud: 'a gate', sub: 'ann', epoch: 0, access });
    expect(claims).toMatchObject({ iat, nbf: iat - 10, exp: iat + 120 });
    expect(claims['jti']).toMatch(/^[0-9a-f-]{36}$/);
    expect(expiresIn).toBe(120);
    expect(iat).toBeGreaterThanOrEqual(before);
    expect(iat).toBeLessThanOrEqual(Date.now() / 1000);
  });

  it('is good for what it was given out for, to whom it was given', () => {
    const { tokens: room } = authRoom(accounts);
    const { token } = room.issue(accounts.find('ann'), access);

    expect(room.verify(token)).toEqual({ account: accounts.find('ann'), access });
  });

  it('of a reader without an account is one of nobody', () => {
    const { tokens: room } = authRoom(accounts);
    const { token } = room.issue(undefined, access);

    expect(partOf(token, 1)).toMatchObject({ sub: '', epoch: 0 });
    expect(partOf(token, 1)).not.toHaveProperty('fp');
    expect(room.verify(token)).toEqual({ account: undefined, access });
  });

  it('shows nothing of the password, nor the hash or its fingerprint', () => {
    const { tokens: room } = authRoom(accounts);
    const { token } = room.issue(accounts.find('ann'), access);
    const { fp } = partOf(token, 1);

    expect(fp).toMatch(/^[A-Za-z0-9_-]{43}$/);
    expect(JSON.stringify(partOf(token, 1))).not.toContain(accounts.find('ann')!.fingerprint);
  });

  it.each([
    ['the account is removed', (name: string) => accounts.remove(name, ACTOR)],
    ['it is disabled', (name: string) => accounts.change(name, { disabled: true }, ACTOR)],
    [
      'its password is another',
      (name: string) => accounts.change(name, { password: 'new one' }, ACTOR),
    ],
    ['its sessions are ended', (name: string) => accounts.endSessions(name, ACTOR)],
  ])('ends once %s, its refresh token too', async (what, end) => {
    const name = `user-${what.replaceAll(' ', '-')}`;
    const { tokens: room } = authRoom(accounts);
    const account = await newcomer(name);
    const { token } = room.issue(account, access);
    const refresh = room.issueRefresh(account);
    expect(room.verify(token)?.account).toEqual(account);
    expect(room.redeemRefresh(refresh)).toEqual(account);

    await end(name);

    expect(room.verify(token)).toBeUndefined();
    expect(room.redeemRefresh(refresh)).toBeUndefined();
  });

  it('of the secret before is good until it expires, and new ones are of the new secret', () => {
    const before = authRoom(accounts).tokens.issue(accounts.find('ann'), access).token;
    const rotated = new Secrets(OTHER_SECRET, SECRET);
    const { tokens: room } = authRoom(accounts, {}, rotated);

    expect(room.verify(before)?.account?.username).toBe('ann');
    expect(partOf(room.issue(undefined, []).token, 0)['kid']).toBe(rotated.current.id);
    expect(authRoom(accounts, {}, new Secrets(OTHER_SECRET)).tokens.verify(before)).toBeUndefined();
  });

  it('with any character changed is none', () => {
    const { tokens: room } = authRoom(accounts);
    const { token } = room.issue(accounts.find('ann'), access);
    const characters = fc.constantFrom(...'AQgw-_.0z');
    expect(room.verify(token)).toBeDefined();
    fc.assert(
      fc.property(fc.nat({ max: token.length - 2 }), characters, (at, other) => {
        fc.pre(token[at] !== other);
        return room.verify(token.slice(0, at) + other + token.slice(at + 1)) === undefined;
      }),
    );
  });

  it('that was seen before is good for its time alone', () => {
    const { tokens: room } = authRoom(accounts, { tokenTtl: 120 });
    const { token, issuedAt } = room.issue(accounts.find('ann'), access);
    const at = (seconds: number) => {
      const clock = jest.spyOn(Date, 'now').mockReturnValue(issuedAt.getTime() + seconds * 1000);
      const found = room.verify(token)?.account?.username;
      clock.mockRestore();
      return found;
    };

    expect([0, 119, 120, -10, -11, 1].map(at)).toEqual([
      'ann',
      'ann',
      undefined,
      'ann',
      undefined,
      'ann',
    ]);
  });

  it('is none, and nothing throws, whatever the text', () => {
    const { tokens: room } = authRoom(accounts);
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.json().map((text) => `${Buffer.from(text).toString('base64url')}.e30.x`),
        ),
        (text) => room.verify(text) === undefined && room.redeemRefresh(text) === undefined,
      ),
    );
  });

  describe('signed with the right key', () => {
    const header = { alg: 'HS256', typ: 'JWT', kid: new Secrets(SECRET).current.id };
    const now = Math.floor(Date.now() / 1000);
    const claims = {
      iss: 'tidegate',
      aud: 'tidegate',
      sub: '',
      iat: now,
      nbf: now,
      exp: now + 3600,
      epoch: 0,
      access,
    };

    it('is good as it should be', () => {
      expect(authRoom(accounts).tokens.verify(signed(header, claims))).toEqual({
        account: undefined,
        access,
      });
    });

    it.each<[string, object, object]>([
      ['without an algorithm', { ...header, alg: 'none' }, claims],
      ['said to be of another algorithm', { ...header, alg: 'HS512' }, claims],
      ['without a kid', { alg: 'HS256', typ: 'JWT' }, claims],
      ['with a kid of nobody', { ...header, kid: 'AAAAAAAAAAA' }, claims],
      ['with a kid that is a path', { ...header, kid: '/dev/null' }, claims],
      ['with a kid that is a list', { ...header, kid: [header.kid] }, claims],
      [
        'for somebody else',
        header,
        { ...claims, aud: 'relay docker.io https://registry-1.docker.io' },
      ],
      ['by somebody else', header, { ...claims, iss: 'auth.docker.io' }],
      ['expired', header, { ...claims, exp: now - 1 }],
      ['not yet good', header, { ...claims, nbf: now + 600 }],
      ['without whose it is', header, { ...claims, sub: undefined }],
      ['without an epoch', header, { ...claims, epoch: undefined }],
      ['without what it is for', header, { ...claims, access: undefined }],
      [
        'with something else as what it is for',
        header,
        { ...claims, access: [{ type: 'repository' }] },
      ],
      ['of an account, without proof of its password', header, { ...claims, sub: 'ann' }],
      ['of an account, with a wrong proof', header, { ...claims, sub: 'ann', fp: 'AAAA' }],
      ['of an account that there is not', header, { ...claims, sub: 'nobody' }],
    ])('is none %s', (_, head, body) => {
      expect(authRoom(accounts).tokens.verify(signed(head, body))).toBeUndefined();
    });
  });

  it('is none without its signature', () => {
    const { tokens: room } = authRoom(accounts);
    const [header, claims] = room.issue(accounts.find('ann'), access).token.split('.');

    expect(room.verify(`${header}.${claims}.`)).toBeUndefined();
    expect(room.verify(`${base64({ alg: 'none' })}.${claims}.`)).toBeUndefined();
    expect(room.verify(base64({ kid: id }))).toBeUndefined();
  });
});

describe('a refresh token', () => {
  it('is good for its account, and no access token', () => {
    const { tokens } = authRoom(accounts);
    const ann = accounts.find('ann')!;
    const refresh = tokens.issueRefresh(ann);

    expect(tokens.redeemRefresh(refresh)).toEqual(ann);
    expect(tokens.verify(refresh)).toBeUndefined();
    expect(tokens.redeemRefresh(tokens.issue(ann, access).token)).toBeUndefined();
  });

  it('shows nothing, and says in its seal when it was made', () => {
    const { tokens, secrets } = authRoom(accounts);
    const refresh = tokens.issueRefresh(accounts.find('ann')!);
    const claims = secrets.unseal('refresh token', refresh) as { iat: number };

    expect(Buffer.from(refresh, 'base64url').toString('latin1')).not.toContain('ann');
    expect(Math.abs(claims.iat - Date.now() / 1000)).toBeLessThan(60);
  });

  it('is none when it was sealed for another use, or says too little', () => {
    const { tokens, secrets } = authRoom(accounts);
    const { username: sub, fingerprint: fp, epoch } = accounts.find('ann')!;
    const claims = { sub, fp, epoch, iat: 1 };

    expect(tokens.redeemRefresh(secrets.seal('refresh token', claims))?.username).toBe('ann');
    expect(tokens.redeemRefresh(secrets.seal('upload address', claims))).toBeUndefined();
    expect(tokens.redeemRefresh(secrets.seal('refresh token', { sub, fp, epoch }))).toBeUndefined();
    expect(
      tokens.redeemRefresh(secrets.seal('refresh token', { ...claims, fp: 'x' })),
    ).toBeUndefined();
  });
});
