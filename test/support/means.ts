/**
 * Tests that need more than a program: root, a disk of their own, a terminal. Where that cannot be had they are skipped
 * and their names say why; with CI=true that is a failure.
 */
import { spawnSync } from 'node:child_process';
import { isRoot } from './tools';

/** Why something cannot be had here; undefined where it can. */
export type Lack = string | undefined;

const MUST = process.env['CI'] === 'true';

/** Like `describe`, for tests that need what may be lacking. */
export function describeUnless(lack: Lack, name: string, tests: () => void): void {
  if (lack === undefined) describe(name, tests);
  else if (MUST) describe(name, () => fails(lack));
  else describe.skip(`${name} (${lack})`, tests);
}

/** Like `it`, likewise. */
export function itUnless(
  lack: Lack,
  name: string,
  test: () => Promise<void>,
  timeout?: number,
): void {
  if (lack === undefined) it(name, test, timeout);
  else if (MUST) describe(name, () => fails(lack));
  else it.skip(`${name} (${lack})`, test);
}

function fails(lack: string): void {
  it('has what it needs', () => {
    throw new Error(lack);
  });
}

/** Why no program can be run on a terminal. */
export function noTerminal(): Lack {
  const { status } = spawnSync('script', ['--version'], { stdio: 'ignore' });
  return status === 0 ? undefined : 'needs script, of util-linux';
}

/** Why nothing can be done as root on Linux. */
export function noRoot(): Lack {
  return isRoot() && process.platform === 'linux' ? undefined : 'needs root, on Linux';
}
