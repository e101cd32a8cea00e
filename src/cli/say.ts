/** A line of what was asked for, on stdout. Faults go to stderr. */
export function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
