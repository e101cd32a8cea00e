import { BlobUpstream } from '../support/blob-upstream';
import { CacheFolder } from '../support/cache-folder';
import { figure, lossOf, rounds } from '../support/figures';
import { startGate } from '../support/gate';
import { send } from '../support/http';
import { atTheEnd, eventually } from '../support/lifecycle';
import { Patterned } from '../support/patterned';

const ROUNDS = rounds(20);
const PULLS = 8;
const LARGEST = 6 * 1024 * 1024;

/** Each order of magnitude as often as the others, from some KiB on. */
function anySize(): number {
  return Math.floor(2_000 * (LARGEST / 2_000) ** Math.random());
}

describe('F16: a gate that is killed while it fills its cache', () => {
  it(`holds nothing but what hashes to its name, and pulls are right, ${ROUNDS} times`, async () => {
    const upstream = await BlobUpstream.start();
    const gate = await startGate({
      ...upstream.settings,
      ANONYMOUS_ACCESS: 'pull',
      RATE_BURST: '100000',
    });
    const held = new CacheFolder(gate);
    const known = new Set<string>();
    const pull = async (content: Patterned) => {
      const { status, body } = await send(`${gate.url}/v2/team/app/blobs/${content.digest}`);
      return status === 200 && body.equals(content.bytes());
    };
    const seen = { tried: 0, survived: 0, cutShort: 0, held: 0 };
    atTheEnd(() => figure('F16', 'kill -9 of a gate that fills its cache', lossOf(seen)));

    for (let round = 0; round < ROUNDS; round += 1) {
      const contents = Array.from({ length: PULLS }, (_, n) => {
        return new Patterned(anySize(), `crash-${round}-${n}`);
      });
      upstream.add(...contents);
      const pulls = contents.map((content) => pull(content).catch(() => undefined));
      const asked = () => contents.some((content) => upstream.asked('GET', content).length > 0);
      await eventually('it fetches', asked);
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 120));
      await gate.stop('SIGKILL');
      seen.tried += 1;
      const answers = await Promise.all(pulls);
      const left = { spools: held.spools().length, held: held.blobs().length };
      // What a client got in full before the end was right, held or not.
      expect(answers).not.toContain(false);
      expect(held.wrong(known)).toEqual([]);

      await gate.restart();

      expect(held.spools()).toEqual([]);
      const again = await Promise.all(
        [contents[0], contents[1], contents.at(-1)].map((c) => pull(c!)),
      );
      expect(again).toEqual([true, true, true]);
      seen.cutShort += left.spools;
      seen.held = left.held;
      seen.survived += 1;
    }

    await eventually('all is at rest', () => held.spools().length === 0);
    expect(held.wrong()).toEqual([]);
    expect(seen.survived).toBe(ROUNDS);
    // It was killed in the middle of writing, and not only before or after.
    expect(seen.cutShort).toBeGreaterThan(0);
    expect(seen.held).toBeGreaterThan(0);
  }, 1_800_000);
});
