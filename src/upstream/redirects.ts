/** Redirects of content to where it lies. Distribution-spec 1.1 § Pulling blobs; RFC 9110 § 15.4. */
import { Inject, Injectable } from '@nestjs/common';
import type { Registry } from '../config/registry-table';
import { Log } from '../journal/log';
import { OciError } from '../oci/oci-error';
import { EgressPolicy } from './egress-policy';
import { type Exchange, Transport } from './transport';
import { discard, type UpstreamResponse } from './upstream-response';

const REDIRECTS = new Set([301, 302, 303, 307, 308]);
const MAX_HOPS = 5;

/** What another host needs to know. Everything else, the credentials first of all, stays with the registry. */
const CARRIED = ['accept', 'range', 'if-range', 'user-agent'];

/** What another host may answer in the registry's name: content, its absence, and a range that is not there. */
const PASSED = new Set([200, 206, 304, 404, 416]);

@Injectable()
export class Redirects {
  constructor(
    private readonly transport: Transport,
    private readonly policy: EgressPolicy,
    @Inject(Log) private readonly log: Log,
  ) {}

  /**
   * The answer at the end of the redirects that the response begins; the response itself when it is none.
   * Another origin's 404 is passed on: the content is not where the registry keeps it, as any client that followed by
   * itself would see. Its other refusals, 401 above all, are not the registry's word and never reach a client.
   * @param exchange the request that was answered.
   * @param redirects with `pass`, the first redirect that leads away from the registry is itself the answer, with an absolute
   *   Location; one that the gate might not follow is refused all the same.
   * @throws OciError BAD_UPSTREAM for a redirect that may not be followed, a loop, more than 5, or one that answers a
   *   request with a body.
   */
  async follow(
    registry: Registry,
    exchange: Exchange,
    response: UpstreamResponse,
    redirects: 'follow' | 'pass' = 'follow',
  ): Promise<UpstreamResponse> {
    const seen = new Set<string>();
    let at = exchange;
    let answer = response;
    for (let hop = 1; REDIRECTS.has(answer.status); hop += 1) {
      const from = new URL(`${at.origin.origin}${at.path}`);
      seen.add(from.href);
      const to = await this.#targetOf(answer, registry, from, at);
      if (redirects === 'pass' && to.origin !== registry.url.origin)
        return { ...answer, headers: { ...answer.headers, location: to.href } };
      await discard(answer);
      // Counted, too: an empty query is another spelling, and two of them are a loop that no set of addresses ends.
      if (seen.has(to.href) || hop > MAX_HOPS)
        throw this.#refused(registry, to, 'redirects without end');
      at = this.#next(registry, at, to);
      answer = await this.transport.send(at);
    }
    if (at.origin.origin === registry.url.origin || PASSED.has(answer.status)) return answer;
    await discard(answer);
    throw this.#refused(
      registry,
      at.origin,
      `sent the gate to a host that answered ${answer.status}`,
    );
  }

  /** Where the redirect leads. One that may not be followed is given up. */
  async #targetOf(
    answer: UpstreamResponse,
    registry: Registry,
    from: URL,
    at: Exchange,
  ): Promise<URL> {
    try {
      return this.#target(registry, from, at, answer.headers['location']);
    } catch (error) {
      await discard(answer);
      throw error;
    }
  }

  #target(registry: Registry, from: URL, { method }: Exchange, location: string | undefined): URL {
    if (method !== 'GET' && method !== 'HEAD')
      throw this.#refused(registry, undefined, `answered a ${method} with a redirect`);
    const to =
      location !== undefined && URL.canParse(location, from.href)
        ? new URL(location, from)
        : undefined;
    if (!to) throw this.#refused(registry, undefined, 'redirects to nowhere');
    to.hash = '';
    if (!this.policy.allowsRedirect(registry, from, to))
      throw this.#refused(registry, to, 'redirects to where it may not send the gate');
    return to;
  }

  #next(registry: Registry, at: Exchange, to: URL): Exchange {
    // Each hop has at most what the one before it had: once away, credentials are not picked up again.
    const home = to.origin === registry.url.origin;
    const carried = Object.entries(at.headers).filter(([name]) => home || CARRIED.includes(name));
    return {
      ...at,
      peer: home ? 'registry' : 'content',
      origin: new URL(to.origin),
      path: `${to.pathname}${to.search}`,
      trust: this.policy.trustOf(registry, to, registry.redirectHosts),
      headers: Object.fromEntries(carried),
      hidden: true,
    };
  }

  #refused(registry: Registry, to: URL | undefined, what: string): OciError {
    this.log.warn({ upstream: registry.name, host: to?.host }, `${registry.name} ${what}`);
    return new OciError('BAD_UPSTREAM', { message: `${registry.name} ${what}` });
  }
}
