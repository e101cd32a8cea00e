/** What is held is never trusted over its digest, and heals: files that were damaged, an index that was lost. */
import { randomBytes } from 'node:crypto';
import {
  appendFileSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { CachedStand } from '../support/cached-stand';
import { sha256, unique } from '../support/http';
import { eventually } from '../support/lifecycle';
import { manifestOf, ScriptedRegistry, sha512 } from '../support/scripted-registry';

const LARGE = randomBytes(200_000);
const blobPath = (bytes: Buffer) => `/v2/team/app/blobs/${sha256(bytes)}`;

async function before() {
  const upstream = await ScriptedRegistry.start();
  return { upstream, stand: await CachedStand.open(upstream.settings) };
}

/** What befalls a file behind the gate's back. */
const DAMAGES: readonly [string, (file: string) => void][] = [
  ['altered', (file) => damage(file, 10)],
  ['altered in its last byte', (file) => damage(file, -1)],
  ['cut short', (file) => truncateSync(file, 10)],
  ['emptied', (file) => truncateSync(file, 0)],
  ['made longer', (file) => appendFileSync(file, 'more')],
  ['removed', (file) => rmSync(file)],
  [
    'a folder now',
    (file) => {
      rmSync(file);
      mkdirSync(join(file, 'within'), { recursive: true });
    },
  ],
  [
    'a link to something else',
    (file) => {
      rmSync(file);
      symlinkSync('/etc/passwd', file);
    },
  ],
];

/** What is pulled from a path, and held. */
interface Held {
  readonly path: string;
  readonly digest: string;
  readonly bytes: Buffer;
}

function damage(file: string, at: number): void {
  const bytes = readFileSync(file);
  bytes[at < 0 ? bytes.length + at : at]! ^= 1;
  writeFileSync(file, bytes);
}

describe('what is held and damaged behind the gate’s back', () => {
  let upstream: ScriptedRegistry;
  let stand: CachedStand;
  /** For each of the damages, what it befell while the gate was down. */
  const befallen = new Map<string, readonly Held[]>();

  beforeAll(async () => {
    ({ upstream, stand } = await before());
    for (const [name] of DAMAGES) befallen.set(name, await hold());
    await stand.restart({}, () => {
      for (const [name, befall] of DAMAGES)
        for (const { digest } of befallen.get(name) ?? []) befall(stand.fileOf(digest));
    });
  });

  /** A manifest, a small blob, and a large one under two digests, pulled and held. */
  async function hold(): Promise<readonly Held[]> {
    const tag = unique('t');
    const [small, large] = [randomBytes(300), randomBytes(200_000)];
    const manifest = manifestOf([small, large]);
    upstream.manifest('team/app', tag, manifest);
    for (const bytes of [small, large]) upstream.blob('team/app', bytes);
    upstream.blob('team/app', large, sha512(large));
    const contents = [
      { path: `/v2/team/app/manifests/${tag}`, digest: manifest.digest, bytes: manifest.bytes },
      { path: blobPath(small), digest: sha256(small), bytes: small },
      { path: blobPath(large), digest: sha256(large), bytes: large },
      { path: `/v2/team/app/blobs/${sha512(large)}`, digest: sha512(large), bytes: large },
    ];
    for (const { path } of contents) await stand.untilHit(path);
    return contents;
  }

  /** Pulls each until it comes whole; gives what was wrong though it looked right. */
  async function pulledAnew(contents: readonly Held[]): Promise<string[]> {
    const wrong: string[] = [];
    for (const { path, bytes } of contents) {
      await eventually(`${path} comes whole again`, async () => {
        const got = await stand.pull(path);
        const looksRight = got.whole && got.status === 200;
        if (looksRight && !got.body.equals(bytes)) wrong.push(path);
        return looksRight;
      });
    }
    return wrong;
  }

  function isRight({ digest, bytes }: Held): boolean {
    try {
      return readFileSync(stand.fileOf(digest)).equals(bytes);
    } catch {
      return false;
    }
  }

  it.each(DAMAGES)('%s while the gate was down: never served as good, and healed', async (name) => {
    const contents = befallen.get(name) ?? [];

    expect(await pulledAnew(contents)).toEqual([]);

    // What is no file is somebody else's: it is not cleared away, and the content is only passed on.
    if (name === 'a folder now') return;
    for (const content of contents)
      await eventually(`${content.path} is held again`, () => isRight(content));
  });

  it.each(DAMAGES)(
    '%s while the gate runs: never served as good, and healed',
    async (_, befall) => {
      const contents = await hold();
      for (const { digest } of contents) befall(stand.fileOf(digest));

      expect(await pulledAnew(contents)).toEqual([]);
    },
  );

  it('the next to pull after the damage was seen is served, and the upstream asked once', async () => {
    const { path, digest, bytes } = (await hold())[2]!;
    damage(stand.fileOf(digest), 5);
    const asked = upstream.asked('GET', digest).length;

    const seen = await stand.pull(path);
    const next = await stand.pull(path);
    const last = await stand.untilHit(path);

    expect(seen.whole && sha256(seen.body) !== digest).toBe(false);
    expect([next.whole, next.body.equals(bytes), last.body.equals(bytes)]).toEqual([
      true,
      true,
      true,
    ]);
    expect(upstream.asked('GET', digest)).toHaveLength(asked + 1);
  });

  it('a part of a damaged file is not served as good, the whole being small enough to verify first', async () => {
    const { path, digest, bytes } = (await hold())[2]!;
    damage(stand.fileOf(digest), 5);

    const got = await stand.pull(path, { headers: { range: 'bytes=0-9' } });

    expect(got.whole && !got.body.equals(bytes.subarray(0, 10))).toBe(false);
  });

  it('the whole folder deleted while the gate runs: pulls go on, and hold again', async () => {
    const contents = await hold();
    rmSync(join(stand.dataDir, 'cache/blobs'), { recursive: true });
    rmSync(join(stand.dataDir, 'cache/spool'), { recursive: true });

    expect(await pulledAnew(contents)).toEqual([]);

    await eventually('the large one is held again', () => isRight(contents[2]!));
  });
});

describe('the index, lost or damaged while the gate is down', () => {
  const manifest = manifestOf([LARGE]);

  it.each<[string, (stand: CachedStand) => void]>([
    ['deleted', (stand) => stand.loseIndex()],
    ['emptied', (stand) => truncateSync(join(stand.dataDir, 'index.sqlite'))],
    [
      'overwritten',
      (stand) => writeFileSync(join(stand.dataDir, 'index.sqlite'), randomBytes(50_000)),
    ],
    ['cut in half', (stand) => truncateSync(join(stand.dataDir, 'index.sqlite'), 9_000)],
    ['damaged within', (stand) => scratch(join(stand.dataDir, 'index.sqlite'))],
  ])(
    '%s: the gate starts, serves, and needs no second fetch of what is held',
    async (_, befall) => {
      const { upstream, stand } = await before();
      upstream.manifest('team/app', '1', manifest);
      upstream.blob('team/app', LARGE);
      for (const path of ['/v2/team/app/manifests/1', blobPath(LARGE)]) await stand.pull(path);
      await stand.untilHeld(manifest.digest, sha256(LARGE));

      await stand.restart({}, () => befall(stand));
      await eventually(
        'it knows again what is held',
        async () => (await stand.overview()).contents === 2,
      );
      const pulled = await stand.pull('/v2/team/app/manifests/1');
      const blob = await stand.pull(blobPath(LARGE));

      expect([pulled.status, pulled.body.equals(manifest.bytes)]).toEqual([200, true]);
      expect([blob.status, blob.whole, blob.body.equals(LARGE)]).toEqual([200, true, true]);
      expect(upstream.asked('GET', sha256(LARGE))).toHaveLength(1);
    },
  );

  it('lost: what is held is nobody’s until the upstream has said yes again', async () => {
    const { upstream, stand } = await before();
    upstream.blob('team/app', LARGE);
    await stand.pull(blobPath(LARGE));
    await stand.untilHeld(sha256(LARGE));

    await stand.restart({}, () => stand.loseIndex());
    await eventually('it is known again', async () => (await stand.overview()).contents === 1);
    upstream.remove('team/app', sha256(LARGE));

    expect((await stand.ask(blobPath(LARGE))).status).toBe(404);
  });
});

function scratch(file: string): void {
  const bytes = readFileSync(file);
  for (let at = 4096; at < bytes.length; at += 512) randomBytes(64).copy(bytes, at);
  writeFileSync(file, bytes);
}
