/** The REST interface of a running gate, as the command line uses it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { request } from 'undici';
import { z } from 'zod';
import type { Settings } from '../config/settings';
import { printable } from './printable';

const counted = z.object({ done: z.number(), total: z.number() });

const job = z.object({
  id: z.string(),
  state: z.enum(['waiting', 'running', 'done', 'failed', 'cancelled']),
  image: z.string().optional(),
  layers: counted,
  bytes: counted.extend({ held: z.number() }),
  rate: z.number(),
  secondsLeft: z.number().optional(),
  error: z.string().optional(),
  faults: z.array(z.object({ what: z.string(), message: z.string() })),
  notes: z.array(z.string()),
});

/** A prefetch as the gate tells of it. */
export type PrefetchJob = z.output<typeof job>;

const refusal = z.object({ errors: z.array(z.object({ message: z.string() })).min(1) });

export interface Login {
  readonly username: string;
  readonly password: string;
}

/** The gate could not be reached, or broke off: what was asked may have been done. */
export class Unreachable extends Error {}

/** How long an answer may take, in milliseconds: the gate itself is near, and starts jobs without waiting for upstreams. */
const PATIENCE = 30_000;

/** What Node says of a certificate that it does not take. */
const UNTRUSTED = /CERT|SIGNATURE|ALTNAME/;

export class GateClient {
  readonly #authorization: string;

  /** @param origin of the gate: scheme, host and port. */
  constructor(
    private readonly origin: string,
    private readonly login: Login,
  ) {
    const basic = Buffer.from(`${login.username}:${login.password}`).toString('base64');
    this.#authorization = `Basic ${basic}`;
  }

  /** @throws Error with the gate's own words, or with what keeps it from being asked. */
  async prefetch(image: string, platforms: readonly string[]): Promise<PrefetchJob> {
    const body = JSON.stringify({ image, ...(platforms.length > 0 ? { platforms } : {}) });
    return jobIn(await this.#ask('POST', '/prefetch', body));
  }

  async show(id: string): Promise<PrefetchJob> {
    return jobIn(await this.#ask('GET', `/jobs/${encodeURIComponent(id)}`));
  }

  async cancel(id: string): Promise<void> {
    await this.#ask('DELETE', `/jobs/${encodeURIComponent(id)}`);
  }

  async #ask(method: 'GET' | 'POST' | 'DELETE', path: string, body?: string): Promise<unknown> {
    const url = `${this.origin}/admin/cache${path}`;
    const headers = { Authorization: this.#authorization, 'Content-Type': 'application/json' };
    const signal = AbortSignal.timeout(PATIENCE);
    let status: number;
    let text: string;
    try {
      // Redirects are not followed: they would take the login elsewhere, or lose it.
      const response = await request(url, { method, headers, body, signal });
      status = response.statusCode;
      text = await response.body.text();
    } catch (error) {
      throw this.#unreachable(error);
    }
    if (status === 204) return undefined;
    const document = parsed(text);
    if (status >= 200 && status < 300) return document;
    throw this.#refused(status, document);
  }

  #unreachable(error: unknown): Unreachable {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code !== undefined && UNTRUSTED.test(code))
      return new Unreachable(
        `the certificate of ${this.origin} is not trusted here (${code}); name the file of its authority in NODE_EXTRA_CA_CERTS`,
      );
    return new Unreachable(
      `no gate answers at ${this.origin} (${code ?? message}); start it, or say with --url where it is`,
    );
  }

  #refused(status: number, document: unknown): Error {
    const { data } = refusal.safeParse(document);
    const message = data && printable(data.errors[0]?.message ?? '');
    if (status === 401)
      return new Error(
        `the gate refuses the login of ${this.login.username}; give an admin with --username, and the password with --password-stdin`,
      );
    if (message === undefined)
      return new Error(
        `what answers at ${this.origin} with ${status} is no gate; say with --url where it is`,
      );
    if (status === 403)
      return new Error(`${message}; ${this.login.username} has to be an admin: see --username`);
    return new Error(message);
  }
}

/** Where the gate of these settings listens. */
export function originOf({ publicUrl, host, port, tls }: Settings): string {
  if (publicUrl !== undefined) return publicUrl;
  const near = ['0.0.0.0', '::'].includes(host) ? 'localhost' : host;
  return `${tls ? 'https' : 'http'}://${near.includes(':') ? `[${near}]` : near}:${port}`;
}

/** The password that the gate made for its first admin, while it lies there. */
export function initialPassword({ dataDir }: Settings): string | undefined {
  try {
    return readFileSync(join(dataDir, 'initial-admin-password'), 'utf8').trimEnd() || undefined;
  } catch {
    return undefined;
  }
}

function jobIn(document: unknown): PrefetchJob {
  const { data } = job.safeParse(document);
  if (data) return data;
  throw new Error(
    'the gate answers in a way that is not understood; use the command of its version',
  );
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
