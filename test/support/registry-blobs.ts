/** Blobs of a real registry, put there and counted past the gate. */
import type { Patterned } from './patterned';
import type { Registry } from './registry';

/** Puts one blob into the registry. */
export async function seedBlob(
  registry: Registry,
  repository: string,
  content: Patterned,
): Promise<void> {
  const start = await registry.ask(`/v2/${repository}/blobs/uploads/`, { method: 'POST' });
  const path = (start.headers.location ?? '').replace(registry.url, '');
  const put = `${path}${path.includes('?') ? '&' : '?'}digest=${content.digest}`;
  const { status, text } = await registry.ask(put, { method: 'PUT', body: content.bytes() });
  if (status !== 201) throw new Error(`the registry does not take a blob: ${status} ${text}`);
}

/**
 * Requests for content that got past the registry's door, as `GET blobs/sha256:…`; those it answered with 401 led to a
 * token.
 */
export async function contentAsked(registry: Registry, about = ''): Promise<string[]> {
  return (await registry.requests())
    .filter(({ path, status }) => status !== 401 && path.includes(about))
    .flatMap(({ method, path }) => {
      const what = /\/((?:blobs|manifests)\/[^?/]+)$/.exec(path)?.[1];
      return what ? [`${method} ${what}`] : [];
    });
}
