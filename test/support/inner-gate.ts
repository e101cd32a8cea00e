/** The whole gate within the test's own process: quick to start, for tests that look at what passes through it. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readSettings } from '../../src/config/read-settings';
import { openGate } from '../../src/gate';
import { createLog } from '../../src/journal/log';
import { atTheEnd } from './lifecycle';
import { expectNoSecretIn, keepSecret, talkative } from './secrets';

export interface InnerGate {
  readonly port: number;
  readonly url: string;
  /** Authorization of the first admin, who may do all. */
  readonly admin: string;
  /** Makes an account over REST; gives its Authorization. */
  account(
    username: string,
    access?: readonly { repository: string; actions: readonly string[] }[],
  ): Promise<string>;
  /** What it logged so far, where LOG_LEVEL lets it; a line each. */
  lines(): Record<string, unknown>[];
  close(): Promise<void>;
}

export function basicOf(username: string, password: string): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}

/** @param env settings beside those that keep the gate to itself. */
export async function openInnerGate(env: Record<string, string>): Promise<InnerGate> {
  const dataDir = mkdtempSync(join(tmpdir(), 'tidegate-inner-'));
  const settings = readSettings({
    DATA_DIR: dataDir,
    HOST: '127.0.0.1',
    PORT: '0',
    LOG_LEVEL: 'silent',
    DRAIN_TIMEOUT: '1s',
    ...talkative(),
    ...env,
  });
  let said = '';
  atTheEnd(() => expectNoSecretIn(said));
  const gate = await openGate(settings, createLog(settings, { write: (line) => (said += line) }));
  const url = `http://127.0.0.1:${gate.port}`;
  const password = readFileSync(join(dataDir, 'initial-admin-password'), 'utf8').trim();
  keepSecret('password of the first admin', password);
  const admin = basicOf('admin', password);
  return {
    port: gate.port,
    url,
    admin,
    async account(username, access) {
      keepSecret('password of an account', `${username}-secret`);
      const response = await fetch(`${url}/admin/users`, {
        method: 'POST',
        headers: { authorization: admin },
        body: JSON.stringify({ username, password: `${username}-secret`, access }),
      });
      if (response.status !== 201)
        throw new Error(`the account was not made: ${await response.text()}`);
      return basicOf(username, `${username}-secret`);
    },
    lines: () =>
      said
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as Record<string, unknown>),
    async close() {
      await gate.drain();
      rmSync(dataDir, { recursive: true });
    },
  };
}
