/** A real registry: CNCF distribution from Debian's `docker-registry`, on a free port of 127.0.0.1. */
import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { send, unique, type Account, type Answer, type Sending } from './http';
import { freshFolder } from './lifecycle';
import { Service, succeed } from './processes';
import { startTokenServer, type TokenServer } from './token-server';

export const UPSTREAM_KINDS = ['none', 'htpasswd', 'token'] as const;
export type UpstreamAuth = (typeof UPSTREAM_KINDS)[number];

export interface RegistryOptions {
  readonly auth?: UpstreamAuth;
  /** A port that was free a moment ago, for one that starts late or again; else the system chooses. */
  readonly port?: number;
  /** Somebody else who may log in there. With tokens: who may pull below `public/` alone. */
  readonly guest?: Account;
  /** With tokens: which repositories everybody may pull, without a login. */
  readonly isPublic?: (repository: string) => boolean;
  /** False for one that deletes nothing, as most do not. */
  readonly deletes?: boolean;
}

/** One line of the registry's access log. */
export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly status: number;
}

const ACCESS_LINE = /^\S+ - \S+ \[[^\]]+\] "(\S+) (\S+) HTTP\/[\d.]+" (\d{3}) /gm;

export class Registry {
  constructor(
    readonly service: Service,
    readonly port: number,
    readonly auth: UpstreamAuth,
    /** What opens it, where it asks. */
    readonly credentials: Account | undefined,
    readonly tokens: TokenServer | undefined,
  ) {}

  get host(): string {
    return `127.0.0.1:${this.port}`;
  }

  get url(): string {
    return `http://${this.host}`;
  }

  /** Every request that reached it until now, in order. */
  async requests(): Promise<SeenRequest[]> {
    // The log is written after the answer: a mark that is seen in it tells that all before it are there too.
    const mark = `/v2/?mark=${randomUUID()}`;
    await send(`${this.url}${mark}`);
    await this.service.until('the access log is written', () => this.service.stdout.includes(mark));
    return [...this.service.stdout.matchAll(ACCESS_LINE)]
      .map(([, method, path, status]) => ({
        method: method ?? '',
        path: path ?? '',
        status: Number(status),
      }))
      .filter(({ path }) => !path.startsWith('/v2/?mark='));
  }

  /** Settings of a gate before it. */
  get settings(): Record<string, string> {
    const { username, password } = this.credentials ?? {};
    const open = { UPSTREAM_REGISTRY: this.url };
    if (!username || !password) return open;
    return { ...open, UPSTREAM_USERNAME: username, UPSTREAM_PASSWORD: password };
  }

  /** A request to the registry itself, past the gate, with whatever opens it. */
  async ask(path: string, sending: Sending = {}): Promise<Answer> {
    const headers = { ...sending.headers, ...(await this.#authorization(path)) };
    return send(`${this.url}${path}`, { ...sending, headers });
  }

  async #authorization(path: string): Promise<Record<string, string>> {
    if (!this.credentials) return {};
    const { username, password } = this.credentials;
    const basic = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
    if (!this.tokens) return { authorization: basic };
    const name = /^\/v2\/(.+?)\/(?:manifests|blobs|tags)\//.exec(path)?.[1];
    const scope = name ? `?scope=repository:${name}:pull,push,delete` : '';
    const headers = { authorization: basic };
    const answer = await send(`${this.tokens.realm}${scope}`, { headers });
    return { authorization: `Bearer ${answer.json<{ token: string }>().token}` };
  }

  stop(): Promise<number | null> {
    return this.service.stop('SIGKILL');
  }
}

/** Starts a registry. It is empty, and gone when the spec is over. */
export async function startRegistry(options: RegistryOptions = {}): Promise<Registry> {
  const { auth = 'none', port = 0, guest, isPublic, deletes = true } = options;
  const folder = freshFolder('registry');
  const credentials = auth === 'none' ? undefined : { username: 'robot', password: unique('up-') };
  const tokens =
    auth === 'token' && credentials
      ? await startTokenServer(credentials, guest, isPublic)
      : undefined;
  const config: Record<string, unknown> = {
    version: '0.1',
    log: { level: 'info', formatter: 'json' },
    storage: {
      // Its storage in memory copies a blob with each write: a large layer takes it many seconds.
      filesystem: { rootdirectory: join(folder, 'storage') },
      delete: { enabled: deletes },
    },
    http: { addr: `127.0.0.1:${port}`, secret: 'only-for-tests' },
  };
  if (tokens) {
    const { realm, service, issuer, certificate } = tokens;
    config['auth'] = { token: { realm, service, issuer, rootcertbundle: certificate } };
  } else if (credentials) {
    const file = join(folder, 'htpasswd');
    const { username, password } = credentials;
    const lines = [{ username, password }, ...(guest ? [guest] : [])].map((account) =>
      succeed('htpasswd', ['-Bbn', account.username, account.password]),
    );
    writeFileSync(file, (await Promise.all(lines)).join(''));
    config['auth'] = { htpasswd: { realm: 'upstream', path: file } };
  }
  const file = join(folder, 'config.yml');
  writeFileSync(file, JSON.stringify(config)); // JSON is YAML
  const service = new Service('docker-registry', ['serve', file]);
  const listening = await service.until('the registry listens', () => {
    return /listening on 127\.0\.0\.1:(\d+)/.exec(service.stderr + service.stdout)?.[1];
  });
  return new Registry(service, Number(listening), auth, credentials, tokens);
}
