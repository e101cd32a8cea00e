/** An image behind a gate, who may see it, and all that may happen to either; and what must not be answered any more. */
import { eventually } from './lifecycle';
import { answer } from './fault-server';
import { bearer, send, tokenFor, type Answer } from './http';
import type { InnerGate } from './inner-gate';
import { IMAGE, manifestOf, type HeldManifest, type ScriptedRegistry } from './scripted-registry';
import { keepSecret } from './secrets';

const TAG = '1';
/** Longer than a tag is believed; five of them are longer than a token's life. */
const A_WHILE = 61_000;
const LIFE = 300_000;

type Who = 'owner' | 'ann';

export interface Look {
  readonly status: number;
  readonly digest: string | undefined;
  readonly told: string;
  readonly atOnce: boolean;
  /** All of it, but for the date and the request's own number. */
  readonly whole: unknown;
}

interface Given {
  readonly gate: InnerGate;
  readonly longPort: number;
  readonly registry: ScriptedRegistry;
  /** How often an answer was given at once. */
  readonly answersAtOnce: () => number;
  /** Lets time pass. */
  readonly later: (milliseconds: number) => void;
}

export class AtOnceWorld {
  readonly tokens: Record<Who, { token: string; since: number }> = {
    owner: { token: '', since: 0 },
    ann: { token: '', since: 0 },
  };
  readonly #versions: HeldManifest[] = [];
  /** Where the tag leads at the registry; undefined where there is none. */
  #tagged: HeldManifest | undefined;
  /** Where it may still be believed to lead. */
  #believed: string | undefined;
  /** What the registry's own yes was heard for, and was not taken back. */
  readonly #yeses = new Set<string>();
  #refusing = false;
  readonly #deleted = new Set<string>();
  #ann = { void: false, narrowed: false, disabled: false, password: 'ann-secret' };
  static #asked = 0;

  constructor(
    private readonly given: Given,
    readonly name: string,
  ) {
    given.registry.close(name);
    given.registry.fault = ({ method, url }) =>
      this.#refusing && method !== 'PUT' && url.includes(`/${name}/`) ? answer(403) : undefined;
  }

  async begin(): Promise<void> {
    this.#move();
    await this.#changeAnn({ disabled: false, access: null, password: this.#ann.password });
    for (const who of ['owner', 'ann'] as const) await this.#login(who);
  }

  /** Everything that can happen. */
  readonly happenings = {
    'ann is disabled': async () => {
      await this.#changeAnn({ disabled: true });
      Object.assign(this.#ann, { disabled: true, void: true });
    },
    'ann is enabled': async () => {
      await this.#changeAnn({ disabled: false });
      this.#ann.disabled = false;
    },
    'ann may see other things alone': async () => {
      await this.#changeAnn({ access: [{ repository: 'other/**', actions: ['pull'] }] });
      this.#ann.narrowed = true;
    },
    'ann may see all': async () => {
      await this.#changeAnn({ access: null });
      this.#ann.narrowed = false;
    },
    'the sessions of ann end': async () => {
      await this.#rest('DELETE', '/users/ann/sessions');
      this.#ann.void = true;
    },
    'ann has a new password': async () => {
      const password = `ann-secret-${(AtOnceWorld.#asked += 1)}`;
      keepSecret('password of an account', password);
      await this.#changeAnn({ password });
      Object.assign(this.#ann, { password, void: true });
    },
    'ann logs in': async () => {
      if (!this.#ann.disabled) await this.#login('ann');
    },
    'the tag is pushed anew': async () => {
      const { gate } = this.given;
      const version = this.#made();
      const pushed = await send(this.#urlOf(gate.port, TAG), {
        method: 'PUT',
        headers: { authorization: gate.admin, 'content-type': IMAGE },
        body: version.bytes,
      });
      if (pushed.status !== 201) throw new Error(`not pushed: ${pushed.status} ${pushed.text}`);
      this.#tagged = version;
      this.#believed = undefined;
    },
    'the tag moves at the registry': async () => this.#move(),
    'a while passes': async () => {
      this.given.later(A_WHILE);
      this.#believed = undefined;
      if (Date.now() - this.tokens.owner.since > LIFE / 2) await this.#login('owner');
    },
    'what is tagged is deleted': async () => {
      const { gate } = this.given;
      if (!this.#tagged || this.#refusing) return;
      const { digest } = this.#tagged;
      const headers = { authorization: gate.admin };
      const gone = await send(this.#urlOf(gate.port, digest), { method: 'DELETE', headers });
      if (gone.status !== 202) throw new Error(`not deleted: ${gone.status} ${gone.text}`);
      this.#tagged = undefined;
      this.#yeses.delete(digest);
      this.#deleted.add(digest);
      this.#believed = undefined;
    },
    'the registry refuses the gate': async () => void (this.#refusing = true),
    'the registry refuses nothing': async () => void (this.#refusing = false),
    'the cache is purged': async () => {
      const { host } = this.given.registry.server.url;
      const path = `/cache/repositories/${host}/${this.name}`;
      const isAnyHeld = await this.#rest('DELETE', path);
      this.#yeses.clear();
      if (isAnyHeld) this.#believed = undefined;
    },
  };

  /** After these the very next answer cannot be one that is given at once. */
  static readonly FORGETTING: readonly string[] = ['the tag is pushed anew', 'the cache is purged'];

  /** What may be asked for: the tag, and the digests that there ever were, the latest first. */
  get references(): string[] {
    return [TAG, ...this.#versions.slice(-3).map(({ digest }) => digest)];
  }

  /** Whether the answer is one that must not be given any more. */
  isForbidden(who: Who, reference: string, { status, digest = '' }: Look): boolean {
    const refused = status === 401 || status === 403 || status === 404;
    if (who === 'ann' && this.#isAnnOut) return status !== 401;
    if (refused) return false;
    if (status !== 200) return true;
    if (reference === TAG)
      return digest !== this.#believed || !this.#mayHave(digest)
        ? this.#refusing || digest !== this.#tagged?.digest
        : false;
    return digest !== reference || !this.#mayHave(digest);
  }

  /** Notes what was heard by an answer that was right. */
  heard(who: Who, reference: string, { status, digest, told }: Look): void {
    if (who === 'ann' && this.#isAnnOut) return;
    if (status === 200 && digest) {
      this.#yeses.add(digest);
      if (reference === TAG) this.#believed = digest;
    } else if (this.#refusing && !told.includes('negative')) this.#yeses.clear();
  }

  async look(way: 'short' | 'long', who: Who, reference: string): Promise<Look> {
    const { gate, longPort, answersAtOnce } = this.given;
    const before = answersAtOnce();
    const n = (AtOnceWorld.#asked += 1);
    const from = { 'x-forwarded-for': `10.${n >> 16}.${(n >> 8) & 255}.${n & 255}` };
    const url = this.#urlOf(way === 'short' ? gate.port : longPort, reference);
    const headers = { ...bearer(this.tokens[who].token), accept: IMAGE, ...from };
    const got = await send(url, { headers });
    return {
      status: got.status,
      digest: got.headers['docker-content-digest'] as string | undefined,
      told: String(got.headers['cache-status']),
      atOnce: answersAtOnce() > before,
      whole: wholeOf(got, `:${gate.port}/`, `:${longPort}/`),
    };
  }

  /** What was fetched is stored behind its answer. */
  async settled(): Promise<void> {
    await eventually('what was fetched is held', async () => {
      const { status, told } = await this.look('long', 'owner', TAG);
      return status !== 200 || told === 'tidegate; hit';
    });
  }

  get #isAnnOut(): boolean {
    const { disabled, narrowed, void: ended } = this.#ann;
    return disabled || narrowed || ended || Date.now() - this.tokens.ann.since > LIFE;
  }

  /** A yes was heard, or would be. */
  #mayHave(digest: string): boolean {
    return this.#yeses.has(digest) || (!this.#refusing && !this.#deleted.has(digest));
  }

  #made(): HeldManifest {
    const version = manifestOf([Buffer.from(`${this.name} ${this.#versions.length}`)]);
    this.#versions.push(version);
    return version;
  }

  #move(): void {
    this.#tagged = this.#made();
    this.given.registry.manifest(this.name, TAG, this.#tagged);
  }

  async #login(who: Who): Promise<void> {
    const password = who === 'ann' ? this.#ann.password : 'owner-secret';
    const since = Date.now();
    const scope = `repository:${this.name}:pull`;
    const { token } = await tokenFor(this.given.gate.url, { username: who, password }, scope);
    this.tokens[who] = { token, since };
    // One that was given for nothing stays so.
    if (who === 'ann') this.#ann.void = this.#ann.narrowed;
  }

  async #changeAnn(change: object): Promise<void> {
    await this.#rest('PATCH', '/users/ann', change);
  }

  /** @returns false where there is nothing of what was meant. */
  async #rest(method: string, path: string, body?: object): Promise<boolean> {
    const { gate } = this.given;
    const done = await send(`${gate.url}/admin${path}`, {
      method,
      headers: { authorization: gate.admin },
      body: body && JSON.stringify(body),
    });
    if (done.status === 404) return false;
    if (done.status >= 300) throw new Error(`${method} ${path}: ${done.status} ${done.text}`);
    return true;
  }

  #urlOf(port: number, reference: string): string {
    return `http://127.0.0.1:${port}/v2/${this.name}/manifests/${reference}`;
  }
}

/** The ports differ, and so do the addresses in challenges. */
function wholeOf({ status, headers, text }: Answer, ...ports: string[]): unknown {
  const { date: _, 'x-request-id': id, ...rest } = headers;
  const same = (said: string) =>
    ports.reduce((before, port) => before.replaceAll(port, ':port/'), said);
  return JSON.parse(
    same(JSON.stringify({ status, rest, text: text.replaceAll(String(id), 'ID'), numbered: !!id })),
  ) as unknown;
}
