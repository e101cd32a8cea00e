/**
 * A heap that stays small, since on a small machine the memory belongs to the files that are held. What is left of each
 * write to each of hundreds of clients is small and soon garbage, and V8 by itself lets many megabytes of it pile up
 * before it looks: ADR 26 has the figures.
 *
 * The heap grows by little more than half before it is looked through, not by a multiple; its young part has a bound of
 * 8 MiB a half, where V8's own grows with the machine. That bound is read once, as Node starts, so that the process
 * starts itself again with it: the same process still, by its number, its parent and its files, so that signals and
 * supervisors find it. A bound that the operator has set, in NODE_OPTIONS or on the command line, stays.
 */
import { spawnSync } from 'node:child_process';
import { setFlagsFromString } from 'node:v8';

const YOUNG = '--max-semi-space-size';

if (!isBounded()) startAgain();
setFlagsFromString('--heap-growing-percent=60');

function isBounded(): boolean {
  const flags = [...process.execArgv, process.env.NODE_OPTIONS ?? ''];
  // V8 takes underscores for hyphens in the names of its flags.
  return flags.some((flag) => flag.replaceAll('_', '-').includes(YOUNG));
}

/** Returns where a process cannot do so (Windows, a sandbox): the gate then runs with more memory than it needs. */
function startAgain(): void {
  const { execPath, execArgv, argv } = process;
  if (!process.execve) return;
  try {
    // Node aborts where the system refuses it, so that another process tries it first.
    if (spawnSync(execPath, ['--version'], { stdio: 'ignore' }).status !== 0) return;
    process.execve(execPath, [execPath, `${YOUNG}=8`, ...execArgv, ...argv.slice(1)]);
  } catch {
    // Nothing is lost but memory.
  }
}
