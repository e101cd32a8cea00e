/**
 * Pulls of manifests and blobs go past Nest's router and its pipeline, which cost a small answer more than all that is
 * done for it. Nothing else is different: the same guards are asked in the same order, the same controllers answer, the
 * same filter says no. ADR 27.
 */
import type { INestApplicationContext, Type } from '@nestjs/common';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { ErrorFilter } from './edge/error.filter';
import type { Gatekeeper } from './edge/gatekeeper';
import { contextOf, type Asked, type RequestContext } from './edge/request-context';
import { BlobsController } from './registry/blobs.controller';
import { Forwarded } from './registry/forwarded.interceptor';
import { ManifestsController } from './registry/manifests.controller';

type Answer = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

/**
 * @param guarded the guards that Nest asks, in their order.
 * @param next the way of all other requests.
 */
export function shortWay(
  app: INestApplicationContext,
  guarded: readonly Type<Gatekeeper>[],
  next: RequestListener,
): RequestListener {
  const guards = guarded.map((guard) => app.get(guard));
  const forwarded = app.get(Forwarded);
  const errors = app.get(ErrorFilter);
  const controllers = { manifest: app.get(ManifestsController), blob: app.get(BlobsController) };

  function answerTo({ asked: { noun }, method }: RequestContext): Answer | undefined {
    if (!isContent(noun)) return undefined;
    const controller = controllers[noun];
    if (method === 'GET') return (request, response) => controller.get(request, response);
    if (method === 'HEAD') return (request, response) => controller.head(request, response);
    return undefined;
  }

  async function pull(
    context: RequestContext,
    answer: Answer,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    for (const guard of guards) await guard.admit({ context, request, response });
    forwarded.note(request, response);
    await answer(request, response);
  }

  return (request, response) => {
    const context = contextOf(request);
    const answer = context && answerTo(context);
    if (!answer) return next(request, response);
    const refuse = (error: unknown) => errors.answer(error, request, response);
    // A refusal that cannot be written is a fault of the gate's own, which can: Nest asks its filter twice, too.
    pull(context, answer, request, response).catch(refuse).catch(refuse);
  };
}

function isContent(noun: Asked['noun']): noun is 'manifest' | 'blob' {
  return noun === 'manifest' || noun === 'blob';
}
