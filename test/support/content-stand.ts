/**
 * Content over a real cache and real upstreams, without edge and accounts: for specs of several registries and of
 * mirrors.
 */
import { Global, Module } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { pino } from 'pino';
import { openCache } from '../../src/cdn/cache';
import { CdnModule } from '../../src/cdn/cdn.module';
import { ContentService } from '../../src/cdn/content.service';
import type { Reader } from '../../src/cdn/reader';
import type { Source } from '../../src/cdn/source';
import type { Principal } from '../../src/config/principal';
import type { Registry } from '../../src/config/registry-table';
import { Settings } from '../../src/config/settings';
import { Log } from '../../src/journal/log';
import type { Digest } from '../../src/oci/digest';
import { OciError } from '../../src/oci/oci-error';
import type { Reference } from '../../src/oci/reference';
import type { RepositoryName } from '../../src/oci/repository-name';
import { UpstreamFaults } from '../../src/upstream/upstream-faults';
import { settingsFor } from './behind-edge';
import { Sink } from './content-room';
import { atTheEnd, eventually, freshFolder } from './lifecycle';

/** Who asks for what. */
export interface Asked {
  readonly registry: Registry;
  readonly repository?: string;
  readonly as?: Principal;
}

interface StandOptions {
  /** False: CACHE=off. */
  readonly on?: boolean;
  readonly maxSize?: number;
  readonly headerTimeout?: number;
}

export async function contentStand({
  on = true,
  maxSize = 1_000_000_000,
  headerTimeout = 5_000,
}: StandOptions = {}) {
  const dataDir = freshFolder('content-stand');
  const cacheSettings = {
    dir: `${dataDir}/cache`,
    maxSize: { bytes: maxSize },
    minFree: { bytes: 1 },
    maxAge: 3_600_000,
    tagTtl: 60_000,
    memory: 0,
  };
  const usual = settingsFor();
  const upstream = { ...usual.upstream, headerTimeout };
  const settings = { ...usual, dataDir, upstream, cache: on ? cacheSettings : undefined };
  const lines: string[] = [];
  const log = pino({ level: 'debug' }, { write: (line: string) => void lines.push(line) });
  const cache = await openCache(settings, log);
  atTheEnd(() => cache?.close());
  const given = [
    { provide: Settings, useValue: settings },
    { provide: Log, useValue: log },
  ];

  @Global()
  @Module({ providers: given, exports: given })
  class Given {}

  const room = await Test.createTestingModule({
    imports: [Given, CdnModule.forRoot(cache)],
  }).compile();
  const app = await room.init();
  atTheEnd(() => app.close());
  const content = app.get(ContentService);

  const sourceOf = ({ registry, repository = 'team/app', as = 'configured' }: Asked): Source => ({
    registry,
    repository: repository as RepositoryName,
    as,
  });
  const reader = (): Reader => ({
    signal: new AbortController().signal,
    hold: () => Promise.resolve(() => undefined),
    holdNow: () => true,
    note: () => undefined,
  });

  /** A blob's bytes as a client gets them, or the error's code; `broken` where they end before their end. */
  async function blob(asked: Asked, digest: string, range?: string): Promise<Buffer | string> {
    try {
      const request = { method: 'GET', range } as const;
      const answer = await content.blob(sourceOf(asked), digest as Digest, request, reader());
      if (answer.status === 307) return answer.location;
      const sink = new Sink();
      const broken = await answer.body?.sendTo(sink).then(
        () => undefined,
        () => 'broken',
      );
      return broken ?? sink.bytes;
    } catch (error) {
      return codeOf(error);
    }
  }

  /** What a HEAD says the blob's size is, or the error's code. */
  async function blobSize(asked: Asked, digest: string): Promise<number | string | undefined> {
    const request = { method: 'HEAD', range: undefined } as const;
    return content
      .blob(sourceOf(asked), digest as Digest, request, reader())
      .then((answer) => (answer.status === 307 ? answer.location : answer.size), codeOf);
  }

  /** A manifest's bytes as text, or the error's code. */
  async function manifest(asked: Asked, reference: string, accept?: string): Promise<string> {
    return content
      .manifest(sourceOf(asked), reference as Reference, accept, reader())
      .then(({ bytes }) => bytes.toString(), codeOf);
  }

  /** What a HEAD says of a manifest, or the error's code. */
  async function manifestHead(asked: Asked, reference: string): Promise<string> {
    return content
      .manifestHead(sourceOf(asked), reference as Reference, undefined, reader())
      .then(({ digest, size }) => `${digest} ${size}`, codeOf);
  }

  const isHeld = async (digest: string) =>
    (await cache?.index.content(digest as Digest)) !== undefined;
  const untilHeld = (digest: string) => eventually('it is held', () => isHeld(digest));
  const faults = app.get(UpstreamFaults);
  return {
    content,
    cache,
    lines,
    faults,
    blob,
    blobSize,
    manifest,
    manifestHead,
    isHeld,
    untilHeld,
    sourceOf,
    reader,
  };
}

function codeOf(error: unknown): string {
  if (error instanceof OciError) return error.code;
  throw error;
}
