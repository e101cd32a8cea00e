/** The same gate on another port, where nothing goes past Nest's router. */
import type { AddressInfo } from 'node:net';
import { Settings } from '../../src/config/settings';
import { EdgeListener } from '../../src/edge/edge.listener';
import { createServer } from '../../src/edge/server';
import { Log } from '../../src/journal/log';
import type { shortWay } from '../../src/short-way';
import { atTheEnd } from './lifecycle';

/** @param given what the short way was called with. */
export async function longWay([app, , next]: Parameters<typeof shortWay>): Promise<number> {
  const listener = app.get(EdgeListener).inFrontOf(next);
  const server = createServer(app.get<Settings>(Settings), app.get<Log>(Log), listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  atTheEnd(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}
