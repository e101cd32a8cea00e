/** Manifests from the upstream: asked for once however many want the same, verified, and held. */
import { Injectable } from '@nestjs/common';
import { digestOf, type Digest } from '../oci/digest';
import { OciError } from '../oci/oci-error';
import { isDigest, type Reference, type Tag } from '../oci/reference';
import { Flights } from './flights';
import { Permission } from './permission';
import { accepts, acceptsMore, GATE_ACCEPTS, Questions, type Described } from './questions';
import { isNotThere, isOutage } from './outage';
import type { Hold, Reader } from './reader';
import { MAX_MANIFEST, SmallContent } from './small-content';
import { nameOf, takesMirrorsWord, viaOf, type Source } from './source';
import { readWhole, type Whole } from './whole-manifest';
import { Tags } from './tags.service';

/** Why the upstream is asked, as RFC 9211 has it. */
export type Forwarded = 'miss' | 'stale' | 'bypass';

/** A manifest that was got from upstream. */
export interface Fetched extends Described {
  /** Byte for byte as the registry sent it. */
  readonly bytes: Buffer;
  /** Whether it is being stored, and when that is done. */
  readonly stored: boolean;
  readonly held: Promise<unknown>;
}

/** The one whose request was joined left, or could not be given room; whoever joined has room of their own. */
class NoRoom extends Error {
  constructor(
    readonly reader: Reader,
    readonly reason: unknown,
  ) {
    super('no room for a manifest');
  }
}

/** What was fetched, without its bytes. */
type Unkept = Omit<Fetched, 'bytes'>;

/** Milliseconds after which nobody waits for a revalidation any more, however slowly the registry answers. */
const REVALIDATION = 60_000;

@Injectable()
export class ManifestFetches {
  readonly #fetches = new Flights<Fetched>();
  readonly #heads = new Flights<Described | undefined>();

  constructor(
    private readonly questions: Questions,
    private readonly permission: Permission,
    private readonly tags: Tags,
    private readonly small: SmallContent,
  ) {}

  /** What a HEAD says of it; undefined when only a GET can tell. */
  async head(
    source: Source,
    reference: Reference,
    accept: string | undefined,
    reader: Reader,
    fwd: Forwarded,
  ): Promise<Described | undefined> {
    const ask = (by: string, signal: AbortSignal) => this.#describe(source, reference, by, signal);
    return this.#asAccepted(source, reference, accept, reader, fwd, ask, (signal) =>
      this.#heads.join(keyOf(source, reference, 'head'), signal, (own) => ask(GATE_ACCEPTS, own)),
    );
  }

  /** The manifest. @throws OciError MANIFEST_UNKNOWN, BAD_UPSTREAM … */
  async get(
    source: Source,
    reference: Reference,
    accept: string | undefined,
    reader: Reader,
    fwd: Forwarded,
  ): Promise<Fetched> {
    // What is read for others too has the room of whoever began it, and ends with that.
    const ask = (by: string, signal: AbortSignal) =>
      this.#askWhole(source, reference, by, reader, AbortSignal.any([signal, reader.signal])).catch(
        (error: unknown) => {
          throw reader.signal.aborted ? new NoRoom(reader, error) : error;
        },
      );
    try {
      return await this.#asAccepted(source, reference, accept, reader, fwd, ask, (signal) =>
        this.#joinWhole(source, reference, reader, signal, ask),
      );
    } catch (error) {
      throw error instanceof NoRoom ? error.reason : error;
    }
  }

  /**
   * Asks the registry where the tag leads now. It goes on when its client has been served: the next one finds the answer.
   * @param version of the tag's record before. @returns undefined when only a GET can tell.
   */
  async revalidate(source: Source, tag: Tag, version: number): Promise<Described | undefined> {
    const { value } = await this.#heads.join(
      keyOf(source, tag, 'again'),
      AbortSignal.timeout(REVALIDATION),
      (signal) => this.#describe(source, tag, GATE_ACCEPTS, signal, version),
    );
    return value;
  }

  /** Asks whether the source may have what is held already, so that it can when the upstream is away. */
  async askFor(source: Source, digest: Digest, signal: AbortSignal): Promise<void> {
    await this.#describe(source, digest, GATE_ACCEPTS, signal);
  }

  /** It was changed: those who ask from now on join nothing that was asked for before, and are told by the registry itself. */
  forget(source: Pick<Source, 'registry' | 'repository'>, reference: Reference): void {
    this.questions.changed(source, reference);
    const name = nameOf({ ...source, as: 'configured' });
    const own = (key: string) => key.includes(` ${name} `);
    this.#fetches.forget(own);
    this.#heads.forget(own);
  }

  /**
   * Asks in the gate's own words, shared with all who ask the same; in the client's where those find nothing that the client
   * takes.
   */
  async #asAccepted<T extends Described | undefined>(
    source: Source,
    reference: Reference,
    accept: string | undefined,
    reader: Reader,
    fwd: Forwarded,
    ask: (accept: string, signal: AbortSignal) => Promise<T>,
    join: (signal: AbortSignal) => Promise<{ value: T; joined: boolean }>,
  ): Promise<T> {
    const more = acceptsMore(accept);
    const absent = this.tags.isAbsent(source, reference);
    if (absent && !more) {
      reader.note({ hit: true, detail: 'negative' });
      throw new OciError('MANIFEST_UNKNOWN');
    }
    const why = this.small.on ? fwd : 'bypass';
    reader.note({ hit: false, fwd: why });
    const asking = this.tags.asking(source);
    try {
      // Known already: what the gate's own words find is not there, or not what this client takes.
      if (!absent && fwd !== 'bypass') {
        const { value, joined } = await join(reader.signal);
        if (!value || accepts(accept, value.mediaType)) {
          const stored = value && 'stored' in value && value.stored === true;
          reader.note({ hit: false, fwd: why, fwdStatus: 200, collapsed: joined, stored });
          return value;
        }
      }
    } catch (error) {
      if (!isNotThere(error)) throw error;
      this.tags.noteAbsent(source, reference, asking);
      if (!more) throw error;
    }
    reader.note({ hit: false, fwd: 'bypass' });
    return ask(accept ?? '*/*', reader.signal);
  }

  async #joinWhole(
    source: Source,
    reference: Reference,
    reader: Reader,
    signal: AbortSignal,
    ask: (accept: string, signal: AbortSignal) => Promise<Fetched>,
  ): Promise<{ value: Fetched; joined: boolean }> {
    for (let attempts = 3; ;) {
      try {
        const found = await this.#fetches
          .join(
            keyOf(source, reference, 'get'),
            signal,
            (own) => ask(GATE_ACCEPTS, own),
            ({ held }) => held,
          )
          .then((landed) => whatIsRoomFor(landed, reader));
        if ('value' in found) return found;
        return { value: await this.#onceThereIsRoom(found, reader, ask), joined: true };
      } catch (error) {
        if (!(error instanceof NoRoom)) throw error;
        if (error.reader === reader) throw error.reason;
        // Whoever began it left, or had no room: one of those who joined begins anew, and the others join that one.
        signal.throwIfAborted();
        attempts -= 1;
        if (attempts === 0) return { value: await ask(GATE_ACCEPTS, signal), joined: false };
      }
    }
  }

  async #onceThereIsRoom(
    described: Unkept,
    reader: Reader,
    ask: (accept: string, signal: AbortSignal) => Promise<Fetched>,
  ): Promise<Fetched> {
    await described.held.catch(() => undefined);
    const bytes = await this.small.read(described.digest, MAX_MANIFEST, reader.hold);
    return bytes ? { ...described, bytes } : ask(GATE_ACCEPTS, reader.signal);
  }

  /** Asks by HEAD. A yes for a digest is remembered, and where a tag leads. */
  async #describe(
    source: Source,
    reference: Reference,
    accept: string,
    signal: AbortSignal,
    version?: number,
  ): Promise<Described | undefined> {
    const at = version ?? (await this.#versionOf(source, reference));
    const moment = this.permission.now(source);
    const asking = this.tags.asking(source);
    // What is held is opened by the registry's own word alone.
    const isHeld = isDigest(reference) && (await this.small.sizeOf(reference)) !== undefined;
    const heard = await this.questions
      .describedManifest(source, reference, accept, signal, isHeld ? 'registry' : 'mirrors too')
      .catch(async (error: unknown) => {
        // No longer there: what was known of it must not come back when the registry is away.
        if (version !== undefined && isNotThere(error)) {
          await this.tags.drop(source, reference as Tag);
          this.tags.noteAbsent(source, reference, asking);
        }
        throw error;
      });
    if (!heard) return undefined;
    const { said: described, byMirror } = heard;
    if (isDigest(reference) && accept === GATE_ACCEPTS) {
      if (byMirror) return described;
      const size = await this.small.sizeOf(reference);
      if (size === described.size)
        await this.permission.grant(source, reference, described.mediaType, moment);
    } else if (!isDigest(reference) && accept === GATE_ACCEPTS)
      await this.tags.remember(source, reference, described, at);
    return described;
  }

  async #askWhole(
    source: Source,
    reference: Reference,
    accept: string,
    reader: Reader,
    signal: AbortSignal,
  ): Promise<Fetched> {
    const hold = (bytes: number) =>
      reader.hold(bytes).catch((error: unknown) => {
        throw new NoRoom(reader, error);
      });
    const allowed = isDigest(reference)
      ? await this.#allowed(source, reference, accept, hold, signal)
      : undefined;
    if (allowed) return allowed;
    const version = await this.#versionOf(source, reference);
    const moment = this.permission.now(source);
    const whole = await this.#whole(source, reference, accept, hold, signal);
    const { mediaType, named, bytes, digested } = whole;
    const described = { mediaType, digest: named ?? digestOf(bytes), size: bytes.length };
    // What is signed within has a digest that is not that of its bytes: the store could never verify it. And what one client's
    // own Accept was answered with is no word for others.
    const stored = digested === bytes && accept === GATE_ACCEPTS && this.small.storing;
    const remember = async () => {
      if (!stored || !(await this.small.write(described.digest, bytes))) return;
      await this.permission.grant(source, described.digest, mediaType, moment);
      if (!isDigest(reference)) await this.tags.remember(source, reference, described, version);
    };
    const held = remember();
    // Who waits for it is told; that nobody does is no fault.
    held.catch(() => undefined);
    return { ...described, bytes, stored, held };
  }

  /** The manifest, verified. What a mirror sends, and cannot be used, is asked for again: of the next, and then the registry. */
  async #whole(
    source: Source,
    reference: Reference,
    accept: string,
    hold: Hold,
    signal: AbortSignal,
  ): Promise<Whole> {
    for (;;) {
      const response = await this.questions.manifest(source, reference, accept, signal);
      try {
        return await readWhole(response, reference, hold);
      } catch (error) {
        if (!response.mirror || !(error instanceof OciError) || signal.aborted) throw error;
        response.mirror.distrust();
      }
    }
  }

  /** Held already, but not yet for this name: one HEAD tells whether it may be had. */
  async #allowed(
    source: Source,
    digest: Digest,
    accept: string,
    hold: Hold,
    signal: AbortSignal,
  ): Promise<Fetched | undefined> {
    const size = await this.small.sizeOf(digest);
    if (size === undefined) return undefined;
    const described = await this.#describe(source, digest, accept, signal).catch(
      (error: unknown) => {
        // A mirror may hand it out where the registry cannot say.
        if (takesMirrorsWord(source) && isOutage(error)) return undefined;
        throw error;
      },
    );
    if (described?.size !== size) return undefined;
    const bytes = await this.small.read(digest, MAX_MANIFEST, hold);
    return bytes && { ...described, bytes, stored: true, held: Promise.resolve() };
  }

  async #versionOf(source: Source, reference: Reference): Promise<number> {
    return isDigest(reference) ? -1 : (await this.tags.known(source, reference)).version;
  }
}

/**
 * Whoever joined and has to wait for room keeps nothing of it meanwhile, or it would take the room that is missing. A function
 * that waits keeps all that it ever had in hand: this one does not.
 */
function whatIsRoomFor(
  landed: { readonly value: Fetched; readonly joined: boolean },
  reader: Reader,
): typeof landed | Unkept {
  const { bytes: _, ...unkept } = landed.value;
  return !landed.joined || reader.holdNow(landed.value.size) ? landed : unkept;
}

/** The name stands between blanks: {@link ManifestFetches.forget} looks for it. */
function keyOf(source: Source, reference: Reference, how: string): string {
  return `${how} ${viaOf(source)} ${nameOf(source)} ${reference}`;
}
