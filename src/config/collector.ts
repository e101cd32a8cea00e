/**
 * V8's collector, asked for what it does not do by itself in time: it goes by how much there is, and not by what is known of what
 * there is.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** https://chromium.googlesource.com/v8/v8/+/main/src/extensions/gc-extension.h */
type Collect = (options: {
  readonly type: 'minor' | 'major';
  readonly flavor?: 'last-resort';
}) => void;

let collect: Collect | undefined;

/** Frees the young objects that are in use no longer, within less than a millisecond. */
export function collectYoung(): void {
  collect ??= collector();
  collect({ type: 'minor' });
}

/** Frees all that is in use no longer, and gives its memory back: about a tenth of a second in which nothing else is done. */
export function collectAll(): void {
  collect ??= collector();
  // Without that it is freed, and kept for what comes.
  collect({ type: 'major', flavor: 'last-resort' });
}

function collector(): Collect {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as Collect;
}
