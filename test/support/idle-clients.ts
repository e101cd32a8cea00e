/** Many connections to one gate that want nothing of it, held by processes of their own. */
import { join } from 'node:path';
import type { Gate } from './gate';
import { Service } from './processes';

const PROGRAM = join(__dirname, 'idle-connections.mjs');
/** Of one process, so that it needs no more descriptors than others have. */
const OF_ONE_PROCESS = 2_500;

export class IdleClients {
  private constructor(private readonly services: readonly Service[]) {}

  /** Resolves when all of them have connected, or could not. */
  static async open(gate: Gate, connections: number): Promise<IdleClients> {
    const services: Service[] = [];
    for (let from = 0; from < connections; from += OF_ONE_PROCESS) {
      const count = Math.min(OF_ONE_PROCESS, connections - from);
      const source = 2 + services.length * 3;
      const args = [PROGRAM, gate.port, count, source].map(String);
      services.push(new Service(process.execPath, args));
    }
    for (const service of services)
      await service.until('all have connected', () => service.stdout.includes('\n'));
    return new IdleClients(services);
  }

  /** Connections that are open now, as their own end sees it. */
  get open(): number {
    return this.services.reduce((sum, { stdout }) => sum + Number(stdout.split('\n').at(-2)), 0);
  }

  async leave(): Promise<void> {
    await Promise.all(this.services.map((service) => service.stop()));
  }
}
