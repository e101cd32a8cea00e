/** HTTP as a client that decides everything by itself: any header, any path, no redirects followed. */
import { createHash, randomBytes } from 'node:crypto';
import { request, type IncomingHttpHeaders } from 'node:http';
import { connect } from 'node:net';
import { keepSecret } from './secrets';

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  readonly text: string;
  /** The body as JSON; `any`-free callers name the shape they expect. */
  json<T = Record<string, unknown>>(): T;
}

export interface Sending {
  readonly method?: string;
  readonly headers?: Record<string, string | string[]>;
  readonly body?: string | Buffer;
  /** The client's own address: all of 127.0.0.0/8 is this machine's. */
  readonly from?: string;
}

/** One request on a connection of its own. */
export function send(url: string, { method = 'GET', headers = {}, body, from }: Sending = {}) {
  return new Promise<Answer>((resolve, reject) => {
    const { hostname, port, origin } = new URL(url);
    // The raw path: URL would tidy up `..` and `%2e` before they reach the gate.
    const path = url.slice(origin.length) || '/';
    const length = body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) };
    const outgoing = request(
      {
        hostname,
        port,
        path,
        method,
        agent: false,
        localAddress: from,
        headers: { ...length, ...headers },
      },
      (incoming) => {
        const chunks: Buffer[] = [];
        incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
        incoming.on('error', reject);
        incoming.on('end', () => {
          const whole = Buffer.concat(chunks);
          const text = whole.toString('utf8');
          resolve({
            status: incoming.statusCode ?? 0,
            headers: incoming.headers,
            body: whole,
            text,
            json: <T>() => JSON.parse(text) as T,
          });
        });
      },
    );
    outgoing.setTimeout(30_000, () => outgoing.destroy(new Error(`no answer from ${url}`)));
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

export interface Account {
  readonly username: string;
  readonly password: string;
}

export function basic({ username, password }: Account): { authorization: string } {
  const text = Buffer.from(`${username}:${password}`).toString('base64');
  return { authorization: `Basic ${text}` };
}

export function bearer(token: string): { authorization: string } {
  return { authorization: `Bearer ${token}` };
}

/** What the token endpoint answers to a GET. */
export interface TokenAnswer {
  token: string;
  access_token: string;
  refresh_token?: string;
  expires_in: number;
  issued_at: string;
}

/** Asks the token endpoint by GET, as docker does. */
export function askToken(base: string, account: Account | undefined, ...scopes: string[]) {
  const query = new URLSearchParams({ service: 'tidegate', offline_token: 'true' });
  for (const scope of scopes) query.append('scope', scope);
  return send(`${base}/v2/auth?${query}`, { headers: account ? basic(account) : {} });
}

/** A token that has to be granted. */
export async function tokenFor(base: string, account: Account, ...scopes: string[]) {
  const answer = await askToken(base, account, ...scopes);
  if (answer.status !== 200) throw new Error(`no token: ${answer.status} ${answer.text}`);
  const given = answer.json<TokenAnswer>();
  keepSecret('token', given.token);
  keepSecret('refresh token', given.refresh_token);
  return given;
}

/** Asks the token endpoint by POST, as docker does when it has logged in. */
export function redeem(base: string, refresh_token: string): Promise<Answer> {
  const service = 'tidegate';
  const form = { grant_type: 'refresh_token', service, client_id: 'test', refresh_token };
  const headers = { 'content-type': 'application/x-www-form-urlencoded' };
  const body = new URLSearchParams(form).toString();
  return send(`${base}/v2/auth`, { method: 'POST', headers, body });
}

/** The claims of a token, unverified. */
export function claimsOf(token: string) {
  const part = token.split('.')[1] ?? '';
  return JSON.parse(Buffer.from(part, 'base64url').toString('utf8')) as Record<string, unknown> & {
    access: { type: string; name: string; actions: string[] }[];
  };
}

/** The code of the first error of an answer in the registries' shape. */
export function errorCode(answer: Answer): string | undefined {
  return answer.json<{ errors?: { code: string }[] }>().errors?.[0]?.code;
}

/**
 * Writes bytes to a socket and reads until the other side closes, or until nothing came for `quiet` ms.
 * The text is latin1, one character a byte; `closed` tells which of the two it was.
 */
export function raw(port: number, bytes: string | Buffer, quiet = 1_000) {
  return new Promise<{ text: string; closed: boolean }>((resolve) => {
    const socket = connect(port, '127.0.0.1');
    let text = '';
    const finish = (closed: boolean) => {
      socket.destroy();
      resolve({ text, closed });
    };
    socket.setEncoding('latin1').setTimeout(quiet);
    socket.on('data', (chunk: string) => (text += chunk));
    socket.on('timeout', () => finish(false));
    socket.on('error', () => finish(true));
    socket.on('close', () => finish(true));
    socket.write(bytes);
  });
}

export function sha256(bytes: string | Buffer): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

/** A name or a password that nothing else has. */
export function unique(prefix: string): string {
  return `${prefix}${randomBytes(6).toString('hex')}`;
}
