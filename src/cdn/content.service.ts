import { Injectable } from '@nestjs/common';
import type { Digest } from '../oci/digest';
import { isDigest, type Reference } from '../oci/reference';
import { Blobs, type BlobAnswer, type BlobRequest } from './blobs';
import { Foresight } from './foresight';
import { Manifests, type Manifest, type WholeManifest } from './manifests';
import { Permission } from './permission';
import type { Holder, Reader } from './reader';
import { nameOf, type Source } from './source';

export type { BlobAnswer } from './blobs';
export type { Manifest, WholeManifest } from './manifests';
export type { Reader } from './reader';
export { MAX_MANIFEST } from './small-content';

/** Content by name and digest or tag: held, or fetched once for all who want it. With CACHE=off it is only streamed. */
@Injectable()
export class ContentService {
  constructor(
    private readonly manifests: Manifests,
    private readonly blobs: Blobs,
    private readonly permission: Permission,
    private readonly foresight: Foresight,
  ) {}

  /**
   * The manifest, verified: against the digest that was asked for, else against the one that the registry names.
   * @throws OciError MANIFEST_UNKNOWN, or BAD_UPSTREAM for one that is too large or not what its digest says.
   */
  async manifest(
    source: Source,
    reference: Reference,
    accept: string | undefined,
    reader: Reader,
  ): Promise<WholeManifest> {
    let asked = false;
    const note: Reader['note'] = (status) => {
      asked = !status.hit && status.fwd !== 'bypass';
      reader.note(status);
    };
    const found = await this.manifests.get(source, reference, accept, { ...reader, note });
    if (asked && found.warning === undefined) this.foresight.pulled(source, found.bytes);
    return found;
  }

  /** What `manifest` would give, where that is known and nobody has to be waited for. */
  manifestAtOnce(
    source: Source,
    reference: Reference,
    accept: string | undefined,
  ): WholeManifest | undefined {
    return this.manifests.atOnce(source, reference, accept);
  }

  /** What a GET of the manifest would say of it. */
  manifestHead(
    source: Source,
    reference: Reference,
    accept: string | undefined,
    reader: Reader,
  ): Promise<Manifest> {
    return this.manifests.head(source, reference, accept, reader);
  }

  /**
   * The blob, or the part of it that is asked for. Its body is to be sent or closed.
   * @throws OciError BLOB_UNKNOWN, RANGE_INVALID.
   */
  blob(source: Source, digest: Digest, request: BlobRequest, reader: Reader): Promise<BlobAnswer> {
    return this.blobs.get(source, digest, request, reader);
  }

  /** Sees to it that the blob is held: joins its fetch, or starts it. */
  hold(
    source: Source,
    digest: Digest,
    holder: Holder,
  ): Promise<{ readonly size: number; readonly stored: boolean; readonly hit: boolean }> {
    return this.blobs.hold(source, digest, holder);
  }

  /** A manifest was pushed through the gate: whoever asks from now on, asks upstream. */
  async pushed(source: Source, reference: Reference): Promise<void> {
    await this.manifests.forget(source, reference);
  }

  /** A manifest or a blob was deleted through the gate: it is gone from this repository, whoever still holds it. */
  async deleted(source: Source, reference: Reference): Promise<void> {
    if (isDigest(reference)) await this.permission.deleted(nameOf(source), reference);
    this.blobs.forget(source);
    await this.manifests.forget(source, reference);
  }
}
