/**
 * GETs of manifests that are held and may be had, answered in the turn in which they are asked for. The same guards admit them
 * that stand on the other ways, and whatever is not plain goes there. ADR 31.
 */
import type { INestApplicationContext, Type } from '@nestjs/common';
import { CacheCounters } from './cdn/cache-counters';
import { formatCacheStatus, howItCame } from './cdn/cache-status';
import { ContentService } from './cdn/content.service';
import { noteHow } from './edge/answer';
import { ALWAYS, API_VERSION, type AtOnce } from './edge/edge.listener';
import type { Charge, Exchange, Gatekeeper } from './edge/gatekeeper';
import { accountIn } from './edge/request-context';
import { logRequest } from './edge/request-log';
import { Log } from './journal/log';
import { sourceOf } from './registry/exchange';
import { MemoryBudget } from './registry/memory-budget';
import { headersOf, sendBytes } from './registry/manifest-answer';

/** @param guarded the guards that Nest asks, in their order. */
export function atOnce(app: INestApplicationContext, guarded: readonly Type<Gatekeeper>[]): AtOnce {
  const guards = guarded.map((guard) => app.get(guard));
  const content = app.get(ContentService);
  const budget = app.get(MemoryBudget);
  const counters = app.get(CacheCounters);
  const log = app.get<Log>(Log);

  /** What it costs to go on; undefined where one of the guards does not say yes at once. */
  function admitted(exchange: Exchange): readonly Charge[] | undefined {
    const charges: Charge[] = [];
    for (const guard of guards) {
      const charge = guard.admitNow(exchange);
      if (!charge) return undefined;
      charges.push(charge);
    }
    return charges;
  }

  return (exchange) => {
    const { context, request, response } = exchange;
    const { asked, id, client } = context;
    if (asked.noun !== 'manifest') return false;
    const charges = admitted(exchange);
    const { identity } = context;
    if (!charges || !identity) return false;
    const source = sourceOf(asked.name, identity);
    const manifest = content.manifestAtOnce(source, asked.reference, request.headers.accept);
    if (!manifest) return false;
    if (!budget.takeNow(manifest.size, response, accountIn(identity) ?? client)) return false;
    // What may fail comes first: then nothing has happened yet.
    response.writeHead(200, [
      'X-Request-Id',
      id,
      ...SAID,
      ...Object.entries(headersOf(manifest)).flat(),
    ]);
    for (const charge of charges) charge();
    logRequest(log, request, response, id).context = context;
    noteHow(response, HIT.how);
    const before = request.socket.bytesWritten;
    response.on('close', () => counters.note({ hit: true }, request.socket.bytesWritten - before));
    sendBytes(response, manifest.bytes);
    return true;
  };
}

const HIT = { how: howItCame({ hit: true }), field: formatCacheStatus({ hit: true }) };
const SAID = [...ALWAYS.flat(), ...API_VERSION, 'Cache-Status', HIT.field];
