import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freshFolder } from '../../test/support/lifecycle';
import { readNow, Settling, WatchedFile, type Reading } from './watched-file';

const text = (content: string): Reading => ({ kind: 'text', text: content });

describe('Settling', () => {
  const settledAt = (reading: Reading, from = 0) => {
    const settling = new Settling();
    settling.offer([reading], from);
    for (let now = from + 50; ; now += 50) if (settling.offer([reading], now)) return now - from;
  };

  it('lets a text count after it stood for half a second, and none at all as well', () => {
    expect(settledAt(text('a:b\n'))).toBe(500);
    expect(settledAt({ kind: 'absent' })).toBe(500);
    expect(settledAt({ kind: 'unreadable', reason: 'EACCES' })).toBe(500);
  });

  it('waits longer for a text whose last line does not end, and for an empty one', () => {
    expect(settledAt(text('a:b'))).toBe(1500);
    expect(settledAt(text(''))).toBe(1500);
  });

  it('begins anew when the text changes, even to one that it had seen', () => {
    const settling = new Settling();

    expect(settling.offer([text('a\n')], 0)).toBe(false);
    expect(settling.offer([text('')], 300)).toBe(false);
    expect(settling.offer([text('a\n')], 500)).toBe(false);
    expect(settling.offer([text('a\n')], 900)).toBe(false);
    expect(settling.offer([text('a\n')], 1000)).toBe(true);
  });

  it('lets several files count only together', () => {
    const settling = new Settling();

    expect(settling.offer([text('a\n'), text('x\n')], 0)).toBe(false);
    expect(settling.offer([text('a\n'), text('y\n')], 500)).toBe(false);
    expect(settling.offer([text('a\n'), text('y\n')], 1000)).toBe(true);
  });
});

describe('WatchedFile', () => {
  const folder = freshFolder('watched-file');

  it('says what is there, and why it cannot be read', async () => {
    const path = join(folder, 'a');
    const file = new WatchedFile(path);

    expect(await file.read()).toEqual({ kind: 'absent' });
    writeFileSync(path, 'one\n');
    expect(await file.read()).toEqual(text('one\n'));
    writeFileSync(path, 'two\n');
    expect(await file.read()).toEqual(text('two\n'));
    rmSync(path);
    mkdirSync(path);
    expect(await file.read()).toEqual({ kind: 'unreadable', reason: 'is not a file' });
    expect(readNow(path)).toEqual({ kind: 'unreadable', reason: 'is not a file' });
  });

  it('does not wait for who might write to a named pipe, and reads nothing without bounds', async () => {
    const pipe = join(folder, 'pipe');
    execFileSync('sh', ['-c', 'mkfifo "$0"', pipe]);
    const large = join(folder, 'large');
    writeFileSync(large, '');
    truncateSync(large, 33 * 1024 * 1024);

    for (const reading of [await new WatchedFile(pipe).read(), readNow(pipe)])
      expect(reading).toEqual({ kind: 'unreadable', reason: 'is not a file' });
    for (const reading of [await new WatchedFile(large).read(), readNow(large)])
      expect(reading).toEqual({ kind: 'unreadable', reason: 'is larger than 32 MiB' });
  });

  it('sees every one of many quick changes of the same length', async () => {
    const path = join(folder, 'b');
    const file = new WatchedFile(path);

    for (let index = 1000; index < 1200; index++) {
      writeFileSync(path, `${index}\n`);
      expect(await file.read()).toEqual(text(`${index}\n`));
    }
  });
});
