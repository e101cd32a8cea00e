/** Blobs: held, or fetched once while everybody who may reads along. */
import { Inject, Injectable } from '@nestjs/common';
import { parseRange, rangeWithin, type AskedRange, type ByteRange } from '../oci/byte-range';
import type { Digest } from '../oci/digest';
import { OciError } from '../oci/oci-error';
import { discard, type UpstreamResponse } from '../upstream/upstream.client';
import { BlobFetches } from './blob-fetches';
import type { Body } from './body/body';
import { Cache } from './cache';
import { directBody } from './fetch/direct-body';
import { HeldBlobs } from './held-blobs';
import type { Holder, Reader } from './reader';
import { Permission } from './permission';
import { nameOf, type Source } from './source';
import { UpstreamContent } from './fetch/upstream-content';

/** What a client asks of a blob, beside its digest. */
export interface BlobRequest {
  readonly method: 'GET' | 'HEAD';
  /** The Range header, where it counts. */
  readonly range: string | undefined;
}

/** A blob, a part of it, or the way to it. */
export type BlobAnswer =
  | {
      readonly status: 200;
      /** Bytes of the whole; undefined where the registry does not say. */
      readonly size: number | undefined;
      /** Undefined for a HEAD. */
      readonly body: Body | undefined;
    }
  | {
      readonly status: 206;
      readonly size: number;
      readonly range: ByteRange;
      readonly body: Body;
    }
  | { readonly status: 307; readonly location: string };

/** How far ahead of a fetch a reader may begin and still wait for it; others ask for their part by themselves. */
const AHEAD = 16 * 1024 * 1024;

const WHOLE: AskedRange = { from: 0, to: undefined };

@Injectable()
export class Blobs {
  constructor(
    @Inject(Cache) private readonly cache: Cache | null,
    private readonly fetches: BlobFetches,
    private readonly permission: Permission,
    private readonly held: HeldBlobs,
  ) {}

  /** @throws OciError BLOB_UNKNOWN, RANGE_INVALID, … */
  async get(
    source: Source,
    digest: Digest,
    { method, range }: BlobRequest,
    reader: Reader,
  ): Promise<BlobAnswer> {
    if (method === 'HEAD')
      return { status: 200, size: await this.#size(source, digest, reader), body: undefined };
    const asked = parseRange(range);
    if (source.registry.redirects === 'pass') return this.#passed(source, digest, asked, reader);
    return (
      (await this.#hit(source, digest, asked, reader)) ??
      (await this.#shared(source, digest, asked, reader)) ??
      // It may have come to its end just now.
      (await this.#hit(source, digest, asked, reader)) ??
      (await this.#direct(source, digest, asked, reader))
    );
  }

  /**
   * Sees to it that the blob is held.
   * @throws OciError as a GET would; Error when the signal is aborted.
   */
  async hold(
    source: Source,
    digest: Digest,
    { signal, progress }: Holder,
  ): Promise<{ readonly size: number; readonly stored: boolean; readonly hit: boolean }> {
    if (source.registry.redirects === 'pass') {
      const message = `blobs of ${source.registry.name} are not held: its redirects are passed on to clients`;
      throw new OciError('UNSUPPORTED', { message });
    }
    const download = await this.fetches.heldOr(source, digest, signal);
    if (typeof download === 'number') return { size: download, stored: true, hit: true };
    const leave = download.join();
    const left = Promise.withResolvers<never>();
    const onAbort = () => left.reject(signal.reason as Error);
    const timer = setInterval(() => progress?.(download.received, download.total), 250);
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      if (signal.aborted) onAbort();
      const { stored } = await Promise.race([download.finished, left.promise]);
      progress?.(download.received, download.total);
      return { size: download.received, stored, hit: false };
    } finally {
      clearInterval(timer);
      signal.removeEventListener('abort', onAbort);
      leave();
    }
  }

  /** Asks whether the source may have what is held already, so that it can when the upstream is away. */
  async askFor(source: Source, digest: Digest, signal: AbortSignal): Promise<void> {
    await this.fetches.mayHave(source, digest, signal);
  }

  /** Those who ask from now on join no question that was asked before. */
  forget(source: Source): void {
    this.fetches.forget(nameOf(source));
  }

  async #size(source: Source, digest: Digest, reader: Reader): Promise<number | undefined> {
    if (await this.permission.linkFor(source, digest, 'blob')) {
      const size = await this.held.sizeOf(digest);
      if (size !== undefined) {
        reader.note({ hit: true });
        return size;
      }
    }
    const fwd = this.cache ? 'miss' : 'bypass';
    reader.note({ hit: false, fwd });
    const { size, joined } = await this.fetches.described(source, digest, reader.signal);
    reader.note({ hit: false, fwd, fwdStatus: 200, collapsed: joined });
    return size;
  }

  /** The answer from what is held, if the source may have it; the upstream is asked where that is not known. */
  async #hit(
    source: Source,
    digest: Digest,
    asked: AskedRange | undefined,
    reader: Reader,
  ): Promise<BlobAnswer | undefined> {
    const linked = await this.permission.linkFor(source, digest, 'blob');
    // Said before anybody is asked: a refusal must not tell whether others have pulled it.
    if (!linked && this.cache) reader.note({ hit: false, fwd: 'miss' });
    const size = linked
      ? await this.held.sizeOf(digest)
      : await this.fetches.mayHave(source, digest, reader.signal);
    if (size === undefined) return undefined;
    const range = rangeOf(asked, size);
    const body = await this.held.open(digest, size, range);
    if (!body) return undefined;
    reader.note(linked ? { hit: true } : { hit: false, fwd: 'stale', fwdStatus: 200 });
    return answerOf(size, asked && range, body);
  }

  /** The answer out of a fetch that is under way, or begins here. */
  async #shared(
    source: Source,
    digest: Digest,
    asked: AskedRange | undefined,
    reader: Reader,
    attempts = 3,
  ): Promise<BlobAnswer | undefined> {
    if (!this.cache) return undefined;
    const running = this.cache.downloads.running(source.registry, digest);
    if (!running && !isWorthAll(asked)) return undefined;
    reader.note({ hit: false, fwd: 'miss' });
    const found = await this.fetches.download(source, digest, reader.signal);
    if (!found) return undefined;
    const { download, own, joined } = found;
    // Counted as a reader from here on, so that the fetch does not end between the answer's head and its body.
    const leave = download.join();
    try {
      const opened = await withSignal(download.opened, reader.signal).catch((error: unknown) => {
        // Refused to the one who began it: this source has a yes of its own.
        if (own || reader.signal.aborted) throw error;
        return undefined;
      });
      // Those who were sent away with it share the next one.
      if (!opened)
        return attempts > 1
          ? await this.#shared(source, digest, asked, reader, attempts - 1)
          : undefined;
      const { total } = opened;
      const range = total === undefined ? undefined : rangeOf(asked, total);
      if (total === undefined && asked && !isWhole(asked)) return undefined;
      if ((range?.from ?? 0) > download.received + AHEAD) return undefined;
      const body = download.body(
        range?.from ?? 0,
        range && range.to !== total ? range.to : undefined,
      );
      reader.note({
        hit: false,
        fwd: 'miss',
        fwdStatus: 200,
        collapsed: joined,
        // Whether there will be room is known later; that there can be none is known now.
        stored: this.cache.capacity.mayHold(total ?? 0),
      });
      return total === undefined
        ? { status: 200, size: undefined, body }
        : answerOf(total, asked && range, body);
    } finally {
      leave();
    }
  }

  /** Streamed past the cache. */
  async #direct(
    source: Source,
    digest: Digest,
    asked: AskedRange | undefined,
    reader: Reader,
    given?: UpstreamResponse,
  ): Promise<BlobAnswer> {
    reader.note({ hit: false, fwd: this.cache ? 'miss' : 'bypass' });
    const part = await this.#part(source, digest, asked, reader.signal);
    const content = await UpstreamContent.open(
      this.fetches.ask(source, digest, given),
      part,
      reader.signal,
    );
    reader.note({ hit: false, fwd: this.cache ? 'miss' : 'bypass', fwdStatus: 200 });
    const { total } = content;
    if (total === undefined) {
      if (!isWhole(part)) {
        // Where the part would end, and whether this is it, nobody can tell: all of it is a right answer, too.
        content.close();
        return this.#direct(source, digest, undefined, reader);
      }
      return { status: 200, size: undefined, body: directBody(content, undefined, digest) };
    }
    const range = rangeWithin(part, total);
    if (range === undefined && total > 0) throw new OciError('RANGE_INVALID');
    const whole = part.from === 0 && (part.to === undefined || part.to >= total);
    const length = range ? range.to - range.from : 0;
    return answerOf(total, asked && range, directBody(content, length, whole ? digest : undefined));
  }

  /** The last bytes are the upstream's to count: how many there are in all is asked first. */
  async #part(source: Source, digest: Digest, asked: AskedRange | undefined, signal: AbortSignal) {
    if (!asked) return { from: 0, to: undefined };
    if (!('last' in asked)) return asked;
    const { size } = await this.fetches.described(source, digest, signal);
    const range = size === undefined ? undefined : rangeWithin(asked, size);
    if (!range) throw rangeInvalid(size);
    return range;
  }

  /** A registry whose clients fetch by themselves: they are told where, and nothing is held. */
  async #passed(
    source: Source,
    digest: Digest,
    asked: AskedRange | undefined,
    reader: Reader,
  ): Promise<BlobAnswer> {
    reader.note({ hit: false, fwd: 'bypass' });
    const part = await this.#part(source, digest, asked, reader.signal);
    const response = await this.fetches.askWithoutFollowing(source, digest, part, reader.signal);
    if (response.status < 300) return this.#direct(source, digest, asked && part, reader, response);
    await discard(response);
    return { status: 307, location: response.headers['location'] ?? '' };
  }
}

/** A part that begins at the beginning and has no end: a client that goes on, or begins. Others want a few bytes. */
function isWorthAll(asked: AskedRange | undefined): boolean {
  const { from, to } = { from: Infinity, to: undefined, ...(asked ?? WHOLE) } as {
    from: number;
    to?: number;
  };
  return to === undefined && from <= AHEAD;
}

function isWhole(asked: AskedRange): boolean {
  return 'from' in asked && asked.from === 0 && asked.to === undefined;
}

/** @throws OciError RANGE_INVALID with the size, where the part is not within it. */
function rangeOf(asked: AskedRange | undefined, size: number): ByteRange {
  if (!asked) return { from: 0, to: size };
  const range = rangeWithin(asked, size);
  if (!range) throw rangeInvalid(size);
  return range;
}

/** RFC 9110 § 14.4: a 416 tells the size. */
function rangeInvalid(size: number | undefined): OciError {
  const headers = size === undefined ? undefined : { 'Content-Range': `bytes */${size}` };
  return new OciError('RANGE_INVALID', { headers });
}

function answerOf(size: number, range: ByteRange | undefined, body: Body): BlobAnswer {
  return range ? { status: 206, size, range, body } : { status: 200, size, body };
}

function withSignal<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  const left = Promise.withResolvers<never>();
  const leave = () => left.reject(signal.reason as Error);
  signal.addEventListener('abort', leave, { once: true });
  return Promise.race([promise, left.promise]).finally(() =>
    signal.removeEventListener('abort', leave),
  );
}
