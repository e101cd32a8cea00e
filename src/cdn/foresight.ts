/**
 * After a manifest was pulled: what it names, and is held already through other names, is asked for by HEAD, so that it may be
 * served under this name too when the upstream is away. Without it, whoever shares layers among images would find half of an
 * image closed that night.
 */
import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { LRUCache } from 'lru-cache';
import { z } from 'zod';
import { atMost } from '../config/at-most';
import { ClientLogin } from '../config/principal';
import { parseBoundedJson } from '../oci/bounded-json';
import { parseDigest, type Digest } from '../oci/digest';
import { Blobs } from './blobs';
import { ManifestFetches } from './manifest-fetches';
import { Permission, type Noun } from './permission';
import { SmallContent } from './small-content';
import { nameOf, viaOf, type Source } from './source';

const Descriptor = z.object({ digest: z.string(), urls: z.array(z.string()).optional() });
/** An image, or an index of images. OCI image-spec, manifest.md and image-index.md. */
const Named = z.object({
  config: Descriptor.optional(),
  layers: z.array(Descriptor).max(1000).optional(),
  manifests: z.array(Descriptor).max(1000).optional(),
});

/** Requests under way at once: it is no client's wait that they shorten. */
const AT_ONCE = 2;
const MAX_WAITING = 2_000;
/** Of one repository: nobody fills the queue alone. */
const MAX_OF_NAME = 500;
/** A no is not asked for again so soon, in milliseconds. */
const NO_TTL = 5 * 60_000;
const MAX_NOES = 10_000;

interface Waiting {
  readonly source: Source;
  readonly digest: Digest;
  readonly noun: Noun;
}

@Injectable()
export class Foresight implements OnApplicationShutdown {
  readonly #waiting = new Map<string, Waiting>();
  readonly #noes = new LRUCache<string, true>({ ...atMost(MAX_NOES), ttl: NO_TTL });
  readonly #stopping = new AbortController();
  #running = 0;

  constructor(
    private readonly small: SmallContent,
    private readonly permission: Permission,
    private readonly blobs: Blobs,
    private readonly manifests: ManifestFetches,
  ) {}

  /** The source has just pulled this manifest from upstream. Returns at once, and never fails. */
  pulled(source: Source, manifest: Buffer): void {
    // What a client's own login may see is known for a minute: no night is bridged by that.
    if (source.as instanceof ClientLogin) return;
    const parsed = Named.safeParse(parseBoundedJson(manifest));
    if (!parsed.success) return;
    const { config, layers = [], manifests = [] } = parsed.data;
    // What has addresses of its own lies elsewhere.
    const blobs = (config ? [config, ...layers] : layers).filter(({ urls }) => !urls?.length);
    for (const { digest } of manifests.slice(0, MAX_OF_NAME)) this.#add(source, digest, 'manifest');
    for (const { digest } of blobs.slice(0, MAX_OF_NAME)) this.#add(source, digest, 'blob');
    while (this.#running < AT_ONCE && this.#waiting.size > 0) void this.#work();
  }

  onApplicationShutdown(): void {
    this.#waiting.clear();
    this.#stopping.abort();
  }

  #add(source: Source, text: string, noun: Noun): void {
    const digest = parseDigest(text);
    if (!digest || this.#waiting.size >= MAX_WAITING) return;
    const key = `${viaOf(source)} ${nameOf(source)} ${noun} ${digest}`;
    if (!this.#noes.has(key)) this.#waiting.set(key, { source, digest, noun });
  }

  async #work(): Promise<void> {
    this.#running += 1;
    try {
      for (const [key, { source, digest, noun }] of this.#waiting) {
        this.#waiting.delete(key);
        await this.#ask(key, source, digest, noun);
      }
    } finally {
      this.#running -= 1;
    }
  }

  async #ask(key: string, source: Source, digest: Digest, noun: Noun): Promise<void> {
    if (this.#stopping.signal.aborted) return;
    try {
      if ((await this.small.sizeOf(digest)) === undefined) return;
      if (await this.permission.linkFor(source, digest, noun)) return;
      const who = noun === 'blob' ? this.blobs : this.manifests;
      await who.askFor(source, digest, this.#stopping.signal);
    } catch {
      // A no, or no answer: then it stays closed under this name.
      this.#noes.set(key, true);
    }
  }
}
