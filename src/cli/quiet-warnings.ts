/**
 * node:sqlite announces itself as experimental on some releases of Node 24. On the command line that would be a second line
 * of stderr for an operator who did nothing wrong. To be imported before anything that loads it.
 */
const emitWarning = process.emitWarning.bind(process) as (...args: unknown[]) => void;

process.emitWarning = (...args: unknown[]): void => {
  const [warning, options] = args;
  const text = warning instanceof Error ? warning.message : String(warning);
  if (options === 'ExperimentalWarning' && text.includes('SQLite')) return;
  emitWarning(...args);
};
