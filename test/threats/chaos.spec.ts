/** What `npm run test:chaos` takes: a spec that it overlooks is never run whole. */
import { globSync } from 'node:fs';
import { join } from 'node:path';
import '../support/lifecycle';
import { succeed } from '../support/processes';

const ROOT = join(__dirname, '../..');

async function listed(...words: string[]): Promise<string[]> {
  const script = join(ROOT, 'scripts/chaos.mjs');
  const text = await succeed(process.execPath, [script, '--list', ...words], { cwd: ROOT });
  return text.split('\n').filter(Boolean);
}

it.each(['test/hostile/*.spec.ts', 'test/faults/*.spec.ts', '{src,test}/**/*.fuzz.spec.ts'])(
  'the long run takes all of %s',
  async (pattern) => {
    const specs = globSync(pattern, { cwd: ROOT });

    expect(specs.length).toBeGreaterThan(5);
    expect(await listed()).toEqual(expect.arrayContaining(specs));
  },
);

it('the long run takes those alone that are asked for', async () => {
  expect(await listed('store-crash', 'words.fuzz')).toEqual([
    'src/oci/words.fuzz.spec.ts',
    'test/faults/store-crash.spec.ts',
  ]);
});
