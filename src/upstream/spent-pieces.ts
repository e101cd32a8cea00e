/**
 * Node's servers and undici put every piece of a body into memory of its own. To V8 a piece is one small object more: it looks for
 * those that are spent only once their memory has become much, and then through all objects there are, which cost two fifths of
 * all that a push costs. The young ones are where they lie. ADR 32.
 */
import { collectYoung } from '../config/collector';

/** Bytes after which they are looked for: that takes less than a millisecond. */
const MUCH = 16 * 1024 * 1024;

let spent = 0;

/** To be told of each piece of a body that nobody needs from here on. */
export function noteSpent(bytes: number): void {
  spent += bytes;
  if (spent < MUCH) return;
  spent = 0;
  collectYoung();
}
