import fc from 'fast-check';
import { expectLinear, fuzzed, shapes, textOf } from '../../test/support/fuzz';
import { settingsFor } from '../../test/support/behind-edge';
import { registryAt } from '../../test/support/gate-of-many';
import { Secrets } from '../config/secrets';
import type { NamedRepository } from '../edge/names';
import type { Identity } from '../edge/request-context';
import { OciError } from '../oci/oci-error';
import { canonicalName, type RepositoryName } from '../oci/repository-name';
import { linkTo, nextIn } from './next-link';
import { UploadLocation } from './upload-location';

const registry = registryAt('r.test:5000', new URL('http://r.test:5000'));
const location = new UploadLocation(new Secrets('s'.repeat(43)), settingsFor());

function named(repository: string): NamedRepository {
  const name = repository as RepositoryName;
  return {
    registry,
    repository: name,
    canonical: canonicalName(registry.name, name),
    asked: repository,
  };
}

const who = (username: string | undefined, epoch = 0) => ({ username, epoch }) as Identity;

/** Seals, and gives the seal's text; undefined where the address is too long to be sealed. */
function sealed(
  name: NamedRepository,
  identity: Identity,
  uuid: string,
  url: URL,
): string | undefined {
  try {
    const address = location.seal(name, identity, uuid, url);
    expect(address).toMatch(/^\/v2\/[a-z0-9/._-]+\/blobs\/uploads\/[\w=.-]+\?_state=[\w-]+$/);
    // With the digest that a client appends, it has to pass the gate's own bounds.
    expect(address.length).toBeLessThan(12 * 1024 - 200);
    return address.slice(address.indexOf('_state=') + '_state='.length);
  } catch (error) {
    expect(error).toBeInstanceOf(OciError);
    return undefined;
  }
}

const path = fc.oneof(
  shapes('%2e', '..', '~', '%', '\\', '?', '&', '=', '#', '+', "'", '|', '\u00e9', '\ud800').map(
    (shape) => textOf(shape, 40),
  ),
  shapes('\\', '\u{1f600}', '"', 'é').map((shape) => textOf(shape, 4200)),
);
const username = fc.oneof(
  fc.constant(undefined),
  fc.string({ unit: 'binary' }),
  shapes('é', '\u202e').map((shape) => textOf(shape, 250)),
);
const name = fc.constantFrom('team/app', `${'a/'.repeat(120)}b`, 'x');
const uuid = fc.constantFrom('1', 'a=.-_', 'u'.repeat(128));

describe('an upload’s address', () => {
  it('is opened as it was sealed, for its own account, repository and upload alone', () => {
    fc.assert(
      fc.property(path, username, name, uuid, fc.nat(), (text, account, repository, id, epoch) => {
        const url = URL.parse(`http://r.test:5000/${text}`);
        fc.pre(url !== null);
        const state = sealed(named(repository), who(account, epoch), id, url!);
        if (state === undefined) return;
        const open =
          (...[at, by, upload]: [string, Identity, string]) =>
          () =>
            location.open(named(at), by, upload, state);

        expect(open(repository, who(account, epoch), id)().href).toBe(url!.href);
        expect(open(`${repository}x`, who(account, epoch), id)).toThrow(OciError);
        expect(open(repository, who(`${account ?? ''}x`, epoch), id)).toThrow(OciError);
        expect(open(repository, who(account, epoch + 1), id)).toThrow(OciError);
        expect(open(repository, who(account, epoch), `${id}x`)).toThrow(OciError);
      }),
      fuzzed<[string, string | undefined, string, string, number]>(150, [
        // A query may hold backslashes as they are, which JSON writes twice: more than a seal holds.
        [`?${'\\'.repeat(4000)}`, 'ann', 'team/app', '1', 0],
        ['', 'é'.repeat(4000), 'team/app', '1', 0],
        [
          `?${'a'.repeat(4000)}`,
          '\u202e'.repeat(255),
          `${'a/'.repeat(120)}b`,
          'u'.repeat(128),
          2 ** 31,
        ],
      ]),
    );
  });

  it('that was altered in any way is not opened', () => {
    const state = sealed(named('team/app'), who('ann'), '1', new URL('http://r.test:5000/u?a=b'))!;
    const other = fc.oneof(
      fc
        .record({
          at: fc.nat({ max: state.length - 1 }),
          by: fc.constantFrom('', 'A', '-', '=', '/', '+', 'é', '\0', '%', ' ', 'AA'),
        })
        .map(({ at, by }) => state.slice(0, at) + by + state.slice(at + 1)),
      fc.nat({ max: state.length - 1 }).map((length) => state.slice(0, length)),
      fc.string({ unit: 'binary' }).map((tail) => `${state}${tail}`),
      fc.base64String({ minLength: 60 }),
    );
    fc.assert(
      fc.property(other, (text) => {
        fc.pre(text !== state);
        expect(() => location.open(named('team/app'), who('ann'), '1', text)).toThrow(OciError);
      }),
      fuzzed(300),
    );
  });

  it('is read in time that grows with its length alone', () => {
    fc.assert(
      fc.property(shapes('AA', '-', '_', '%41'), (shape) =>
        expectLinear((text) => location.open(named('team/app'), who('ann'), '1', text), shape, {
          length: 64_000,
        }),
      ),
      fuzzed(20),
    );
  });
});

describe('the link to the next page', () => {
  it('is read as it was written', () => {
    fc.assert(
      fc.property(fc.webQueryParameters(), (query) => {
        const address = new URL(`http://x/v2/a/tags/list?${query}`);
        const relative = `${address.pathname}${address.search}`;

        expect(nextIn(linkTo(relative))).toBe(relative);
        expect(nextIn(`</x>; rel="prev", ${linkTo(relative)}`)).toBe(relative);
      }),
      fuzzed(100),
    );
  });

  it('is one that the header holds, found in time that grows with its length alone', () => {
    const shape = shapes('<', '>', '</x>', '; rel=', 'next', '"', ';', ' rel', ',');
    fc.assert(
      fc.property(shape, (each) => {
        const header = textOf(each, 300);
        const next = nextIn(header);

        if (next !== undefined) expect(header).toContain(`<${next}>`);
        expectLinear(nextIn, each, { length: 16_384 });
      }),
      fuzzed(60),
    );
  });
});
