import './right-node';
import './thread-pool';
import './frugal-heap';
import { collectAll } from './config/collector';
import { loadEnvironment, readSettings } from './config/read-settings';
import { visibleLines } from './config/visible';
import { openGate } from './gate';
import { greeting } from './greeting';
import { createLog } from './journal/log';

/** Milliseconds after which what waited for the start has been answered. */
const SETTLED = 1_000;

/** Starts the gate; whatever is in the way is told in plain words, and the process ends with 1. */
async function main(): Promise<void> {
  const settings = readSettings(loadEnvironment(), process.argv.slice(2));
  const log = createLog(settings);
  // Node would open its debugger to whoever reaches the loopback address, and with it every secret.
  process.on('SIGUSR1', () => log.warn('SIGUSR1 is of no use here, and ignored'));
  const gate = await openGate(settings, log);
  process.stderr.write(visibleLines(greeting(settings, gate)));
  // What the start leaves behind is a third of the heap, and would lie there for as long as little is asked of the gate.
  setTimeout(collectAll, SETTLED).unref();
  let draining = false;
  // SIGHUP: the terminal is gone, which is no reason to cut transfers.
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
    process.on(signal, () => {
      // A second signal means it, save SIGHUP: shell and system both send one when a terminal closes.
      if (draining && signal === 'SIGHUP') return;
      if (draining) process.exit(1);
      draining = true;
      log.info({ signal }, 'draining: readiness is 503, transfers may end');
      gate.drain().then(
        () => log.flush(() => process.exit(0)),
        (error: unknown) => fail(error),
      );
    });
  }
}

function fail(error: unknown): void {
  const message = error instanceof Error ? error.message : String(error);
  process.stderr.write(`tidegate: ${visibleLines(message)}\n`);
  process.exit(1);
}

main().catch(fail);
