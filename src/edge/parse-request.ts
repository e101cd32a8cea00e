/**
 * What is asked? One reading of each request, from the raw bytes of its target, before anything else sees it. The guard
 * and the router both work from the result, so that no spelling of a path can mean one thing to one and another to the
 * other (CVE-2025-69211, CVE-2026-33011).
 */
import type { IncomingMessage } from 'node:http';
import type { RegistryTable } from '../config/registry-table';
import type { Settings } from '../config/settings';
import { OciError } from '../oci/oci-error';
import { readAdminPath } from './admin-path';
import { partRegistry, type Naming } from './names';
import { originOf, type TrustedProxy } from './origin';
import { searchQueryOf, single } from './query';
import type { Asked, Need, RequestContext } from './request-context';
import { readTokenQuery } from './read-token-request';
import { readV2Path } from './v2-path';

/** The parts of a context that the raw request decides, and the router's own name for what is asked. */
export type ParsedRequest = Pick<
  RequestContext,
  | 'method'
  | 'address'
  | 'addressCounts'
  | 'client'
  | 'base'
  | 'home'
  | 'registry'
  | 'byHost'
  | 'namespace'
  | 'realm'
  | 'asked'
  | 'need'
> & {
  readonly route: string;
  readonly naming: Naming;
};

/** Longer targets are no repository's: 255 of a name, 135 of a digest, 4 KiB of a sealed upload address. */
const MAX_PATH = 1024;
const MAX_QUERY = 12 * 1024;

const METHODS: Readonly<Record<Asked['noun'], readonly string[] | undefined>> = {
  base: ['GET', 'HEAD'],
  manifest: ['GET', 'HEAD', 'PUT', 'DELETE'],
  blob: ['GET', 'HEAD', 'DELETE'],
  uploads: ['POST'],
  upload: ['GET', 'PATCH', 'PUT', 'DELETE'],
  tags: ['GET', 'HEAD'],
  referrers: ['GET', 'HEAD'],
  catalog: ['GET', 'HEAD'],
  token: ['GET', 'POST'],
  health: ['GET', 'HEAD'],
  status: ['GET', 'HEAD'],
  ping: ['GET', 'HEAD'],
  search: ['GET', 'HEAD'],
  help: ['GET', 'HEAD'],
  // Whatever is asked there is asked of an admin first; the router then knows which methods there are.
  admin: undefined,
};

/**
 * @param noteNamespace is told the registry of `?ns=` as soon as it is known: what is refused after that says it, too.
 * @throws OciError for what is malformed (400), nowhere (404), or asked by a method that it does not know (405).
 */
export function parseRequest(
  request: IncomingMessage,
  settings: Settings,
  table: RegistryTable,
  trusts: TrustedProxy,
  noteNamespace: (name: string) => void = () => undefined,
): ParsedRequest {
  const method = request.method ?? '';
  const { path, query } = targetOf(request.url ?? '');
  const health = HEALTH_PATHS.has(path);
  const namespace = namespaceOf(query, table);
  if (namespace) noteNamespace(namespace.name);
  const { registry: host, ...origin } = originOf(request, settings, table, trusts, {
    anyHost: health,
  });
  const naming = { table, chosen: namespace ?? host, byNamespace: namespace !== undefined };
  const found = health
    ? { asked: { noun: 'health' } as const, route: path }
    : askedAt(path, method, query, naming);
  if (!found) throw new OciError('NOT_FOUND');
  const methods = METHODS[found.asked.noun];
  if (methods && !methods.includes(method))
    throw new OciError('UNSUPPORTED', { headers: { Allow: methods.join(', ') } });
  // containerd repeats the realm's query, so that the names in its scopes are read as those on its paths.
  const realm = `${origin.base}/v2/auth${namespace ? `?ns=${encodeURIComponent(namespace.name)}` : ''}`;
  return {
    ...origin,
    method,
    home: host ?? table.default,
    registry: naming.chosen ?? table.default,
    byHost: host !== undefined,
    namespace: namespace?.name,
    realm,
    naming,
    ...found,
    need: needOf(found.asked, method),
  };
}

const HEALTH_PATHS = new Set(['/health', '/health/live', '/health/ready']);

/** Parts path and query, and refuses every second spelling: escapes, dot segments, doubled slashes, absolute URLs. */
function targetOf(target: string): { path: string; query: URLSearchParams } {
  const mark = target.indexOf('?');
  const path = mark < 0 ? target : target.slice(0, mark);
  const query = mark < 0 ? '' : target.slice(mark + 1);
  if (path.length > MAX_PATH || query.length > MAX_QUERY) {
    throw new OciError('REQUEST_INVALID', { message: 'the address is too long' });
  }
  if (!path.startsWith('/'))
    throw new OciError('REQUEST_INVALID', { message: 'the address must be a path' });
  if (/[^\x21-\x7e]|\\|\/\/|\/\.{1,2}(?:\/|$)/.test(path)) throw misspelt(path);
  return { path, query: new URLSearchParams(query) };
}

/** Below `/v2/` a client is told of its mistake; anywhere else a second spelling of an address is no address. */
function misspelt(path: string): OciError {
  if (!path.startsWith('/v2/')) return new OciError('NOT_FOUND');
  return new OciError('REQUEST_INVALID', {
    message: 'the path may not hold escapes, dot segments or doubled slashes',
  });
}

/** containerd's `?ns=`: a key into the table of registries, never an address to connect to. */
function namespaceOf(query: URLSearchParams, table: RegistryTable) {
  const ns = single(query, 'ns');
  if (ns === undefined) return undefined;
  const registry = table.byName(ns);
  if (!registry)
    throw new OciError('NAME_UNKNOWN', { message: 'this gate has no registry of that name' });
  return registry;
}

function askedAt(
  path: string,
  method: string,
  query: URLSearchParams,
  naming: Naming,
): { asked: Asked; route: string } | undefined {
  if (path === '/') return { asked: { noun: 'status' }, route: '/' };
  if (path.startsWith('/admin/')) {
    const route = readAdminPath(path, query);
    return route ? { asked: { noun: 'admin' }, route } : undefined;
  }
  if (path.includes('%')) throw misspelt(path);
  if (path === '/help/clients') return { asked: { noun: 'help' }, route: path };
  if (path === '/v1/_ping') return { asked: { noun: 'ping' }, route: '/internal/ping' };
  if (path === '/v1/search') return { asked: searchOf(query, naming), route: '/internal/search' };
  if (path === '/v2/auth' || path === '/token') {
    const request = readTokenQuery(method === 'POST' ? 'POST' : 'GET', query, naming);
    return { asked: { noun: 'token', request }, route: '/internal/token' };
  }
  const rest =
    path === '/v2' ? '' : path.startsWith('/v2/') ? path.slice('/v2/'.length) : undefined;
  const asked = rest === undefined ? undefined : readV2Path(rest, query, naming);
  return asked && { asked, route: `/internal/${asked.noun}` };
}

/** As in names, a registry's name and a slash in front mean that registry: `docker search gate/ghcr.io/org/app`. */
function searchOf(query: URLSearchParams, naming: Naming): Asked {
  const asked = searchQueryOf(query);
  const parted = partRegistry(asked.q, naming);
  if (parted.rest === '')
    throw new OciError('REQUEST_INVALID', { message: `what is searched for at ${parted.prefix}?` });
  return { noun: 'search', query: asked, parted, naming };
}

/** The access that each noun and method asks for. CNCF distribution, registry/handlers/app.go. */
function needOf(asked: Asked, method: string): Need {
  switch (asked.noun) {
    case 'health':
    case 'status':
    case 'token':
    case 'ping':
    case 'help':
      return { kind: 'nothing' };
    case 'admin':
      return { kind: 'admin' };
    case 'base':
      return { kind: 'login' };
    case 'catalog':
      return { kind: 'catalog' };
    case 'search':
      return { kind: 'search' };
    case 'uploads':
    case 'upload':
      return { kind: 'repository', name: asked.name, actions: ['pull', 'push'] };
    case 'manifest':
    case 'blob':
    case 'tags':
    case 'referrers':
      if (method === 'DELETE') return { kind: 'repository', name: asked.name, actions: ['delete'] };
      if (method === 'PUT')
        return { kind: 'repository', name: asked.name, actions: ['pull', 'push'] };
      return { kind: 'repository', name: asked.name, actions: ['pull'] };
    default:
      return asked satisfies never;
  }
}
