import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freshFolder } from '../../test/support/lifecycle';
import { FileLock } from './file-lock';

const folder = freshFolder('file-lock');
let count = 0;
const newPath = () => join(folder, `${count++}.lock`);

/** Another process that holds the lock until it is killed. */
async function holder(path: string) {
  const code = `
    const { DatabaseSync } = require('node:sqlite');
    const database = new DatabaseSync(${JSON.stringify(path)}, { timeout: 0 });
    database.exec('BEGIN EXCLUSIVE');
    console.log('held');
    setInterval(() => database, 1000);`;
  const child = spawn(process.execPath, ['--no-warnings', '-e', code], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  return child;
}

describe('FileLock', () => {
  it('is held by one at a time within a process, and free again once released', () => {
    const path = newPath();
    const lock = FileLock.tryAcquire(path);

    expect(lock).toBeDefined();
    expect(FileLock.tryAcquire(path)).toBeUndefined();
    // A refused attempt must not have dropped the lock of the one that holds it.
    expect(FileLock.tryAcquire(path)).toBeUndefined();

    lock?.release();
    lock?.release();
    const next = FileLock.tryAcquire(path);
    expect(next).toBeDefined();
    next?.release();
  });

  it('keeps other processes out, and is free when the one that holds it is killed', async () => {
    const path = newPath();
    const child = await holder(path);
    try {
      expect(FileLock.tryAcquire(path)).toBeUndefined();
    } finally {
      child.kill('SIGKILL');
    }

    const lock = await FileLock.acquire(path, { timeout: 5_000 });
    lock.release();
  });

  it('waits without blocking until it is released', async () => {
    const path = newPath();
    const first = FileLock.tryAcquire(path);
    setTimeout(() => first?.release(), 60);

    const second = await FileLock.acquire(path, { timeout: 5_000 });

    expect(FileLock.tryAcquire(path)).toBeUndefined();
    second.release();
  });

  it('names the path when it waited for nothing', async () => {
    const path = newPath();
    const lock = FileLock.tryAcquire(path);

    await expect(FileLock.acquire(path, { timeout: 40 })).rejects.toThrow(path);
    lock?.release();
  });

  it('is a file for its owner alone, and says which path cannot be one', () => {
    const path = newPath();
    FileLock.tryAcquire(path)?.release();
    const other = newPath();
    writeFileSync(
      other,
      'this is no database, but a text that is long enough to be told from one'.repeat(20),
    );

    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(() => FileLock.tryAcquire(other)).toThrow(other);
    expect(() => FileLock.tryAcquire('/nonexistent/folder/x.lock')).toThrow(
      '/nonexistent/folder/x.lock',
    );
  });
});
