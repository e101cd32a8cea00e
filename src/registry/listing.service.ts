import { Injectable } from '@nestjs/common';
import type { Registry } from '../config/registry-table';
import type { Access } from '../oci/access';
import { parseBoundedJson } from '../oci/bounded-json';
import { OciError, type OciErrorCode } from '../oci/oci-error';
import { EgressPolicy } from '../upstream/egress-policy';
import { readBody, UpstreamClient, type Principal } from '../upstream/upstream.client';
import { refusalOf } from '../upstream/upstream-refusal';
import type { Hold } from './memory-budget';
import { nextIn } from './next-link';

/** A listing of the upstream's, one page of it. */
export interface Listing {
  readonly document: unknown;
  readonly headers: Readonly<Record<string, string>>;
  /** The query of the next page, if the upstream says that there is one. The gate's own parameter is not among it. */
  readonly next?: URLSearchParams;
}

export interface ListingRequest {
  readonly registry: Registry;
  readonly as: Principal;
  /** Without a query. */
  readonly path: string;
  readonly query: Readonly<Record<string, string>> | URLSearchParams;
  readonly access: readonly Access[];
  readonly notFound: OciErrorCode;
  readonly accept?: string;
  readonly signal: AbortSignal;
  readonly hold: Hold;
}

/** 100,000 tags of 80 characters. */
const MAX_LISTING = 8 * 1024 * 1024;

/** Listings of the upstream: tags, repositories, referrers. Their `Link` is read, checked, and never passed on as it is. */
@Injectable()
export class ListingService {
  constructor(
    private readonly upstream: UpstreamClient,
    private readonly egress: EgressPolicy,
  ) {}

  /** @throws OciError `notFound`, or BAD_UPSTREAM for what is no JSON, is too large, or leads to another host. */
  async page({
    registry,
    as,
    path,
    query,
    access,
    notFound,
    accept,
    signal,
    hold,
  }: ListingRequest): Promise<Listing> {
    const text = new URLSearchParams(query);
    const response = await this.upstream.request({
      registry,
      as,
      method: 'GET',
      path: text.size > 0 ? `${path}?${text.toString()}` : path,
      headers: { Accept: accept ?? 'application/json' },
      access,
      signal,
    });
    if (response.status !== 200) throw await refusalOf(response, notFound);
    const body = await readBody(response, MAX_LISTING, hold);
    const link = nextIn(response.headers.link ?? '');
    const next =
      link === undefined
        ? undefined
        : this.egress.ownAddress(registry, new URL(path, registry.url), link).searchParams;
    // Which registry is meant is the client's to say: a registry's link must not lead it to another one.
    next?.delete('ns');
    return { document: documentIn(body), headers: response.headers, next };
  }
}

/**
 * The texts that a listing has under that name; none where it has null there.
 * @throws OciError BAD_UPSTREAM, at the first that is none: a hostile listing may hold millions.
 */
export function textsIn(document: unknown, name: string): string[] {
  return listIn(document, name, (item) => typeof item === 'string');
}

/** The objects that a listing has under that name. @throws OciError BAD_UPSTREAM. */
export function objectsIn(document: unknown, name: string): object[] {
  return listIn(document, name, (item) => typeof item === 'object' && item !== null);
}

function listIn<T>(document: unknown, name: string, is: (item: unknown) => item is T): T[] {
  if (typeof document !== 'object' || document === null) throw unusable();
  const list = (document as Readonly<Record<string, unknown>>)[name] ?? [];
  if (!Array.isArray(list) || !list.every(is)) throw unusable();
  return list;
}

function documentIn(body: Buffer): unknown {
  const document = parseBoundedJson(body);
  if (document === undefined) throw unusable();
  return document;
}

function unusable(): OciError {
  return new OciError('BAD_UPSTREAM', {
    message: 'the upstream registry sent a listing that cannot be read',
  });
}
