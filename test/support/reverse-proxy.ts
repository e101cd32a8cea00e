/** The real nginx and Caddy before a gate, with the samples of deploy/: only names, ports and folders are exchanged. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { request as ask } from 'node:https';
import { join } from 'node:path';
import { sample } from '../deploy/samples';
import { selfSigned } from './certificates';
import { freePort } from './free-port';
import type { Gate } from './gate';
import { freshFolder } from './lifecycle';
import { run, Service, succeed, type Finished } from './processes';

export interface Proxy {
  /** `localhost:<port>`, by https. */
  readonly host: string;
  /** Where it listens without TLS. */
  readonly plain: string;
  /** A folder with the `ca.crt` that its certificate is to be checked by. */
  readonly certificates: string;
}

export interface ProxyPorts {
  readonly tls: number;
  readonly plain: number;
}

/** Exchanges what is of the sample's own machine; each has to be there. */
function exchanged(text: string, pairs: readonly (readonly [string, string])[]): string {
  return pairs.reduce((rest, [from, to]) => {
    if (!rest.includes(from)) throw new Error(`the sample has no ${from}`);
    return rest.replaceAll(from, to);
  }, text);
}

const TEMPORARY = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];

/** What nginx is started with; `gate` is host and port. */
function nginxFolder({ tls, plain }: ProxyPorts, gate: string) {
  const folder = freshFolder('nginx');
  const { key, cert } = selfSigned(['localhost']);
  writeFileSync(join(folder, 'gate.key'), key);
  writeFileSync(join(folder, 'gate.crt'), cert);
  const certificates = join(folder, 'certificates');
  mkdirSync(certificates);
  writeFileSync(join(certificates, 'ca.crt'), cert);
  const site = exchanged(sample('nginx/tidegate.conf'), [
    ['listen 80;', `listen 127.0.0.1:${plain};`],
    ['listen 443 ssl;', `listen 127.0.0.1:${tls} ssl;`],
    ['server_name gate.example.com;', 'server_name localhost *.localhost;'],
    ['/etc/nginx/tls/', `${folder}/`],
    ['http://127.0.0.1:8080;', `http://${gate};`],
  ]);
  writeFileSync(join(folder, 'site.conf'), site);
  const config = [
    // One process: a worker would outlive a master that is killed.
    'daemon off;',
    'master_process off;',
    `pid ${folder}/nginx.pid;`,
    'error_log stderr info;',
    'events {}',
    'http {',
    'access_log off;',
    ...TEMPORARY.map((name) => `${name}_temp_path ${folder}/temporary-${name};`),
    `include ${folder}/site.conf;`,
    '}',
  ];
  writeFileSync(join(folder, 'nginx.conf'), config.join('\n'));
  return { folder, certificates, args: ['-p', folder, '-c', join(folder, 'nginx.conf')] };
}

/** What `nginx -t` says of the sample. */
export function checkNginx(): Promise<Finished> {
  const { args } = nginxFolder({ tls: 8443, plain: 8081 }, '127.0.0.1:8080');
  return run('nginx', [...args, '-t']);
}

export async function startNginx(ports: ProxyPorts, gate: Gate): Promise<Proxy> {
  const { folder, certificates, args } = nginxFolder(ports, `127.0.0.1:${gate.port}`);
  const service = new Service('nginx', args);
  const proxy = proxyOf(ports, certificates);
  await service.until('nginx answers', () => answers(proxy));
  // From now on it can keep no body on the disk, and fails where it tries to.
  for (const name of TEMPORARY) rmSync(join(folder, `temporary-${name}`), { recursive: true });
  return proxy;
}

/** What Caddy is started with. */
function caddyFolder({ tls, plain }: ProxyPorts, gate: string) {
  const folder = freshFolder('caddy');
  const options = [`admin off`, `http_port ${plain}`, `https_port ${tls}`, 'skip_install_trust'];
  writeFileSync(join(folder, 'sample'), sample('caddy/Caddyfile'));
  const config = join(folder, 'Caddyfile');
  writeFileSync(config, `{\n\t${options.join('\n\t')}\n}\nimport ${folder}/sample\n`);
  // For localhost it is its own authority.
  const env = {
    HOME: folder,
    XDG_DATA_HOME: join(folder, 'data'),
    XDG_CONFIG_HOME: join(folder, 'config'),
    REGISTRY_DOMAIN: 'localhost',
    REGISTRY_HOSTS: 'docker.localhost ghcr.localhost',
    TIDEGATE: gate,
  };
  return { folder, env, args: ['--config', config, '--adapter', 'caddyfile'] };
}

/** What `caddy validate` says of the sample, with more hosts than one, too. */
export function checkCaddy(hosts: string): Promise<Finished> {
  const { env, args } = caddyFolder({ tls: 8443, plain: 8081 }, '127.0.0.1:8080');
  return run('caddy', ['validate', ...args], { env: { ...env, REGISTRY_HOSTS: hosts } });
}

export async function startCaddy(ports: ProxyPorts, gate: Gate): Promise<Proxy> {
  const { folder, env, args } = caddyFolder(ports, `127.0.0.1:${gate.port}`);
  const service = new Service('caddy', ['run', ...args], env);
  const certificates = join(folder, 'certificates');
  mkdirSync(certificates);
  const proxy = proxyOf(ports, certificates);
  await service.until('Caddy answers', () => answers(proxy));
  const root = join(folder, 'data/caddy/pki/authorities/local/root.crt');
  await succeed('cp', [root, join(certificates, 'ca.crt')]);
  return proxy;
}

export async function proxyPorts(): Promise<ProxyPorts> {
  return { tls: await freePort(), plain: await freePort() };
}

function proxyOf({ tls, plain }: ProxyPorts, certificates: string): Proxy {
  return { host: `localhost:${tls}`, plain: `http://localhost:${plain}`, certificates };
}

export interface ThroughProxy {
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly body?: string;
  /** The client's own address. */
  readonly from?: string;
  /** Another host of the proxy's, without its port. */
  readonly name?: string;
}

/** A request through the proxy, by TLS that is not checked. */
export function through(
  proxy: Proxy,
  path: string,
  { body, from, name = 'localhost', ...options }: ThroughProxy = {},
) {
  const port = Number(proxy.host.split(':')[1]);
  const localAddress = from ?? '127.0.0.1';
  return new Promise<{ status: number; headers: Record<string, unknown> }>((resolve, reject) => {
    const outgoing = ask(
      {
        ...options,
        host: '127.0.0.1',
        servername: name,
        port,
        path,
        localAddress,
        agent: false,
        rejectUnauthorized: false,
        headers: { host: `${name}:${port}`, ...options.headers },
      },
      (incoming) => {
        incoming.resume().on('end', () => {
          resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers });
        });
      },
    );
    outgoing.on('error', reject).end(body);
  });
}

async function answers(proxy: Proxy): Promise<boolean> {
  const answer = await through(proxy, '/health/live').catch(() => undefined);
  return answer?.status === 200;
}
