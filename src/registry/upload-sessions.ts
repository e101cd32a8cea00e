import { Injectable } from '@nestjs/common';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { NamedRepository } from '../edge/names';
import type { Identity } from '../edge/request-context';
import type { Access } from '../oci/access';
import type { Digest } from '../oci/digest';
import { OciError } from '../oci/oci-error';
import { EgressPolicy } from '../upstream/egress-policy';
import { discard, UpstreamClient, type UpstreamResponse } from '../upstream/upstream.client';
import { refusalOf } from '../upstream/upstream-refusal';
import { UpstreamTokens } from '../upstream/upstream-tokens';
import { BodyRelay, type BodyTarget } from './body-relay';
import type { Admitted } from './exchange';
import { onceMore } from './once-more';

const PUSH = ['pull', 'push'];
/** What registries answer to a mount that they cannot or will not do; the specification has them answer 202. */
const NOT_MOUNTED: ReadonlySet<number> = new Set([400, 403, 404, 405]);

/** A body must not begin with an upstream token that ends on the way. Seconds. */
const TOKEN_LIFE = 60;

/** What came of a request to begin an upload: an upload, or, by a mount, the blob itself. */
export type Begun =
  | { readonly uploaded: true; readonly digest: Digest }
  | { readonly uploaded: false; readonly url: URL; readonly uuid: string | undefined };

/** A blob that another repository of the same registry holds. */
interface Mount {
  readonly digest: Digest;
  readonly from: NamedRepository;
}

/** The upstream's side of an upload. */
@Injectable()
export class UploadSessions {
  constructor(
    private readonly upstream: UpstreamClient,
    private readonly tokens: UpstreamTokens,
    private readonly egress: EgressPolicy,
    private readonly relay: BodyRelay,
  ) {}

  /** Begins an upload, or mounts the blob where the upstream can, and lets the gate. */
  async begin(name: NamedRepository, identity: Identity, mount?: Mount): Promise<Begun> {
    try {
      return await this.#begin(name, identity, mount);
    } catch (error) {
      const refused = error instanceof OciError && NOT_MOUNTED.has(error.status);
      if (mount && refused) return this.#begin(name, identity, undefined);
      throw error;
    }
  }

  async #begin(
    name: NamedRepository,
    identity: Identity,
    mount: Mount | undefined,
  ): Promise<Begun> {
    const query = mount ? `?mount=${mount.digest}&from=${mount.from.repository}` : '';
    const path = `/v2/${name.repository}/blobs/uploads/`;
    const from: Access[] = mount
      ? [{ type: 'repository', name: mount.from.repository, actions: ['pull'] }]
      : [];
    const to = this.#to(name, identity);
    const answer = await onceMore(() =>
      this.upstream.request({
        ...to,
        access: [...to.access, ...from],
        method: 'POST',
        path: `${path}${query}`,
        body: Buffer.alloc(0),
      }),
    );
    if (answer.status === 201 && mount) {
      await discard(answer);
      return { uploaded: true, digest: mount.digest };
    }
    if (answer.status !== 202) throw await refusalOf(answer, 'NAME_UNKNOWN');
    await discard(answer);
    return {
      uploaded: false,
      url: this.#locationOf(answer, name, new URL(path, name.registry.url)),
      uuid: answer.headers['docker-upload-uuid'],
    };
  }

  /**
   * Streams the request's body to the upload. A refusal of the gate's own credentials half-way is answered 503: to a 401
   * clients end the push, after a 503 they send the layer again.
   */
  async send(
    { asked: { name }, identity }: Admitted<'uploads'> | Admitted<'upload'>,
    request: IncomingMessage,
    response: ServerResponse,
    target: Pick<BodyTarget, 'method' | 'to'>,
  ): Promise<UpstreamResponse> {
    const { registry, as, access } = this.#to(name, identity);
    const authorization = await this.tokens
      .authorizationFor(registry, as, access, { minimumLife: TOKEN_LIFE })
      .catch(laterIfBusy);
    const answer = await this.relay.send(request, response, {
      ...target,
      registry,
      authorization,
    });
    if (answer.status === 401) this.tokens.renounce(registry, as, access, authorization);
    if (answer.status === 401 || answer.status === 429 || answer.status === 503) {
      await discard(answer);
      throw sendAgain();
    }
    if (answer.status === 403) {
      await discard(answer);
      throw new OciError('DENIED', {
        message: `the registry ${registry.name} refuses pushes to ${name.repository} with the gate's credentials`,
      });
    }
    return answer;
  }

  /** A bodyless request to an upload: its state, or its end. */
  async ask(
    method: 'GET' | 'DELETE',
    name: NamedRepository,
    identity: Identity,
    at: URL,
  ): Promise<UpstreamResponse> {
    // Whoever may push may give up a push; distribution asks for the right to delete there.
    const actions = method === 'DELETE' ? [...PUSH, 'delete'] : PUSH;
    return this.upstream.request({
      ...this.#to(name, identity, actions),
      method,
      path: `${at.pathname}${at.search}`,
    });
  }

  /** Where the upload goes on; where the upstream says nothing, where it was. */
  next(answer: UpstreamResponse, name: NamedRepository, at: URL): URL {
    return answer.headers.location === undefined ? at : this.#locationOf(answer, name, at);
  }

  #locationOf(answer: UpstreamResponse, { registry }: NamedRepository, base: URL): URL {
    const { location } = answer.headers;
    if (location === undefined)
      throw new OciError('BAD_UPSTREAM', {
        message: 'the upstream registry gave no upload address',
      });
    return this.egress.ownAddress(registry, base, location);
  }

  #to({ registry, repository, canonical }: NamedRepository, identity: Identity, actions = PUSH) {
    const access: Access[] = [{ type: 'repository', name: repository, actions }];
    return { registry, as: identity.upstreamAs(canonical), access };
  }
}

/** docker ends a push on 429, and sends the layer again on 503. */
function laterIfBusy(error: unknown): never {
  throw error instanceof OciError && error.code === 'TOOMANYREQUESTS' ? sendAgain() : error;
}

function sendAgain(): OciError {
  return new OciError('UNAVAILABLE', {
    message: 'the upstream registry cannot take the upload now; send it again',
    headers: { 'Retry-After': '5' },
  });
}
