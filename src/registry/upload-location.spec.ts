import fc from 'fast-check';
import { plainRegistry } from '../config/built-in-registries';
import { Secrets } from '../config/secrets';
import type { Settings } from '../config/settings';
import type { NamedRepository } from '../edge/names';
import type { Identity } from '../edge/request-context';
import { canonicalName, parseRepositoryName } from '../oci/repository-name';
import { UploadLocation } from './upload-location';

const HOUR = 3_600_000;
const SECRET = 'a secret of more than thirty-two bytes';
const UUID = '0f8fad5b-d9cb-469f-a165-70867728950e';
const AT = new URL('https://registry.example.com/v2/team/app/blobs/uploads/1?_state=a%20b~c');

const location = locationFor({});

function locationFor({ secret = SECRET, uploadTtl = HOUR }): UploadLocation {
  return new UploadLocation(new Secrets(secret), { uploadTtl } as Settings);
}

function named(repository = 'team/app', url = 'https://registry.example.com'): NamedRepository {
  const name = parseRepositoryName(repository)!;
  const registry = plainRegistry('registry.example.com', new URL(url));
  return { registry, repository: name, canonical: canonicalName(registry.name, name), asked: name };
}

function who(username: string | undefined, epoch = 0): Identity {
  return { username, epoch } as Identity;
}

/** The seal of an address. */
function stateOf(address: string): string {
  return new URL(address, 'http://gate').searchParams.get('_state')!;
}

const sealed = stateOf(location.seal(named(), who('alice', 3), UUID, AT));

describe('an upload address', () => {
  it('is under the name that the client said, and shows nothing of where the upload really is', () => {
    const address = location.seal(
      { ...named(), asked: 'r.example/team/app' },
      who('alice'),
      UUID,
      AT,
    );

    expect(address).toMatch(
      new RegExp(`^/v2/r\\.example/team/app/blobs/uploads/${UUID}\\?_state=[A-Za-z0-9_-]+$`),
    );
  });

  it('leads whoever began it back to where the upload is', () => {
    expect(location.open(named(), who('alice', 3), UUID, sealed).href).toBe(AT.href);
  });

  it('serves readers without an account, too, and is not one of an account', () => {
    const state = stateOf(location.seal(named(), who(undefined), UUID, AT));

    expect(location.open(named(), who(undefined), UUID, state).href).toBe(AT.href);
    expect(() => location.open(named(), who('alice'), UUID, state)).toThrow();
  });

  it('survives whatever the upstream puts into it, up to 4 KiB', () => {
    fc.assert(
      fc.property(fc.webUrl({ withQueryParameters: true }), (text) => {
        const url = new URL(text);
        const name = named('team/app', url.origin);
        const state = stateOf(location.seal(name, who('alice'), UUID, url));

        expect(location.open(name, who('alice'), UUID, state).href).toBe(url.href);
      }),
    );
  });

  it('may be of 4 KiB, and of no more', () => {
    const long = (length: number) => new URL(AT.href.padEnd(length, 'x'));
    const state = stateOf(location.seal(named(), who('alice'), UUID, long(4096)));

    expect(location.open(named(), who('alice'), UUID, state)).toEqual(long(4096));
    expect(() => location.seal(named(), who('alice'), UUID, long(4097))).toThrow(
      expect.objectContaining({
        code: 'BAD_UPSTREAM',
        message: 'the upstream registry gave an upload address of more than 4 KiB',
      }),
    );
  });
});

describe('an upload address is unknown', () => {
  const unknown = expect.objectContaining({
    code: 'BLOB_UPLOAD_UNKNOWN',
    message: 'there is no such upload here, or not any more: begin it anew',
  });

  it.each([
    ['to another account', named(), who('mallory', 3), UUID],
    ['to a reader without an account', named(), who(undefined, 3), UUID],
    ['once the sessions of its account are ended', named(), who('alice', 4), UUID],
    ['in another repository', named('team/other'), who('alice', 3), UUID],
    ['of another identifier', named(), who('alice', 3), `${UUID}0`],
    [
      'once the registry is elsewhere',
      named('team/app', 'https://moved.example'),
      who('alice', 3),
      UUID,
    ],
    [
      'once the registry is at another port',
      named('team/app', 'https://registry.example.com:8443'),
      who('alice', 3),
      UUID,
    ],
  ])('%s', (_, name, identity, uuid) => {
    expect(() => location.open(name, identity, uuid, sealed)).toThrow(unknown);
  });

  it('with any character of it changed, or as another text', () => {
    const character = fc.constantFrom(
      ...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~',
    );
    fc.assert(
      fc.property(fc.nat({ max: sealed.length - 1 }), character, (at, other) => {
        fc.pre(sealed[at] !== other);
        const altered = sealed.slice(0, at) + other + sealed.slice(at + 1);

        expect(() => location.open(named(), who('alice', 3), UUID, altered)).toThrow(unknown);
      }),
    );
    for (const text of ['', AT.href, sealed.slice(1)])
      expect(() => location.open(named(), who('alice', 3), UUID, text)).toThrow(unknown);
  });

  it('once its time is up', () => {
    const name = named();
    const state = (uploadTtl: number) =>
      stateOf(locationFor({ uploadTtl }).seal(name, who('alice'), UUID, AT));

    expect(location.open(name, who('alice'), UUID, state(HOUR)).href).toBe(AT.href);
    expect(() => location.open(name, who('alice'), UUID, state(0))).toThrow(unknown);
    expect(() => location.open(name, who('alice'), UUID, state(-1))).toThrow(unknown);
  });

  it('when it is a seal of another gate, or of something else of this one', () => {
    const other = locationFor({ secret: 'some other secret of thirty-two bytes' });
    const foreign = stateOf(other.seal(named(), who('alice', 3), UUID, AT));
    const payload = {
      name: named().canonical,
      uuid: UUID,
      account: 'alice',
      epoch: 3,
      url: AT.href,
      until: Date.now() + HOUR,
    };
    const seal = (purpose: string, content: object) => new Secrets(SECRET).seal(purpose, content);

    expect(
      location.open(named(), who('alice', 3), UUID, seal('upload address', payload)).href,
    ).toBe(AT.href);
    expect(() => location.open(named(), who('alice', 3), UUID, foreign)).toThrow(unknown);
    expect(() =>
      location.open(named(), who('alice', 3), UUID, seal('refresh token', payload)),
    ).toThrow(unknown);
    expect(() =>
      location.open(named(), who('alice', 3), UUID, seal('upload address', { url: AT.href })),
    ).toThrow(unknown);
  });
});

describe("an upload's identifier", () => {
  it.each([UUID, 'a', 'A_z=.-9', 'x'.repeat(128)])("is the upstream's own: %s", (uuid) => {
    expect(location.uuidFrom(uuid)).toBe(uuid);
  });

  it.each([undefined, '', 'x'.repeat(129), 'a/b', '../x', ' a', 'a ', 'a?b', 'a\n', 'a%2fb', 'é'])(
    'is one of ours where the upstream says %j',
    (header) => {
      const one = location.uuidFrom(header);

      expect(one).toMatch(/^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
      expect(location.uuidFrom(header)).not.toBe(one);
    },
  );
});
