/** Manifests before one registry, as a client sees them. */
import { contentWorld, NAME } from './content-world';
import { answer } from './fault-server';
import { eventually } from './lifecycle';
import { manifestOf, SCHEMA_2, type HeldManifest } from './scripted-registry';

export const MISS = 'tidegate; fwd=miss; fwd-status=200; stored';
export const FIRST = manifestOf([Buffer.from('first')]);
export const SECOND = manifestOf([Buffer.from('second')]);
export const OLD = manifestOf([Buffer.from('first')], SCHEMA_2);

/** What a GET of it gives. */
export const whole = ({ mediaType, digest, bytes }: HeldManifest) => ({
  mediaType,
  digest,
  size: bytes.length,
  text: bytes.toString(),
});
/** What a HEAD of it gives. */
export const described = (manifest: HeldManifest) => ({ ...whole(manifest), text: undefined });

export async function manifestWorld(options: Parameters<typeof contentWorld>[0] = {}) {
  const room = await contentWorld(options);
  const { origin, askManifest: ask } = room;
  /** Tagged at the registry, and held. */
  const held = async (manifest = FIRST, tag = '1') => {
    origin.manifest(NAME, tag, manifest);
    await ask(tag);
    await room.untilHeld(manifest.digest);
    await eventually(
      'it is a hit',
      async () => (await ask(manifest.digest)).told === 'tidegate; hit',
    );
    origin.server.requests.length = 0;
  };
  const head = (reference: string, asking = {}) => ask(reference, { ...asking, method: 'HEAD' });
  const away = () => {
    origin.fault = () => answer(503);
  };
  return { ...room, ask, head, held, away };
}
