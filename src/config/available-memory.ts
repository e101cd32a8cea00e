import os from 'node:os';

/**
 * The memory that this process may use, in bytes.
 * @param constrained what a container allows it; 0 or more than the machine has where nothing is constrained.
 */
export function availableMemory(
  constrained: number = process.constrainedMemory(),
  machine: number = os.totalmem(),
): number {
  return constrained > 0 ? Math.min(constrained, machine) : machine;
}
