/** What a manifest names: the parts of an image, or the images of an index. It comes from outside, and may be hostile. */
import { z } from 'zod';
import { parseBoundedJson } from '../../oci/bounded-json';
import { parseDigest, type Digest } from '../../oci/digest';
import type { Platform } from './platform';

const INDEXES: ReadonlySet<string> = new Set([
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
]);
const IMAGES: ReadonlySet<string> = new Set([
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
]);

/** A blob that an image names. */
export interface Part {
  readonly digest: Digest;
  /** As the manifest has it. */
  readonly size: number;
  /** It lies elsewhere, by `urls` of the manifest's own, or may not be handed on: the registry has no such blob. */
  readonly foreign: boolean;
}

/** A manifest that an index names. */
export interface Child {
  readonly digest: Digest;
  readonly kind: ManifestKind | undefined;
  readonly platform: Platform | undefined;
}

export type ManifestKind = 'image' | 'index';

export type Parts =
  | { readonly kind: 'image'; readonly blobs: readonly Part[] }
  | { readonly kind: 'index'; readonly children: readonly Child[] };

const text = z.string().max(512);
const digest = text.transform((value, context) => {
  const parsed = parseDigest(value);
  if (parsed) return parsed;
  context.addIssue({ code: 'custom', message: 'is no digest' });
  return z.NEVER;
});
const descriptor = z.object({ mediaType: text.optional(), digest });
const part = descriptor.extend({
  size: z.int().min(0),
  urls: z.array(z.string()).nullish(),
});
// Names of the registry's own making that are no platform's do not spoil the rest of an index.
const platform = z
  .object({ os: text, architecture: text, variant: text.nullish() })
  .transform(({ variant, ...rest }) => ({ ...rest, variant: variant ?? undefined }))
  .optional()
  .catch(undefined);

const image = z.object({ config: part, layers: z.array(part).nullish() });
const index = z.object({ manifests: z.array(descriptor.extend({ platform })).nullish() });

const FOREIGN = /\.(?:nondistributable|foreign)\./;

/** Which of the two kinds a media type is; undefined for any other. */
export function manifestKindOf(mediaType: string): ManifestKind | undefined {
  const bare = (mediaType.split(';', 1)[0] ?? '').trim().toLowerCase();
  if (INDEXES.has(bare)) return 'index';
  return IMAGES.has(bare) ? 'image' : undefined;
}

/** @returns undefined for what cannot be read as that kind of manifest. */
export function readParts(kind: ManifestKind, bytes: Uint8Array): Parts | undefined {
  const document = parseBoundedJson(bytes);
  return kind === 'index' ? readIndex(document) : readImage(document);
}

function readImage(document: unknown): Parts | undefined {
  const { data } = image.safeParse(document);
  if (!data) return undefined;
  const blobs = [data.config, ...(data.layers ?? [])].map(({ mediaType, urls, ...blob }) => ({
    ...blob,
    foreign: (urls?.length ?? 0) > 0 || FOREIGN.test(mediaType ?? ''),
  }));
  return { kind: 'image', blobs };
}

function readIndex(document: unknown): Parts | undefined {
  const { data } = index.safeParse(document);
  if (!data) return undefined;
  const children = (data.manifests ?? []).map(({ mediaType, ...child }) => ({
    digest: child.digest,
    platform: child.platform,
    kind: manifestKindOf(mediaType ?? ''),
  }));
  return { kind: 'index', children };
}
