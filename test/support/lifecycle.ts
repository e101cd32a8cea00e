/**
 * What a spec starts ends with the spec. Importing this file gives the spec its clean-up and a timeout that leaves
 * real processes the time they need on a busy machine.
 */
import { randomBytes } from 'node:crypto';
import { mkdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const endings: (() => unknown)[] = [];

jest.setTimeout(90_000);

afterAll(async () => {
  const failures: unknown[] = [];
  for (const end of endings.splice(0).reverse()) {
    try {
      await end();
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length > 0) throw new AggregateError(failures, `not ended: ${failures.join('; ')}`);
}, 60_000);

/** Runs when the spec file is over, last one first. */
export function atTheEnd(end: () => unknown): void {
  endings.push(end);
}

/** A fresh folder that goes away with the spec. */
export function freshFolder(name: string): string {
  // Lower case: podman takes a folder's name for a reference's.
  const folder = join(tmpdir(), `tidegate-${name}-${randomBytes(6).toString('hex')}`);
  mkdirSync(folder, { mode: 0o700 });
  atTheEnd(() => rmSync(folder, { recursive: true, force: true, maxRetries: 3 }));
  return folder;
}

/** Asks again until the answer is there; fails with `what` after the deadline. */
export async function eventually<T>(
  what: string,
  ask: () => T | undefined | false | Promise<T | undefined | false>,
  milliseconds = 10_000,
): Promise<T> {
  const deadline = Date.now() + milliseconds;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined && answer !== false) return answer;
    if (Date.now() > deadline) throw new Error(`not within ${milliseconds} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}
