import type { Digest } from '../oci/digest';
import type { Reference } from '../oci/reference';
import type { UpstreamResponse } from '../upstream/upstream.client';
import { accepts, acceptsMore, mediaTypeOf, namedDigest } from './questions';

const IMAGE = 'application/vnd.oci.image.manifest.v1+json';
const INDEX = 'application/vnd.oci.image.index.v1+json';
const DIGEST = `sha256:${'a'.repeat(64)}` as Digest;

const answerWith = (headers: Record<string, string>) =>
  ({ headers }) as unknown as UpstreamResponse;

describe('an Accept', () => {
  it.each<[string | undefined, boolean]>([
    [undefined, true],
    ['', true],
    ['  ', true],
    [IMAGE, true],
    [`${INDEX}, ${IMAGE}`, true],
    [`${INDEX},${IMAGE.toUpperCase()} ; q=0.5`, true],
    ['*/*', true],
    [`${INDEX}, */*;q=0.1`, true],
    ['application/*', true],
    [INDEX, false],
    ['text/*', false],
    ['application/json', false],
    [`${IMAGE}x`, false],
    [',', false],
  ])('of %p takes an image: %p', (accept, taken) => {
    expect(accepts(accept, IMAGE)).toBe(taken);
    expect(accepts(accept, `${IMAGE}; charset=utf-8`)).toBe(taken);
  });

  it('of application/* takes nothing else', () => {
    expect(accepts('application/*', 'text/html')).toBe(false);
  });

  it.each<[string | undefined, boolean]>([
    [undefined, false],
    ['', false],
    [',', false],
    [IMAGE, false],
    [`${INDEX}, ${IMAGE};q=0.5`, false],
    ['*/*', false],
    ['application/*', false],
    ['application/vnd.example.thing', true],
    [`${IMAGE}, application/vnd.example.thing;q=0.1`, true],
  ])('of %p takes what the gate would not ask for: %p', (accept, more) => {
    expect(acceptsMore(accept)).toBe(more);
  });
});

describe('a registry’s answer', () => {
  it('is of the type that it gives, where that is a manifest’s', () => {
    expect(mediaTypeOf(answerWith({ 'content-type': IMAGE }))).toBe(IMAGE);
    for (const headers of [{}, { 'content-type': 'text/html' }])
      expect(() => mediaTypeOf(answerWith(headers as Record<string, string>))).toThrow(
        'without a media type that a manifest may have',
      );
  });

  it('is of the digest that was asked for, else of the one that it names', () => {
    const other = `sha256:${'b'.repeat(64)}`;
    const named = answerWith({ 'docker-content-digest': other });

    expect(namedDigest(named, DIGEST)).toBe(DIGEST);
    expect(namedDigest(named, 'latest' as Reference)).toBe(other);
    expect(namedDigest(answerWith({}), 'latest' as Reference)).toBeUndefined();
    const wrong = answerWith({ 'docker-content-digest': 'sha256:../../etc' });
    expect(namedDigest(wrong, 'latest' as Reference)).toBeUndefined();
  });
});
