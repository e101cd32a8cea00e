/**
 * A gate as the user of an old system starts it: in a folder and on a network of its own, where every port is free,
 * with nothing set but what its README sets.
 */
import { join } from 'node:path';
import { MAIN } from './gate';
import { send, type Answer } from './http';
import { freshFolder } from './lifecycle';
import { run, Service, succeed, type Finished } from './processes';
import type { Tool } from './tools';

const CLI = join(__dirname, '../../dist/cli.js');

/** What it takes to start one. */
export const FOR_A_GATE_ALONE = ['unshare', 'nsenter', 'ip', 'curl'] as const satisfies Tool[];

export interface GateAlone {
  /** `0.0.0.0:5002` */
  readonly listensOn: string;
  /** curl on the gate's own network; the names of its URLs lead to the gate. */
  curl(...args: string[]): Promise<string>;
}

export interface Start {
  readonly folder?: string;
  /** Of its command line. */
  readonly args?: readonly string[];
}

export async function startGateAlone(
  env: Record<string, string>,
  { folder = freshFolder('alone'), args = [] }: Start = {},
): Promise<GateAlone> {
  const within = ['--net', 'env', '-C', folder, 'sh', '-c', 'ip link set lo up && exec "$@"', 'sh'];
  const service = new Service('unshare', [...within, process.execPath, MAIN, ...args], env);
  const listensOn = await service.until('the gate says where it listens', () => {
    return /listens on http:\/\/([\w.:[\]]+)/.exec(service.stderr)?.[1];
  });
  const network = ['--net', `--target=${service.pid}`];
  const resolve = ['--connect-to', '::127.0.0.1:'];
  const curl = (...words: string[]) =>
    succeed('nsenter', [...network, 'curl', '--silent', '--show-error', ...resolve, ...words]);
  return { listensOn, curl };
}

/** What `check-config` says of these settings and nothing else. */
export function checkConfig(
  env: Record<string, string>,
  folder: string = freshFolder('alone'),
): Promise<Finished> {
  return run(process.execPath, [CLI, 'check-config'], { env, cwd: folder });
}

/** As `curl http://<host><path>` asks. */
export function askAt(
  gate: { readonly url: string },
  host: string,
  path: string,
  headers: Record<string, string> = {},
): Promise<Answer> {
  return send(`${gate.url}${path}`, { headers: { host, ...headers } });
}
