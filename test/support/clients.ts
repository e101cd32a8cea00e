/**
 * The real clients, each with folders of its own: nothing of the machine's own logins and images is seen or touched.
 */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { atTheEnd, freshFolder } from './lifecycle';
import { run, Service, succeed, type Finished, type RunOptions } from './processes';

/** Runs a client's command line to its end. */
export type Client = (...args: string[]) => Promise<Finished>;

/** A client whose every failure is the test's. */
export function strict(client: Client): (...args: string[]) => Promise<string> {
  return async (...args) => {
    const { code, stdout, output } = await client(...args);
    if (code !== 0) throw new Error(`${args.join(' ')} ended with ${code}: ${output}`);
    return stdout;
  };
}

/** Folders that podman, buildah and skopeo would else look for in the home folder. */
function home(name: string, more: Record<string, string>): { folder: string; options: RunOptions } {
  const folder = freshFolder(name);
  const env: Record<string, string> = {
    HOME: folder,
    REGISTRY_AUTH_FILE: join(folder, 'auth.json'),
    ...more,
  };
  for (const kind of ['CONFIG_HOME', 'DATA_HOME', 'CACHE_HOME', 'RUNTIME_DIR']) {
    env[`XDG_${kind}`] = join(folder, kind.toLowerCase());
    mkdirSync(env[`XDG_${kind}`] ?? folder, { recursive: true, mode: 0o700 });
  }
  writeFileSync(join(folder, 'auth.json'), '{}');
  // Any image is accepted: signatures are not what is tested, and a machine may have no policy at all.
  const policy = join(folder, 'config_home', 'containers');
  mkdirSync(policy, { recursive: true });
  writeFileSync(join(policy, 'policy.json'), '{"default":[{"type":"insecureAcceptAnything"}]}');
  return { folder, options: { env } };
}

/**
 * Variables of a client that must not get out: whatever it would look for beyond the machine, when the gate does not
 * serve it, ends at a port where nobody listens.
 */
export const NOWHERE = { HTTPS_PROXY: 'http://127.0.0.1:9', NO_PROXY: '' } as const;

/**
 * podman or buildah with an empty store; another call is another store.
 * @param env more variables.
 * @param wrapper a program and its arguments that starts it in its own place.
 */
export function containerTool(
  name: 'podman' | 'buildah',
  env: Record<string, string> = {},
  wrapper: readonly string[] = [],
): Client {
  const { folder, options } = home(name, env);
  const runroot = join(folder, 'runroot');
  const store = ['--storage-driver=vfs', '--root', join(folder, 'root'), '--runroot', runroot];
  const [program = name, ...before] = [...wrapper, name];
  return (...args) => run(program, [...before, ...store, ...args], options);
}

/**
 * @param env more variables.
 * @param wrapper a program and its arguments that starts skopeo in its own place.
 */
export function skopeo(env: Record<string, string> = {}, wrapper: readonly string[] = []): Client {
  const { options } = home('skopeo', env);
  const [program, ...before] = [...wrapper, 'skopeo'];
  return (...args) => run(program ?? 'skopeo', [...before, ...args], options);
}

export interface Docker {
  readonly docker: Client;
  /** Feeds an image archive to the engine. */
  load(archive: Buffer): Promise<void>;
  /** Another user of the same engine: logins of its own. */
  readonly anotherUser: () => Client;
}

/**
 * A docker engine that nobody else uses. Loopback registries need no TLS there.
 * @param settings more of `daemon.json`.
 * @param env more of its variables.
 * @param wrapper a program and its arguments that starts the engine in its own place.
 */
export async function startDockerd(
  settings: object = {},
  env: Record<string, string> = {},
  wrapper: readonly string[] = [],
): Promise<Docker> {
  const folder = freshFolder('dockerd');
  const socket = `unix://${join(folder, 'docker.sock')}`;
  const config = {
    'data-root': join(folder, 'data'),
    'exec-root': join(folder, 'exec'),
    pidfile: join(folder, 'docker.pid'),
    hosts: [socket],
    iptables: false,
    ip6tables: false,
    bridge: 'none',
    'ip-forward': false,
    'storage-driver': 'vfs',
    ...settings,
  };
  const file = join(folder, 'daemon.json');
  writeFileSync(file, JSON.stringify(config));
  const user = (): Client => {
    const env = { DOCKER_HOST: socket, DOCKER_CONFIG: freshFolder('docker-config') };
    return (...args) => run('docker', args, { env });
  };
  const docker = user();
  const [program = 'dockerd', ...before] = [...wrapper, 'dockerd'];
  const command = [...before, '--config-file', file];
  const daemon = new Service(program, command, { HOME: folder, ...env });
  atTheEnd(() => daemon.stop('SIGTERM')); // killed, it would leave its mounts and its containerd behind
  await daemon.until('dockerd answers', async () => (await docker('version')).code === 0);
  const load = async (archive: Buffer) => {
    const path = join(freshFolder('archive'), 'image.tar');
    writeFileSync(path, archive);
    await strict(docker)('load', '--input', path);
  };
  return { docker, load, anotherUser: user };
}

/**
 * A containerd that nobody else uses, and its `ctr`, which asks registries by itself.
 * @param env more variables of `ctr`.
 */
export async function startContainerd(env: Record<string, string> = {}): Promise<Client> {
  const folder = freshFolder('containerd');
  const socket = join(folder, 'containerd.sock');
  const config = join(folder, 'config.toml');
  writeFileSync(
    config,
    [
      'version = 2',
      `root = "${join(folder, 'root')}"`,
      `state = "${join(folder, 'state')}"`,
      'disabled_plugins = ["io.containerd.grpc.v1.cri"]',
      '[grpc]',
      `address = "${socket}"`,
    ].join('\n'),
  );
  const daemon = new Service('containerd', ['--config', config], { HOME: folder });
  const ctr: Client = (...args) =>
    run('ctr', ['--address', socket, '--namespace', 'test', ...args], { env });
  await daemon.until('containerd answers', async () => {
    return existsSync(socket) && (await ctr('version')).code === 0;
  });
  return ctr;
}

/** Writes an htpasswd file, or a line into one, with Apache's own program. */
export async function htpasswd(file: string, username: string, password: string): Promise<void> {
  const create = existsSync(file) ? [] : ['-c'];
  await succeed('htpasswd', [...create, '-bB', file, username, password]);
}
