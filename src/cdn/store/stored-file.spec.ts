import { rmSync, writeFileSync } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { freshFolder } from '../../../test/support/lifecycle';
import { StoredFile } from './stored-file';

function fileWith(text: string): string {
  const path = join(freshFolder('stored'), 'file');
  writeFileSync(path, text);
  return path;
}

/** Does this after a file was opened, and before it is looked at. */
async function betweenOpenAndStat(act: () => void): Promise<void> {
  const any = await open('/dev/null');
  const handles = Object.getPrototypeOf(any) as FileHandle;
  await any.close();
  const { stat } = handles;
  jest.spyOn(handles, 'stat').mockImplementationOnce(function (this: FileHandle, options) {
    act();
    return stat.call(this, options) as never;
  });
}

describe('a stored file', () => {
  afterEach(() => jest.restoreAllMocks());

  it('that is removed between its opening and the look at it is gone', async () => {
    const path = fileWith('content');
    await betweenOpenAndStat(() => rmSync(path));

    expect(await StoredFile.open(path, 0)).toBeUndefined();
  });

  it('that stays is opened, with the same stamp each time', async () => {
    const path = fileWith('content');
    await betweenOpenAndStat(() => undefined);

    const files = [await StoredFile.open(path, 0), await StoredFile.open(path, 0)];
    for (const file of files) await file?.close();

    expect(files[0]?.size).toBe(7);
    expect(files[0]?.stamp).toBe(files[1]?.stamp);
  });

  it('that is removed later on is read to its end', async () => {
    const path = fileWith('content');
    const file = await StoredFile.open(path, 3);
    rmSync(path);

    const into = Buffer.alloc(10);
    const count = await file!.read(into);
    await file!.close();

    expect(into.subarray(0, count).toString()).toBe('tent');
  });
});
