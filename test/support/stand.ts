/** A gate before a real registry, and what a test needs to push through both. */
import { startGate, type Gate } from './gate';
import { askToken, bearer, send, tokenFor, type Account, type Answer } from './http';
import type { Image } from './images';
import { startRegistry, type Registry, type UpstreamAuth } from './registry';
import { keepSecret } from './secrets';

export interface Stand {
  readonly registry: Registry;
  readonly gate: Gate;
}

/** Starts a registry that asks for this kind of login, and a gate that knows it. */
export async function startStand(
  auth: UpstreamAuth = 'none',
  env: Record<string, string> = {},
): Promise<Stand> {
  const registry = await startRegistry({ auth });
  const gate = await startGate({ ...registry.settings, ...env });
  return { registry, gate };
}

/** Puts an image into the registry, past the gate. */
export async function seed(registry: Registry, repository: string, tag: string, image: Image) {
  for (const [digest, body] of image.blobs) {
    const start = await registry.ask(`/v2/${repository}/blobs/uploads/`, { method: 'POST' });
    const location = start.headers.location ?? '';
    const path = location.replace(registry.url, '');
    const put = `${path}${path.includes('?') ? '&' : '?'}digest=${digest}`;
    await expectStatus(201, registry.ask(put, { method: 'PUT', body }));
  }
  const put = { method: 'PUT', headers: { 'content-type': image.mediaType }, body: image.manifest };
  await expectStatus(201, registry.ask(`/v2/${repository}/manifests/${tag}`, put));
}

async function expectStatus(status: number, answer: Promise<Answer>): Promise<void> {
  const got = await answer;
  if (got.status !== status) throw new Error(`${got.status} instead of ${status}: ${got.text}`);
}

/** A client of /v2 with a token for one repository. */
export interface Visitor {
  readonly token: string;
  ask(path: string, sending?: Parameters<typeof send>[1]): Promise<Answer>;
}

/** Logs in for these actions on one repository, as a client does before its first request. */
export async function visit(gate: Gate, account: Account, repository: string, actions: string) {
  const { token } = await tokenFor(gate.url, account, `repository:${repository}:${actions}`);
  return visitor(gate, token);
}

export function visitor(gate: Gate, token: string): Visitor {
  const ask: Visitor['ask'] = (path, sending = {}) => {
    const headers = { ...bearer(token), ...sending.headers };
    const url = path.startsWith('http') ? path : `${gate.url}${path}`;
    return send(url, { ...sending, headers });
  };
  return { token, ask };
}

/** Opens an upload, and gives its address. */
export async function openUpload(who: Visitor, repository: string): Promise<string> {
  const answer = await who.ask(`/v2/${repository}/blobs/uploads/`, { method: 'POST' });
  if (answer.status !== 202) throw new Error(`no upload: ${answer.status} ${answer.text}`);
  const { location = '' } = answer.headers;
  keepSecret('address of an upload', /_state=([\w-]+)/.exec(location)?.[1]);
  return location;
}

/** Appends a parameter to an address that may have a query already, and must not be rewritten. */
export function withQuery(address: string, parameter: string): string {
  return `${address}${address.includes('?') ? '&' : '?'}${parameter}`;
}

/** True when this account may log in now. */
export async function logsIn(gate: Gate, account: Account): Promise<boolean> {
  return (await askToken(gate.url, account)).status === 200;
}
