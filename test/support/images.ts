/** Images made on the spot, without a network: tar layers, OCI layouts, docker archives. */
import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { sha256 } from './http';

const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const INDEX = 'application/vnd.oci.image.index.v1+json';
const CONFIG = 'application/vnd.oci.image.config.v1+json';
const LAYER = 'application/vnd.oci.image.layer.v1.tar+gzip';

export const MIB = 1024 * 1024;

/** A layer as an uncompressed tar. */
export type Layer = Buffer;

interface Descriptor {
  mediaType: string;
  digest: string;
  size: number;
  platform?: { os: string; architecture: string };
  annotations?: Record<string, string>;
}

/** An image held in memory: its manifest and every blob that it names. */
export interface Image {
  readonly manifest: Buffer;
  readonly mediaType: string;
  readonly digest: string;
  readonly blobs: ReadonlyMap<string, Buffer>;
}

/** A tar of plain files; POSIX ustar. */
export function tar(files: Record<string, Buffer>): Buffer {
  const parts = Object.entries(files).flatMap(([name, bytes]) => {
    const header = Buffer.alloc(512);
    const octal = (value: number, width: number) => value.toString(8).padStart(width - 1, '0');
    header.write(name, 0);
    header.write(octal(0o644, 8), 100);
    header.write(octal(0, 8), 108);
    header.write(octal(0, 8), 116);
    header.write(octal(bytes.length, 12), 124);
    header.write(octal(0, 12), 136);
    header.write('        0', 148);
    header.write('ustar\u000000', 257, 'latin1');
    const sum = header.reduce((total, byte) => total + byte, 0);
    header.write(`${octal(sum, 7)}\0 `, 148, 'latin1');
    return [header, bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512)];
  });
  return Buffer.concat([...parts, Buffer.alloc(1024)]);
}

/** Three small layers and one whose file has this many random bytes. */
export function layersWith(bytes: number): Layer[] {
  const small = [1, 2, 3].map((n) => tar({ [`file-${n}`]: randomBytes(2000) }));
  return [...small, tar({ large: randomBytes(bytes) })];
}

function configOf(layers: readonly Layer[], architecture: string): Buffer {
  const diff_ids = layers.map((layer) => sha256(layer));
  const rootfs = { type: 'layers', diff_ids };
  const history = layers.map((_, n) => ({ created_by: `step ${n}` }));
  return Buffer.from(
    JSON.stringify({ architecture, os: 'linux', config: { Cmd: ['/file-1'] }, rootfs, history }),
  );
}

/** An OCI image of these layers, compressed as registries hold them. */
export function imageOf(layers: readonly Layer[], architecture = 'amd64'): Image {
  const config = configOf(layers, architecture);
  const packed = layers.map((layer) => gzipSync(layer, { level: 0 }));
  const describe = (mediaType: string, bytes: Buffer): Descriptor => {
    return { mediaType, digest: sha256(bytes), size: bytes.length };
  };
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MANIFEST,
      config: describe(CONFIG, config),
      layers: packed.map((bytes) => describe(LAYER, bytes)),
    }),
  );
  const blobs = new Map([config, ...packed].map((bytes) => [sha256(bytes), bytes]));
  return { manifest, mediaType: MANIFEST, digest: sha256(manifest), blobs };
}

/** An index of one image for each architecture. */
export function indexOf(images: Readonly<Record<string, Image>>): Image {
  const manifests = Object.entries(images).map(
    ([architecture, { manifest, digest, mediaType }]) => {
      const platform = { os: 'linux', architecture };
      return { mediaType, digest, size: manifest.length, platform };
    },
  );
  // Indented: a proxy that parsed and rewrote it would not give these bytes back.
  const text = JSON.stringify({ schemaVersion: 2, mediaType: INDEX, manifests }, undefined, 3);
  const manifest = Buffer.from(text);
  const blobs = new Map<string, Buffer>();
  for (const image of Object.values(images)) {
    for (const [digest, bytes] of image.blobs) blobs.set(digest, bytes);
    blobs.set(image.digest, image.manifest);
  }
  return { manifest, mediaType: INDEX, digest: sha256(manifest), blobs };
}

/** Writes an image as an OCI layout, for `oci:<folder>:<tag>`. */
export function writeLayout(folder: string, tag: string, image: Image): void {
  const blobs = join(folder, 'blobs', 'sha256');
  mkdirSync(blobs, { recursive: true });
  const all = [...image.blobs, [image.digest, image.manifest] as const];
  for (const [digest, bytes] of all) writeFileSync(join(blobs, digest.slice(7)), bytes);
  const annotations = { 'org.opencontainers.image.ref.name': tag };
  const { mediaType, digest, manifest } = image;
  const manifests: Descriptor[] = [{ mediaType, digest, size: manifest.length, annotations }];
  writeFileSync(join(folder, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
  writeFileSync(join(folder, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests }));
}

/** An OCI layout in one tar, as `ctr images import` reads it. */
export function layoutArchive(name: string, image: Image): Buffer {
  const files: Record<string, Buffer> = {};
  for (const [digest, bytes] of image.blobs) files[`blobs/sha256/${digest.slice(7)}`] = bytes;
  files[`blobs/sha256/${image.digest.slice(7)}`] = image.manifest;
  const { mediaType, digest, manifest } = image;
  const annotations = {
    'io.containerd.image.name': name,
    'org.opencontainers.image.ref.name': name.slice(name.lastIndexOf(':') + 1),
  };
  const manifests: Descriptor[] = [{ mediaType, digest, size: manifest.length, annotations }];
  files['oci-layout'] = Buffer.from('{"imageLayoutVersion":"1.0.0"}');
  files['index.json'] = Buffer.from(JSON.stringify({ schemaVersion: 2, manifests }));
  return tar(files);
}

/** A tar that `docker load` reads. */
export function dockerArchive(name: string, layers: readonly Layer[]): Buffer {
  const config = configOf(layers, 'amd64');
  const id = createHash('sha256').update(config).digest('hex');
  const names = layers.map((_, n) => `layer-${n}/layer.tar`);
  const manifest = [{ Config: `${id}.json`, RepoTags: [name], Layers: names }];
  return tar({
    ...Object.fromEntries(layers.map((layer, n) => [names[n] ?? '', layer])),
    [`${id}.json`]: config,
    'manifest.json': Buffer.from(JSON.stringify(manifest)),
  });
}
