import fc from 'fast-check';
import { registryAt } from '../../test/support/upstream-fixture';
import { RegistryTable } from '../config/registry-table';
import { OciError } from '../oci/oci-error';
import { parseImage } from './image-reference';

const DIGEST = `sha256:${'a'.repeat(64)}`;
const table = new RegistryTable([
  { ...registryAt('https://registry-1.docker.io'), name: 'docker.io', library: true },
  { ...registryAt('http://127.0.0.1:5000'), name: '127.0.0.1:5000' },
]);

function refusal(text: string): OciError {
  try {
    parseImage(text, table);
  } catch (error) {
    if (error instanceof OciError) return error;
    throw error;
  }
  throw new Error(`${text} was taken`);
}

describe('the name of an image', () => {
  it.each([
    ['nginx', 'docker.io/library/nginx', 'latest'],
    ['nginx:1.27', 'docker.io/library/nginx', '1.27'],
    ['docker.io/nginx', 'docker.io/library/nginx', 'latest'],
    ['team/app:v1', 'docker.io/team/app', 'v1'],
    [`nginx@${DIGEST}`, 'docker.io/library/nginx', DIGEST],
    [`nginx:1@${DIGEST}`, 'docker.io/library/nginx', DIGEST],
    ['127.0.0.1:5000/team/app', '127.0.0.1:5000/team/app', 'latest'],
    ['127.0.0.1:5000/team/app:1', '127.0.0.1:5000/team/app', '1'],
  ])('%s means %s at %s', (text, canonical, reference) => {
    const image = parseImage(text, table);

    expect([image.name.canonical, image.reference]).toEqual([canonical, reference]);
  });

  it.each([
    ['ghcr.io/org/app:1', 'one of docker.io, 127.0.0.1:5000'],
    ['localhost:8080/nginx', 'does not know'],
    ['nginx:', 'no tag'],
    ['nginx:a:b', 'no tag'],
    ['nginx@', 'no digest'],
    ['nginx@latest', 'no digest'],
    [`nginx@${DIGEST}@${DIGEST}`, 'no digest'],
    ['nginx@sha256:../../x', 'no digest'],
    ['', 'no repository'],
    ['Nginx', 'no repository'],
    ['../nginx', 'does not know'],
    ['team/../nginx', 'no repository'],
    ['https://docker.io/nginx', 'does not know'],
    ['docker.io/', 'no repository'],
  ])('%j is refused with what would be right', (text, why) => {
    const { code, message, detail } = refusal(text);

    expect([code, detail]).toEqual([
      'BODY_INVALID',
      [{ path: 'image', message: expect.stringContaining(why) }],
    ]);
    expect(message).toContain('; give ');
  });

  it('leads to a configured registry or nowhere, whatever is written (S36)', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 60 }), (text) => {
        try {
          expect(table.registries).toContain(parseImage(text, table).name.registry);
        } catch (error) {
          expect(error).toBeInstanceOf(OciError);
        }
      }),
    );
  });
});
