/** Guards in their order before a controller that answers everything: for the specs of src/throttling. */
import {
  request as httpRequest,
  type ClientRequest,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http';
import {
  All,
  Controller,
  Injectable,
  Req,
  Res,
  type CanActivate,
  type ExecutionContext,
  type Type,
} from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { ThrottlerStorage } from '@nestjs/throttler';
import type { Settings } from '../../src/config/settings';
import type { Exchange, Gatekeeper } from '../../src/edge/gatekeeper';
import { contextOf, type RequestContext } from '../../src/edge/request-context';
import { OciError } from '../../src/oci/oci-error';
import { behindEdge, settingsFor } from './behind-edge';
import { send, type Sending } from './http';
import { AccountThrottle } from '../../src/throttling/account.throttle';
import { AddressThrottle } from '../../src/throttling/address.throttle';
import { LoginThrottle } from '../../src/throttling/login.throttle';
import { ThrottlingModule } from '../../src/throttling/throttling.module';
import { TokenBucketStorage } from '../../src/throttling/token-bucket.storage';
import { TokenQueue } from '../../src/throttling/token-queue';
import { TransferSlots } from '../../src/throttling/transfer-slots';
import type { WaitingRoom } from '../../src/throttling/waiting-room';

export const ADDRESS = '198.51.100.1';
export const ANA = { username: 'ana', password: 'right' };
export const WRONG = { username: 'ana', password: 'wrong' };
export const BLOB = `/v2/team/app/blobs/sha256:${'a'.repeat(64)}`;
export const MANIFEST = '/v2/team/app/manifests/1';
export const UPLOAD =
  '/v2/team/app/blobs/uploads/6f8b1a52-3c4d-4e5f-8a9b-0c1d2e3f4a5b?_state=c2VhbA';

/** Stands where the real guard stands: knows ana by password or by a token, and counts how often it was asked. */
@Injectable()
class Doorkeeper implements CanActivate {
  asked = 0;

  canActivate(execution: ExecutionContext): boolean {
    const context = contextOf(execution.switchToHttp().getRequest<IncomingMessage>());
    if (!context) throw new OciError('DENIED');
    this.asked += 1;
    const { credentials, asked } = context;
    const username =
      credentials.scheme === 'bearer'
        ? credentials.token
        : credentials.scheme === 'basic' && credentials.password === 'right'
          ? credentials.username
          : undefined;
    const anonymous =
      (credentials.scheme === 'none' && context.need.kind !== 'login') ||
      context.need.kind === 'nothing';
    if (username !== undefined || anonymous) {
      const upstreamAs = () => 'anonymous' as const;
      context.identity = {
        username,
        epoch: 0,
        admin: false,
        may: () => true,
        sees: () => true,
        upstreamAs,
        registryAs: upstreamAs,
      };
    }
    if (context.identity || asked.noun === 'token' || asked.noun === 'health') return true;
    throw new OciError('UNAUTHORIZED');
  }
}

/** Answers everything; holds blobs and bodies open while `held` is set. */
@Controller()
export class Everything {
  static held: Set<ServerResponse> | undefined;

  @All(['', '*path'])
  answer(@Req() request: IncomingMessage, @Res() response: ServerResponse): void {
    const context = contextOf(request);
    if (context?.asked.noun === 'token') {
      const { grant } = context.asked.request;
      const shown = grant.kind === 'password' ? grant : context.credentials;
      const good = 'password' in shown ? shown.password === 'right' : grant.kind === 'header';
      if (!good) throw new OciError('UNAUTHORIZED');
    }
    response.setHeader('X-Reached', 'yes');
    if (Everything.held && context?.asked.noun !== 'base') Everything.held.add(response);
    else response.end('{}');
  }
}

/** The waiting line of that address. */
export const LINE = { key: 'address:198.51.100.1' };

interface Given {
  clock?: { now: number };
  /** Where requests wait for tokens. */
  tokens?: WaitingRoom;
  /** Where downloads wait for a slot. */
  slots?: WaitingRoom;
}

/** The module as it is, or with a clock and waiting rooms of the test's own. */
export async function throttledRoom(
  settings: Partial<Settings> = {},
  { clock, tokens, slots }: Given = {},
) {
  const storage = new TokenBucketStorage(clock && { now: () => clock.now });
  const { app, url } = await behindEdge({
    settings,
    imports: [ThrottlingModule],
    controllers: [Everything],
    providers: [
      Doorkeeper,
      { provide: APP_GUARD, useExisting: AddressThrottle },
      { provide: APP_GUARD, useExisting: LoginThrottle },
      { provide: APP_GUARD, useExisting: Doorkeeper },
      { provide: APP_GUARD, useExisting: AccountThrottle },
      { provide: APP_GUARD, useExisting: TransferSlots },
    ],
    override: [
      ...(clock ? [{ token: ThrottlerStorage, value: storage }] : []),
      ...(tokens ? [{ token: TokenQueue, value: new TokenQueue(storage, tokens) }] : []),
      ...(slots
        ? [{ token: TransferSlots, value: new TransferSlots(settingsFor(settings), slots) }]
        : []),
    ],
  });
  const ask = (path: string, sending: Sending = {}, from = ADDRESS) =>
    send(`${url}${path}`, { ...sending, headers: { 'x-forwarded-for': from, ...sending.headers } });
  const queue = app.get(TokenQueue, { strict: false });
  /** What a guard of the room says at once. */
  const now = (guard: Type<Gatekeeper>, context: RequestContext) =>
    app
      .get(guard, { strict: false })
      .admitNow({ context, request: { headers: {} } as IncomingMessage } as Exchange);
  return { ask, url, queue, doorkeeper: app.get(Doorkeeper), now };
}

export type Ask = Awaited<ReturnType<typeof throttledRoom>>['ask'];

/** A request whose answer nobody awaits: it is there to be broken off. */
export function begin(url: string, headers: Record<string, string>): ClientRequest {
  const outgoing = httpRequest(url, { headers: { 'x-forwarded-for': ADDRESS, ...headers } });
  outgoing.on('error', () => undefined).end();
  return outgoing;
}

/** Asks so many times at once. */
export function times<T>(count: number, ask: () => Promise<T>): Promise<T[]> {
  return Promise.all(Array.from({ length: count }, ask));
}

/** Asks one after the other, so that each failure is charged before the next guess. */
export async function inTurn<T>(count: number, ask: () => Promise<T>): Promise<T[]> {
  const answers: T[] = [];
  for (let n = 0; n < count; n++) answers.push(await ask());
  return answers;
}

/** The statuses of answers, in order. */
export const statuses = (answers: { status: number }[]) => answers.map(({ status }) => status);
/** How many answers had which status. */
export const counts = (answers: { status: number }[]) =>
  Object.fromEntries([...Map.groupBy(statuses(answers), String)].map(([k, v]) => [k, v.length]));
