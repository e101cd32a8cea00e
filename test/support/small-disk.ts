/** File systems of a spec's own, small enough to be filled. */
import { execFileSync } from 'node:child_process';
import { closeSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { atTheEnd, freshFolder } from './lifecycle';
import { isRoot } from './tools';

/** Why there can be none here; undefined where there can. */
function whyNot(): string | undefined {
  if (!isRoot()) return 'needs root';
  try {
    const folder = freshFolder('mountable');
    execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', folder], { stdio: 'pipe' });
    execFileSync('umount', [folder], { stdio: 'pipe' });
    return undefined;
  } catch {
    return 'mounting is not permitted here';
  }
}

/** Like `describe`, for tests that need disks of their own. */
export function describeOnSmallDisks(name: string, tests: () => void): void {
  const reason = whyNot();
  if (reason === undefined) describe(name, tests);
  else describe.skip(`${name} (${reason})`, tests);
}

/** A file system that holds so many KiB, and goes with the spec. */
export class SmallDisk {
  readonly folder: string = freshFolder('disk');

  constructor(kib: number) {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${kib}k,mode=700`, 'tmpfs', this.folder]);
    atTheEnd(() => execFileSync('umount', ['--lazy', this.folder]));
  }

  /** Takes all the room there is, until it is cleared. */
  fill(): void {
    const file = openSync(this.#filler, 'a');
    try {
      for (;;) writeSync(file, Buffer.alloc(4096));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
    } finally {
      closeSync(file);
    }
  }

  clear(): void {
    rmSync(this.#filler);
  }

  /** Lets nobody write, or everybody again. */
  remount(mode: 'ro' | 'rw'): void {
    execFileSync('mount', ['-o', `remount,${mode}`, this.folder]);
  }

  get #filler(): string {
    return join(this.folder, 'filler');
  }
}
