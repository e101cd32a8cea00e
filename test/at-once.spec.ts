/**
 * What is answered at once is what the long way would answer at that moment, whatever has just happened to the image, to the
 * account that asks, and to what the registry says; and what must be refused is refused the very next time.
 */
import fc from 'fast-check';
import { shortWay } from '../src/short-way';
import { AtOnceWorld, type Look } from './support/at-once-world';
import { counted, type Counted } from './support/counted-at-once';
import { fuzzed } from './support/fuzz';
import { openInnerGate } from './support/inner-gate';
import { atTheEnd } from './support/lifecycle';
import { longWay } from './support/long-way';
import { ROBOT, ScriptedRegistry } from './support/scripted-registry';

// Both ways themselves: one tells by what it was called, the other how many answers there were.
jest.mock('../src/short-way', () => {
  const { shortWay: itself } = jest.requireActual<{ shortWay: typeof shortWay }>(
    '../src/short-way',
  );
  return { shortWay: jest.fn(itself) };
});
jest.mock('../src/at-once', () => jest.requireActual<Counted>('./support/counted-at-once').counted);

let given: ConstructorParameters<typeof AtOnceWorld>[0];
let worlds = 0;

beforeAll(async () => {
  const registry = await ScriptedRegistry.start();
  atTheEnd(() => registry.server.close());
  const gate = await openInnerGate({
    ...registry.settings,
    UPSTREAM_USERNAME: ROBOT.username,
    UPSTREAM_PASSWORD: ROBOT.password,
    RATE_LIMIT: '100000',
    RATE_BURST: '100000',
    TRUST_PROXY: '127.0.0.1',
  });
  atTheEnd(() => gate.close());
  for (const username of ['owner', 'ann']) await gate.account(username);
  const longPort = await longWay(jest.mocked(shortWay).mock.calls[0]!);
  const clock = Date.now.bind(Date);
  let ahead = 0;
  const now = jest.spyOn(Date, 'now').mockImplementation(() => clock() + ahead);
  atTheEnd(() => now.mockRestore());
  given = {
    gate,
    longPort,
    registry,
    answersAtOnce: () => counted.answers,
    later: (milliseconds) => void (ahead += milliseconds),
  };
});

const said = ({ status, digest }: Look) => ({ status, digest });

/** Asks for everything, by both ways and twice, the short one first. @returns the first answer of all. */
async function askForAll(world: AtOnceWorld): Promise<Look> {
  let veryFirst: Look | undefined;
  for (const reference of world.references)
    for (const who of ['owner', 'ann'] as const)
      for (let time = 0; time < 2; time += 1) {
        const short = await world.look('short', who, reference);
        veryFirst ??= short;
        expect({ who, reference, ...said(short), forbidden: false }).toEqual({
          who,
          reference,
          ...said(short),
          forbidden: world.isForbidden(who, reference, short),
        });
        world.heard(who, reference, short);
        const long = await world.look('long', who, reference);
        world.heard(who, reference, long);
        expect(said(short)).toEqual(said(long));
        if (short.atOnce) expect(short.whole).toEqual(long.whole);
      }
  await world.settled();
  return veryFirst!;
}

type Happening = keyof AtOnceWorld['happenings'];

it('whatever happens, no answer at once is another one than that of the long way, nor one too many', async () => {
  const names = Object.keys(
    new AtOnceWorld(given, 'team/none').happenings,
  ) as unknown as Happening[];
  const refused: Happening[] = ['the registry refuses the gate', 'a while passes'];

  await fc.assert(
    fc.asyncProperty(fc.array(fc.constantFrom(...names), { maxLength: 8 }), async (happenings) => {
      const world = new AtOnceWorld(given, `team/app${(worlds += 1)}`);
      await world.begin();
      await askForAll(world);
      for (const happening of happenings) {
        await world.happenings[happening]();
        const first = await askForAll(world);
        if (AtOnceWorld.FORGETTING.includes(happening)) expect(first.atOnce).toBe(false);
      }
    }),
    {
      ...fuzzed<[Happening[]]>(15, [
        [refused],
        [['ann is disabled', 'ann is enabled', 'ann logs in']],
        [['ann may see other things alone', 'ann may see all', 'the sessions of ann end']],
        [['the tag moves at the registry', 'a while passes', 'the tag is pushed anew']],
        [['what is tagged is deleted', 'the tag moves at the registry', 'the cache is purged']],
      ]),
      endOnFailure: true,
    },
  );

  expect(counted.answers).toBeGreaterThan(200);
});
