/** The client of bodies, asked as the gate asks it, and its bodies read as the gate reads them. */
import { setImmediate as turn } from 'node:timers/promises';
import type { Arriving } from '../../src/upstream/body-connection';
import { BodyClient, type BodyRequest } from '../../src/upstream/body-client';
import { HandedOver } from '../../src/upstream/handed-over';
import { wayTo } from '../../src/upstream/way';
import { atTheEnd } from './lifecycle';
import { registryAt, upstreamFixture, type UpstreamLimits } from './upstream-fixture';

export function bodyClient({
  headerTimeout = 5_000,
  idleTimeout = 5_000,
  ...more
}: UpstreamLimits = {}): BodyClient {
  const { dialer } = upstreamFixture(more);
  const client = new BodyClient(dialer, { headerTimeout, idleTimeout });
  atTheEnd(() => client.close());
  return client;
}

export function at(url: URL | string, more: Partial<BodyRequest> = {}): BodyRequest {
  const origin = new URL(url);
  return { origin, way: wayTo(registryAt(origin), 'own'), path: '/blob', headers: {}, ...more };
}

/** @throws where another client has to read the answer. */
export async function arriving(answered: ReturnType<BodyClient['get']>): Promise<Arriving> {
  const answer = await answered;
  if (!answer || answer instanceof HandedOver) throw new Error('an answer for another client');
  return answer;
}

/** What comes of it, whole. */
export async function whole(answered: ReturnType<BodyClient['get']>): Promise<Buffer> {
  return bytesOf((await arriving(answered)).body);
}

/**
 * All of a body, read as by somebody who has each chunk in hand for a while: it is copied at the last moment at which it must
 * still hold, so that what was written over it too early shows.
 */
export async function bytesOf(
  body: AsyncIterable<Buffer>,
  inHand: () => Promise<unknown> = turn,
): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of body) {
    await inHand();
    chunks.push(Buffer.from(chunk));
  }
  return Buffer.concat(chunks);
}
