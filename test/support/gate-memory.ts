/** Memory that a gate really uses, garbage left out: what was seen by the system alone says little of leaks. */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Gate } from './gate';
import { eventually, freshFolder } from './lifecycle';

/** Settings for a gate whose memory can be asked for. */
export function countedMemory(): Record<string, string> {
  return {
    MEMORY_FILE: join(freshFolder('memory'), 'bytes'),
    NODE_OPTIONS: `--require ${join(__dirname, 'collect-garbage.cjs')}`,
  };
}

/** Bytes in use in that gate, after its garbage was collected. */
export async function memoryInUse(gate: Gate): Promise<number> {
  const file = gate.env['MEMORY_FILE'] ?? '';
  rmSync(file, { force: true });
  gate.signal('SIGUSR2');
  await eventually('the gate has counted its memory', () => existsSync(file));
  return Number(readFileSync(file, 'utf8'));
}
