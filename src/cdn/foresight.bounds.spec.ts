/** How much is asked for ahead, however large what is pulled is. */
import { contentOf } from '../../test/support/content-room';
import { eventually } from '../../test/support/lifecycle';
import { registryAt } from '../../test/support/upstream-fixture';
import type { RepositoryName } from '../oci/repository-name';
import { Foresight } from './foresight';
import type { Source } from './source';

const registry = registryAt('https://reg.example', { name: 'reg.example' });
const of = (repository: string): Source => ({
  registry,
  repository: repository as RepositoryName,
  as: 'configured',
});
const descriptors = (count: number) =>
  Array.from({ length: count }, () => ({ digest: contentOf(8).digest }));
const pulled = (document: unknown) => Buffer.from(JSON.stringify(document));

/** All of it is held, and none of it linked; each question is answered at once, or when the spec says so. */
function room({ atOnce = true } = {}) {
  const asked: { digest: string; noun: string; signal: AbortSignal }[] = [];
  const answers: PromiseWithResolvers<void>[] = [];
  const askFor = (noun: string) => (_source: Source, digest: string, signal: AbortSignal) => {
    asked.push({ digest, noun, signal });
    const answer = Promise.withResolvers<void>();
    answers.push(answer);
    if (atOnce) answer.resolve();
    return answer.promise;
  };
  const foresight = new Foresight(
    { sizeOf: () => Promise.resolve(8) } as never,
    { linkFor: () => Promise.resolve(undefined) } as never,
    { askFor: askFor('blob') } as never,
    { askFor: askFor('manifest') } as never,
  );
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  /** So much is asked, and nothing more. */
  const settled = async (count: number) => {
    await eventually('all is asked', () => asked.length >= count);
    for (let n = 0; n < 5; n += 1) await turn();
  };
  return { foresight, asked, answers, settled, turn };
}

it('two are asked for at once, each once, and the next as one is answered', async () => {
  const { foresight, asked, answers, turn } = room({ atOnce: false });
  const layers = descriptors(4);

  foresight.pulled(of('team/app'), pulled({ layers }));
  foresight.pulled(of('team/app'), pulled({ layers }));
  await turn();
  const first = asked.length;
  answers[0]?.resolve();
  await turn();

  expect([first, asked.length]).toEqual([2, 3]);
  expect(asked.map(({ digest }) => digest)).toEqual(layers.slice(0, 3).map(({ digest }) => digest));
});

it('what comes when all was asked for is asked for as well', async () => {
  const { foresight, asked, settled } = room();
  foresight.pulled(of('team/app'), pulled({ layers: descriptors(3) }));
  await settled(3);

  foresight.pulled(of('team/app'), pulled({ layers: descriptors(3) }));
  await settled(6);

  expect(asked).toHaveLength(6);
});

it('manifests come first, and what they name is asked for as what it is', async () => {
  const { foresight, asked, settled } = room();
  const [config, layer, manifest] = descriptors(3);

  foresight.pulled(
    of('team/app'),
    pulled({ config, layers: [layer], manifests: [{ ...manifest, urls: ['x'] }] }),
  );
  await settled(3);

  expect(asked.map(({ digest, noun }) => [digest, noun])).toEqual([
    [manifest?.digest, 'manifest'],
    [config?.digest, 'blob'],
    [layer?.digest, 'blob'],
  ]);
});

it.each([
  ['of one repository, so many of each', { layers: descriptors(600) }, 500],
  ['of one repository, so many of each', { manifests: descriptors(600) }, 500],
  ['none of what is larger than any', { layers: descriptors(1001) }, 0],
  ['none of what is larger than any', { manifests: descriptors(1001) }, 0],
  ['all of what is as large as may be', { layers: descriptors(1000) }, 500],
  ['one that has no addresses of its own', { layers: [{ ...descriptors(1)[0], urls: [] }] }, 1],
])('%s', async (_what, document, count) => {
  const { foresight, asked, settled } = room();

  foresight.pulled(of('team/app'), pulled(document));
  await settled(count);

  expect(asked).toHaveLength(count);
});

it('of all repositories no more than two thousand wait', async () => {
  const { foresight, asked, settled } = room();

  for (let n = 0; n < 6; n += 1)
    foresight.pulled(of(`team/app${n}`), pulled({ layers: descriptors(500) }));
  await settled(2002);

  // Those that are being asked for wait no more.
  expect(asked).toHaveLength(2002);
});

it('when the gate stops, nothing more is asked for, and what is asked is given up', async () => {
  const { foresight, asked, answers, turn } = room({ atOnce: false });
  foresight.pulled(of('team/app'), pulled({ layers: descriptors(10) }));
  await turn();

  foresight.onApplicationShutdown();
  for (const answer of answers) answer.resolve();
  await turn();

  expect(asked.map(({ signal }) => signal.aborted)).toEqual([true, true]);
  foresight.pulled(of('team/app'), pulled({ layers: descriptors(10) }));
  await turn();
  expect(asked).toHaveLength(2);
});

it.each(['null', '7', '"text"', 'no document', '{"layers":[{"digest":7}]}', '{"layers":{}}'])(
  'nothing is asked for by what is no manifest: %s',
  async (text) => {
    const { foresight, asked, turn } = room();

    foresight.pulled(of('team/app'), Buffer.from(text));
    await turn();

    expect(asked).toEqual([]);
  },
);
