import { cpSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freshFolder } from './support/lifecycle';
import { run } from './support/processes';

const ROOT = join(__dirname, '..');

/** The gate as it was installed somewhere else. */
function installed(): string {
  const folder = freshFolder('installed');
  for (const part of ['dist', 'package.json']) {
    cpSync(join(ROOT, part), join(folder, part), { recursive: true });
  }
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  return folder;
}

/** Loads all of the gate's code, and ends with what it says of a wrong argument. */
async function load(folder: string): Promise<string> {
  const args = [join(folder, 'dist/main.js'), '--help'];
  return (await run(process.execPath, args, { cwd: folder })).stderr;
}

it('what V8 made of the code is kept beside it', async () => {
  const folder = installed();

  await load(folder);

  const [version = ''] = readdirSync(join(folder, '.compile-cache'));
  expect(readdirSync(join(folder, '.compile-cache', version)).length).toBeGreaterThan(500);
  expect(await load(folder)).toContain('the argument --help is not known');
});

it('the gate starts where nothing can be written', async () => {
  const folder = installed();
  writeFileSync(join(folder, '.compile-cache'), 'no folder');

  expect(await load(folder)).toBe(await load(installed()));
});
