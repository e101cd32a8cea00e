/** The demo's registry in memory: more forgiving towards uploads that were cut off than docker-registry 2.8 is. */
import { join } from 'node:path';
import { Service } from './processes';

const MODULE = join(__dirname, '../../scripts/demo/registry.mjs');
const START = `
  const { startMemoryRegistry } = await import(process.argv[1]);
  console.log('port', (await startMemoryRegistry()).address().port);
`;

/** Starts one that ends with the spec, and gives its URL. */
export async function startMemoryRegistry(): Promise<string> {
  const args = ['--input-type=module', '--eval', START, MODULE];
  const service = new Service(process.execPath, args);
  const port = await service.until('it listens', () => /port (\d+)/.exec(service.stdout)?.[1]);
  return `http://127.0.0.1:${port}`;
}
