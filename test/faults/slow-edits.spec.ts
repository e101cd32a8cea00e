import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { htpasswd } from '../support/clients';
import { startGate } from '../support/gate';
import { askToken, bearer, send, tokenFor, unique } from '../support/http';
import { eventually } from '../support/lifecycle';
import { logsIn } from '../support/stand';
import { describeWith } from '../support/tools';

/** Longer than the gate leaves the file alone between two looks, so that it sees every half of it. */
const HALF_TIME = 400;

describeWith(['htpasswd'], 'an htpasswd file that is written in two parts', () => {
  it('ends no login and no token of those who are in its second part', async () => {
    const gate = await startGate({ UPSTREAM_REGISTRY: 'http://127.0.0.1:9' });
    const file = join(gate.dataDir, 'htpasswd');
    const early = await gate.addAccount();
    const late = await gate.addAccount();
    const { token } = await tokenFor(gate.url, late);
    const statuses: number[] = [];
    let editing = true;
    const logins = (async () => {
      while (editing) {
        statuses.push((await askToken(gate.url, late)).status);
        statuses.push((await send(`${gate.url}/v2/`, { headers: bearer(token) })).status);
        await sleep(20);
      }
    })();

    for (let n = 0; n < 8; n += 1) {
      const whole = readFileSync(file, 'utf8');
      // All lines before that of the late account, each as good as it was, but for the last one's end.
      writeFileSync(file, whole.slice(0, whole.indexOf(`\n${late.username}:`)));
      await sleep(HALF_TIME);
      writeFileSync(file, whole);
      await sleep(HALF_TIME);
    }
    const added = { username: unique('added-'), password: unique('pass-') };
    await htpasswd(file, added.username, added.password);
    await eventually('an edit that is whole counts', async () => {
      return (await gate.rest('GET', `/users/${added.username}`)).status === 200;
    });
    editing = false;
    await logins;

    expect(statuses.length).toBeGreaterThan(100);
    expect(new Set(statuses)).toEqual(new Set([200]));
    for (const account of [early, late, added]) expect(await logsIn(gate, account)).toBe(true);
  });
});
