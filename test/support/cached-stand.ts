/** A gate that holds content, within the test's own process, and what a test needs to look behind its back. */
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { request, type IncomingHttpHeaders } from 'node:http';
import { join } from 'node:path';
import { readSettings } from '../../src/config/read-settings';
import { openGate, type Gate } from '../../src/gate';
import { createLog } from '../../src/journal/log';
import { basic, send, unique, type Account, type Answer, type Sending } from './http';
import { atTheEnd, eventually, freshFolder } from './lifecycle';
import { expectNoSecretIn, keepSecret, keepSecretsOf, talkative } from './secrets';

/** A line of the gate's log. */
export interface Line {
  readonly msg?: string;
  readonly request?: string;
  readonly cache?: string;
  readonly status?: number;
  readonly noun?: string;
  readonly method?: string;
}

/** A transfer, whatever became of it. */
export interface Transfer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** What has come so far. */
  received(): Buffer;
  /** Resolves when it has ended: true when in good order. */
  readonly whole: Promise<boolean>;
  leave(): void;
}

/** A request of some account's; the admin's without one, a stranger's with null. */
export type Asking = Sending & { readonly as?: Account | null };

interface Rule {
  readonly repository: string;
  readonly actions: readonly ('pull' | 'push' | 'delete')[];
}

const BROKEN: Transfer = {
  status: 0,
  headers: {},
  received: () => Buffer.alloc(0),
  whole: Promise.resolve(false),
  leave: () => undefined,
};

/** The first admin, who may do everything. */
export const ADMIN: Account = { username: 'admin', password: 'the-admin-password' };

export class CachedStand {
  /** Log lines since the first start. */
  readonly lines: Line[] = [];
  readonly dataDir = freshFolder('cached');
  #gate: Gate | undefined;

  private constructor(readonly env: Record<string, string>) {}

  static async open(env: Record<string, string>): Promise<CachedStand> {
    const stand = new CachedStand(env);
    keepSecretsOf({ ...env, ADMIN_PASSWORD: ADMIN.password });
    atTheEnd(() => expectNoSecretIn(JSON.stringify(stand.lines)));
    await stand.start();
    atTheEnd(() => stand.stop());
    return stand;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#gate?.port}`;
  }

  async start(env: Record<string, string> = {}): Promise<void> {
    const settings = readSettings({
      DATA_DIR: this.dataDir,
      HOST: '127.0.0.1',
      PORT: '0',
      DRAIN_TIMEOUT: '100ms',
      ADMIN_PASSWORD: ADMIN.password,
      ...talkative(),
      ...this.env,
      ...env,
    });
    const write = (line: string) => void this.lines.push(JSON.parse(line) as Line);
    this.#gate = await openGate(settings, createLog(settings, { write }));
  }

  async stop(): Promise<void> {
    await this.#gate?.drain();
    this.#gate = undefined;
  }

  /** Ends the gate and starts it on the same folder. */
  async restart(env: Record<string, string> = {}, between: () => void = () => undefined) {
    await this.stop();
    between();
    await this.start(env);
  }

  ask(path: string, { as = ADMIN, ...sending }: Asking = {}): Promise<Answer> {
    const headers = { ...(as ? basic(as) : {}), ...sending.headers };
    return send(`${this.url}${path}`, { ...sending, headers });
  }

  /** Begins a transfer, and resolves with its head; with a status of 0 when it breaks off before that. */
  begin(
    path: string,
    { as = ADMIN, method = 'GET', headers = {} }: Asking = {},
  ): Promise<Transfer> {
    return new Promise((resolve) => {
      const all = { ...(as ? basic(as) : {}), ...headers };
      const options = { agent: false, method, headers: all };
      const outgoing = request(`${this.url}${path}`, options, (incoming) => {
        const chunks: Buffer[] = [];
        const whole = new Promise<boolean>((done) => {
          incoming.on('close', () => done(incoming.complete));
        });
        incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
        incoming.on('error', () => undefined);
        const { statusCode: status = 0 } = incoming;
        const received = () => Buffer.concat(chunks);
        const leave = () => void outgoing.destroy();
        resolve({ status, headers: incoming.headers, received, whole, leave });
      });
      outgoing.on('error', () => resolve(BROKEN));
      outgoing.end();
    });
  }

  /** A whole transfer: what came, and whether it ended in good order. */
  async pull(path: string, asking: Asking = {}) {
    const transfer = await this.begin(path, asking);
    const whole = await transfer.whole;
    return { status: transfer.status, headers: transfer.headers, whole, body: transfer.received() };
  }

  async account(access: readonly Rule[]): Promise<Account> {
    const account = { username: unique('user-'), password: unique('pass-') };
    keepSecret('password of an account', account.password);
    const body = JSON.stringify({ ...account, access });
    const headers = { 'content-type': 'application/json' };
    const made = await this.ask('/admin/users', { method: 'POST', headers, body });
    if (made.status !== 201) throw new Error(`no account: ${made.status} ${made.text}`);
    return account;
  }

  /** `GET /admin/cache`. */
  async overview(): Promise<{ contents: number; bytes: number; mismatches: number }> {
    return (await this.ask('/admin/cache')).json();
  }

  fileOf(digest: string): string {
    const [algorithm = '', hex = ''] = digest.split(':');
    return join(this.dataDir, 'cache/blobs', algorithm, hex.slice(0, 2), hex);
  }

  holds(digest: string): boolean {
    return existsSync(this.fileOf(digest));
  }

  /** All files of the store, and of what is on its way in; or of one of the two. */
  files(...folders: ('blobs' | 'spool')[]): string[] {
    return (folders.length > 0 ? folders : ['blobs', 'spool']).flatMap((folder) =>
      readdirSync(join(this.dataDir, 'cache', folder), { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => join(folder, entry.name)),
    );
  }

  untilHeld(...digests: string[]): Promise<true> {
    return eventually('it is held', () => digests.every((digest) => this.holds(digest)));
  }

  untilEmpty(): Promise<true> {
    return eventually('the store is empty', () => this.files().length === 0);
  }

  /** The answer, once it comes from what is held. */
  untilHit(path: string, asking: Asking = {}): Promise<Answer> {
    return eventually(`${path} is held`, async () => {
      const got = await this.ask(path, asking);
      return got.headers['cache-status'] === 'tidegate; hit' && got;
    });
  }

  /** Takes away what is known of the cache; the gate must be stopped. */
  loseIndex(): void {
    for (const name of readdirSync(this.dataDir))
      if (name.startsWith('index.sqlite')) rmSync(join(this.dataDir, name));
  }

  /** The log's lines of requests of that noun. */
  requests(noun: string): Line[] {
    return this.lines.filter((line) => line.msg === 'request' && line.noun === noun);
  }
}
