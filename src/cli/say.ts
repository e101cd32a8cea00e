import { visibleLines } from '../config/visible';

/** Lines of what was asked for, on stdout. Faults go to stderr. Names and paths may hold what a terminal would obey. */
export function say(text: string): void {
  process.stdout.write(`${visibleLines(text)}\n`);
}
