/** Disks of a few MiB, for what happens when they are full. Only root may mount them. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmdirSync, rmSync, statfsSync, writeFileSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { atTheEnd, freshFolder } from './lifecycle';
import { plainEnvironment } from './processes';

const env = plainEnvironment();
const quiet = { env, stdio: 'ignore' } as const;

function mount(folder: string, bytes: number): void {
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes},mode=0700`, 'tmpfs', folder], quiet);
}

/** Why no small disk can be had here; undefined where one can. */
export function noSmallDisk(): string | undefined {
  const folder = mkdtempSync(join(tmpdir(), 'tidegate-mount-'));
  try {
    mount(folder, 64 * 1024);
    execFileSync('umount', [folder], quiet);
    return undefined;
  } catch {
    return 'needs root, and mount of tmpfs';
  } finally {
    rmdirSync(folder);
  }
}

export class SmallDisk {
  readonly #parent = freshFolder('disk');
  readonly folder = join(this.#parent, 'disk');
  readonly #filler = join(this.folder, 'filler');

  /** Goes away with the spec, after whoever was started later. */
  constructor(bytes: number) {
    mkdirSync(this.folder);
    mount(this.folder, bytes);
    atTheEnd(() => execFileSync('umount', ['--lazy', this.folder], quiet));
  }

  get free(): number {
    const { bavail, bsize } = statfsSync(this.folder);
    return bavail * bsize;
  }

  /** Somebody else's file takes what is free, but for so many bytes. */
  fill(left = 0): void {
    const bytes = Buffer.alloc(Math.max(0, this.free - left));
    try {
      writeFileSync(this.#filler, bytes, { flag: 'a' });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
    }
  }

  clear(): void {
    rmSync(this.#filler, { force: true });
  }
}
