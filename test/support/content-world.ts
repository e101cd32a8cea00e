/** Content before one registry, as a client sees it: what is got, and what is told of how that came about. */
import { formatCacheStatus, type CacheStatus } from '../../src/cdn/cache-status';
import type { Reader } from '../../src/cdn/reader';
import type { Source } from '../../src/cdn/source';
import type { Principal } from '../../src/config/principal';
import type { ByteRange } from '../../src/oci/byte-range';
import type { Digest } from '../../src/oci/digest';
import { OciError } from '../../src/oci/oci-error';
import type { Reference } from '../../src/oci/reference';
import type { RepositoryName } from '../../src/oci/repository-name';
import { contentOf, Sink } from './content-room';
import { contentStand } from './content-stand';
import { eventually } from './lifecycle';
import { ROBOT, ScriptedRegistry } from './scripted-registry';
import { registryAt } from './upstream-fixture';

export const NAME = 'team/app';

interface Asking {
  readonly source?: Source;
  readonly method?: 'GET' | 'HEAD';
  readonly signal?: AbortSignal;
}

/** A blob's answer: that of the status, or the error's code. */
interface Got {
  readonly told: string;
  readonly status?: 200 | 206 | 307;
  readonly size?: number | undefined;
  readonly range?: ByteRange;
  readonly length?: number | undefined;
  /** `broken` where they end before their end. */
  readonly bytes?: Buffer | string | undefined;
  readonly location?: string;
  readonly code?: string;
  readonly message?: string;
  readonly headers?: OciError['headers'];
}

/** A manifest's answer, or the error's code. */
interface GotManifest {
  readonly told: string;
  readonly mediaType?: string;
  readonly digest?: string;
  readonly size?: number;
  readonly text?: string | undefined;
  readonly warning?: string | undefined;
  readonly code?: string;
}

interface AskingManifest extends Asking {
  readonly accept?: string;
  /** Whether there is room for it in memory. */
  readonly hold?: Reader['hold'];
  /** Whether there is without waiting. */
  readonly holdNow?: Reader['holdNow'];
}

interface WorldOptions {
  /** False: CACHE=off. */
  readonly on?: boolean;
  /** Whether the gate has an account there. */
  readonly login?: boolean;
  /** Whether the registry's redirects are passed on. */
  readonly pass?: boolean;
  readonly maxSize?: number;
  /** Milliseconds after which a tag is asked again. */
  readonly tagTtl?: number;
}

export async function contentWorld({
  on = true,
  login = false,
  pass = false,
  maxSize = 1_000_000_000,
  tagTtl = 60_000,
}: WorldOptions = {}) {
  const origin = await ScriptedRegistry.start();
  const registry = registryAt(origin.server.url, {
    name: 'reg.example',
    credentials: login ? [ROBOT] : [],
    redirects: pass ? 'pass' : 'follow',
    tagTtl,
  });
  const stand = await contentStand({ on, maxSize });
  const of = (repository = NAME, as: Principal = 'configured'): Source => ({
    registry,
    repository: repository as RepositoryName,
    as,
  });

  /** What a client gets, and what it is told of how that came about. */
  async function ask(digest: string, range?: string, asking: Asking = {}): Promise<Got> {
    const { source = of(), method = 'GET', signal = new AbortController().signal } = asking;
    let told = '';
    const note = (status: CacheStatus) => void (told = formatCacheStatus(status));
    const reader = { ...stand.reader(), signal, note };
    try {
      const got = await stand.content.blob(source, digest as Digest, { method, range }, reader);
      if (got.status === 307) return { told, status: 307, location: got.location };
      const sink = new Sink();
      const broken = await got.body?.sendTo(sink).then(
        () => undefined,
        () => 'broken',
      );
      const part = got.status === 206 ? { range: got.range } : {};
      const { status, size } = got;
      const bytes = broken ?? (got.body ? sink.bytes : undefined);
      return { told, status, size, bytes, length: got.body?.length, ...part };
    } catch (error) {
      if (!(error instanceof OciError)) throw error;
      const { code, message, headers } = error;
      return { told, code, message, headers };
    }
  }

  /** A manifest, or what a HEAD says of it. */
  async function askManifest(reference: string, asking: AskingManifest = {}): Promise<GotManifest> {
    const { source = of(), method = 'GET', accept } = asking;
    const plain = stand.reader();
    const { signal = plain.signal, hold = plain.hold, holdNow = plain.holdNow } = asking;
    let told = '';
    const note = (status: CacheStatus) => void (told = formatCacheStatus(status));
    const reader = { signal, hold, holdNow, note };
    const { content } = stand;
    try {
      const got =
        method === 'GET'
          ? await content.manifest(source, reference as Reference, accept, reader)
          : await content.manifestHead(source, reference as Reference, accept, reader);
      const { mediaType, digest, size, bytes, warning } = got;
      return { told, mediaType, digest, size, text: bytes?.toString(), warning };
    } catch (error) {
      if (!(error instanceof OciError)) throw error;
      return { told, code: error.code };
    }
  }

  /** A blob that the registry has under these names. */
  function blob(size: number, ...names: string[]) {
    const content = contentOf(size);
    for (const name of names.length > 0 ? names : [NAME]) origin.blob(name, content.bytes);
    return content;
  }

  /** One that is held already. */
  async function held(size: number) {
    const content = blob(size);
    await ask(content.digest);
    await stand.untilHeld(content.digest);
    await eventually('it is a hit', async () => {
      const { told } = await ask(content.digest, undefined, { method: 'HEAD' });
      return told === 'tidegate; hit';
    });
    origin.server.requests.length = 0;
    return content;
  }

  return { ...stand, origin, registry, of, ask, askManifest, blob, held };
}
