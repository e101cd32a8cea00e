import {
  chmodSync,
  chownSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { freshFolder } from '../../../test/support/lifecycle';
import { itUnless, noRoot } from '../../../test/support/means';
import { assertWritable, codeOf, isReadOnly, NotWritable, replaceFile } from './replace-file';

function folder(): string {
  const path = freshFolder('replace');
  mkdirSync(path, { recursive: true });
  return path;
}

const modeOf = (path: string) => statSync(path).mode & 0o7777;

describe('a file that is replaced', () => {
  it('has all of its new text, keeps its mode, and leaves nothing beside it', async () => {
    const path = join(folder(), 'file');
    writeFileSync(path, 'a much longer text than the next');
    chmodSync(path, 0o640);

    await replaceFile(path, 'new');

    expect([readFileSync(path, 'utf8'), modeOf(path)]).toEqual(['new', 0o640]);
    expect(readdirSync(join(path, '..'))).toEqual(['file']);
  });

  it('is for its owner alone when it is new', async () => {
    const path = join(folder(), 'file');

    await replaceFile(path, 'new');

    expect([readFileSync(path, 'utf8'), modeOf(path)]).toEqual(['new', 0o600]);
  });

  itUnless(noRoot(), 'belongs to whoever owns its folder, or owned it before', async () => {
    const path = folder();
    chownSync(path, 1234, 1235);
    const old = join(path, 'old');
    writeFileSync(old, '');
    chownSync(old, 1236, 1237);

    await replaceFile(join(path, 'new'), '');
    await replaceFile(old, '');

    const ownerOf = (name: string) => [
      statSync(join(path, name)).uid,
      statSync(join(path, name)).gid,
    ];
    expect([ownerOf('new'), ownerOf('old')]).toEqual([
      [1234, 1235],
      [1236, 1237],
    ]);
  });

  it('is the one that a link leads to', async () => {
    const [there, here] = [join(folder(), 'file'), join(folder(), 'link')];
    writeFileSync(there, 'old');
    symlinkSync(there, here);

    await replaceFile(here, 'new');

    expect(readFileSync(there, 'utf8')).toBe('new');
  });

  it('stays where nobody may write it, be it root', async () => {
    const path = join(folder(), 'file');
    writeFileSync(path, 'old');
    chmodSync(path, 0o444);

    const refused = await replaceFile(path, 'new').catch((error: unknown) => error);

    expect(refused).toBeInstanceOf(NotWritable);
    expect((refused as Error).message).toBe('no write permission for anyone, mode 444');
    expect(isReadOnly(refused)).toBe(true);
    expect(readFileSync(path, 'utf8')).toBe('old');
  });

  it('is none where its folder is not there, or is a file: the system says so', async () => {
    const path = join(folder(), 'file');
    writeFileSync(path, '');

    await expect(replaceFile(join(path, '..', 'no', 'file'), '')).rejects.toMatchObject({
      code: 'ENOENT',
    });
    await expect(assertWritable(join(path, 'within'))).rejects.toMatchObject({ code: 'ENOTDIR' });
    await expect(assertWritable(join(path, '..', 'not there'))).resolves.toBeUndefined();
  });
});

it.each([
  ...['EBUSY', 'EROFS', 'EACCES', 'EPERM', 'EXDEV', 'NOWRITE'].map((code) => [code, true] as const),
  ...['ENOSPC', 'EIO', 'EMFILE'].map((code) => [code, false] as const),
])('%s means that it can only be changed from elsewhere: %s', (code, readOnly) => {
  expect(isReadOnly(Object.assign(new Error(code), { code }))).toBe(readOnly);
});

it('whatever has no code has an unknown reason', () => {
  expect([undefined, null, new Error('x'), { code: 5 }, { code: 'EIO' }].map(codeOf)).toEqual([
    ...Array<string>(4).fill('unknown reason'),
    'EIO',
  ]);
});
