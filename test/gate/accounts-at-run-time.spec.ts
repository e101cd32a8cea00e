import { mkdirSync, readFileSync, renameSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { htpasswd } from '../support/clients';
import type { Gate } from '../support/gate';
import { askToken, bearer, send, tokenFor, unique, type Account } from '../support/http';
import { eventually } from '../support/lifecycle';
import { succeed } from '../support/processes';
import { logsIn, startStand, visit } from '../support/stand';
import { describeWith } from '../support/tools';

/** An edit of the file has to be in force within this time. */
const IN_FORCE = 2_000;

describeWith(['docker-registry', 'htpasswd'], 'accounts that change while the gate runs', () => {
  let gate: Gate;
  let file: string;

  beforeAll(async () => {
    ({ gate } = await startStand());
    file = join(gate.dataDir, 'htpasswd');
  });

  const ping = (token: string) => send(`${gate.url}/v2/`, { headers: bearer(token) });

  function refresh(refresh_token: string | undefined) {
    const form = { grant_type: 'refresh_token', service: 'tidegate', client_id: 'test' };
    const body = new URLSearchParams({ ...form, refresh_token: refresh_token ?? '' }).toString();
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    return send(`${gate.url}/v2/auth`, { method: 'POST', headers, body });
  }

  async function expectOut(account: Account, held: { token: string; refresh_token?: string }) {
    expect((await ping(held.token)).status).toBe(401);
    expect((await refresh(held.refresh_token)).status).toBe(401);
    expect((await askToken(gate.url, account)).status).toBe(401);
  }

  it('one removed over REST is out at once, with the bearer and refresh tokens that it holds', async () => {
    const account = await gate.addAccount();
    const held = await tokenFor(gate.url, account);
    expect((await ping(held.token)).status).toBe(200);
    expect((await refresh(held.refresh_token)).status).toBe(200);

    await gate.removeAccount(account);

    await expectOut(account, held);
  });

  it('one disabled, or with another password, is out at once; enabled, it is in again', async () => {
    const account = await gate.addAccount();
    const held = await tokenFor(gate.url, account);

    await gate.changeAccount(account, { disabled: true });
    await expectOut(account, held);
    await gate.changeAccount(account, { disabled: false, password: 'another one entirely' });

    await expectOut(account, held);
    expect(await logsIn(gate, { ...account, password: 'another one entirely' })).toBe(true);
  });

  it.each([
    ['disabled', { disabled: true }, { disabled: false }],
    ['expired by a date', { expires: '2020-01-01T00:00:00Z' }, { expires: null }],
  ])('one that was %s gets none of its tokens back with its login', async (_how, out, back) => {
    const account = await gate.addAccount();
    const held = await tokenFor(gate.url, account);

    await gate.changeAccount(account, out);
    await expectOut(account, held);
    await gate.changeAccount(account, back);

    expect((await ping(held.token)).status).toBe(401);
    expect((await refresh(held.refresh_token)).status).toBe(401);
    expect(await logsIn(gate, account)).toBe(true);
  });

  it('one whose sessions are ended keeps its password and nothing else', async () => {
    const account = await gate.addAccount();
    const held = await tokenFor(gate.url, account);

    const answer = await gate.rest('DELETE', `/users/${account.username}/sessions`);

    expect(answer.status).toBe(204);
    expect((await ping(held.token)).status).toBe(401);
    expect((await refresh(held.refresh_token)).status).toBe(401);
    expect(await logsIn(gate, account)).toBe(true);
  });

  it('one that has expired is out', async () => {
    const expires = new Date(Date.now() + 1_500).toISOString();
    const account = await gate.addAccount(undefined, { expires });
    const held = await tokenFor(gate.url, account);

    await eventually(
      'the account expires',
      async () => (await ping(held.token)).status === 401,
      5_000,
    );

    await expectOut(account, held);
  });

  /** Asks the operators' interface and not the login: guesses that fail are counted. */
  const known = async ({ username }: Account) => {
    return (await gate.rest('GET', `/users/${username}`)).status === 200;
  };

  it('one that is written into the file by htpasswd logs in within two seconds, and taken out is out', async () => {
    const account = { username: unique('file-'), password: unique('pass-') };

    await htpasswd(file, account.username, account.password);
    await eventually('it is known', () => known(account), IN_FORCE);
    expect(await logsIn(gate, account)).toBe(true);
    const held = await tokenFor(gate.url, account);
    await succeed('htpasswd', ['-D', file, account.username]);

    const out = async () => (await ping(held.token)).status === 401;
    await eventually('its token is refused', out, IN_FORCE);
    await expectOut(account, held);
  });

  it('sixty edits by htpasswd fail no login that runs beside them', async () => {
    const account = await gate.addAccount();
    const names = Array.from({ length: 60 }, () => unique('edit-'));
    let editing = true;
    const statuses: number[] = [];
    const logins = (async () => {
      while (editing) statuses.push((await askToken(gate.url, account)).status);
    })();

    for (const name of names) await succeed('htpasswd', ['-bB', file, name, 'password']);
    editing = false;
    await logins;

    expect(statuses.length).toBeGreaterThan(5);
    expect(new Set(statuses)).toEqual(new Set([200]));
    const last = { username: names.at(-1) ?? '', password: 'password' };
    await eventually('the last one is known', () => known(last), IN_FORCE);
    expect(await logsIn(gate, last)).toBe(true);
    for (const name of names) expect(readFileSync(file, 'utf8')).toContain(`${name}:`);
  });

  it('a file that is broken leaves the last good one in force, and says so in log and health', async () => {
    const account = await gate.addAccount();
    const good = readFileSync(file, 'utf8');

    writeFileSync(file, `${good}this is no line of htpasswd\n`);
    const health = await eventually('health says so', async () => {
      const { text } = await send(`${gate.url}/health`);
      return text.includes('degraded') && text;
    });

    expect(health).toContain('degraded');
    expect((await send(`${gate.url}/health/ready`)).status).toBe(200);
    expect(await logsIn(gate, account)).toBe(true);
    const broken = gate
      .logs()
      .filter((line) => line.level >= 40 && /broken/.test(String(line.msg)));
    expect(JSON.stringify(broken)).toContain(file);
    expect(JSON.stringify(broken)).not.toContain('this is no line');
    writeFileSync(file, good);
    await eventually('health is good again', async () => {
      return !(await send(`${gate.url}/health`)).text.includes('degraded');
    });
  });

  it('a file that cannot be read is not called broken', async () => {
    const aside = `${file}.aside`;
    const told = () => gate.logs().filter(({ fault }) => String(fault).includes('is not a file'));

    renameSync(file, aside);
    mkdirSync(file);
    await eventually('the log says so', () => told().length > 0);
    rmdirSync(file);
    renameSync(aside, file);
    await eventually('health is good again', async () => {
      return !(await send(`${gate.url}/health`)).text.includes('degraded');
    });

    expect(told().map(({ msg }) => msg)).toEqual([
      'an accounts file cannot be read: the last good one stays in force',
    ]);
  });

  it('one whose list of rights is narrowed feels it with the token that is out', async () => {
    const account = await gate.addAccount();
    const who = await visit(gate, account, 'team/app', 'pull,push');
    expect((await who.ask('/v2/team/app/tags/list')).status).toBe(404);

    await gate.changeAccount(account, { access: [{ repository: 'other/**', actions: ['pull'] }] });

    const answer = await who.ask('/v2/team/app/tags/list');
    expect(answer.status).toBe(401);
    expect(answer.headers['www-authenticate']).toContain('error="insufficient_scope"');
  });
});
