/**
 * `npm run demo`: a registry in memory, the gate before it, and one account. Nothing of it needs a network, and nothing
 * is left when it ends.
 */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startMemoryRegistry } from './demo/registry.mjs';

const MAIN = join(dirname(fileURLToPath(import.meta.url)), '..', 'dist', 'main.js');
const ACCOUNT = { username: 'demo', password: randomBytes(9).toString('hex') };

/** The usual port if it is free, else any. */
function freePort(port) {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(0));
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(port)));
  });
}

/** Starts the gate; `address` settles when it says where it listens. */
function startGate(dataDir, upstream, port) {
  // None of the operator's own settings: the demo must not touch what they speak of.
  const { PATH, HOME, SystemRoot } = process.env;
  const env = { PATH, HOME, SystemRoot, LOG_LEVEL: 'silent' };
  Object.assign(env, { HOST: '127.0.0.1', PORT: String(port), DATA_DIR: dataDir });
  Object.assign(env, { UPSTREAM_REGISTRY: upstream, DRAIN_TIMEOUT: '2s' });
  const stdio = ['ignore', 'inherit', 'pipe'];
  const gate = spawn(process.execPath, [MAIN], { env, stdio, cwd: dataDir });
  const address = new Promise((resolve, reject) => {
    let said = '';
    gate.stderr.setEncoding('utf8').on('data', (text) => {
      said += text;
      const found = /listens on http:\/\/127\.0\.0\.1:(\d+)/.exec(said)?.[1];
      if (found) resolve(`localhost:${found}`);
    });
    gate.once('exit', (code) => reject(new Error(`the gate ended with ${code}:\n${said}`)));
  });
  return { gate, address };
}

/** Makes the account as an operator would. */
async function makeAccount(address, dataDir) {
  const password = readFileSync(join(dataDir, 'initial-admin-password'), 'utf8').trim();
  const authorization = `Basic ${Buffer.from(`admin:${password}`).toString('base64')}`;
  const access = [{ repository: '**', actions: ['pull', 'push', 'delete'] }];
  const answer = await fetch(`http://${address.replace('localhost', '127.0.0.1')}/admin/users`, {
    method: 'POST',
    headers: { authorization, 'content-type': 'application/json' },
    body: JSON.stringify({ ...ACCOUNT, access }),
  });
  if (answer.status !== 201) throw new Error(`no account: ${answer.status} ${await answer.text()}`);
}

function tell(address, dataDir) {
  const { username, password } = ACCOUNT;
  process.stdout.write(`
Tidegate stands at http://${address}, in front of a registry in memory.
An account was made: ${username}, password ${password}

Log in:
  echo ${password} | docker login ${address} -u ${username} --password-stdin

Make an image out of nothing, push it, and pull it back:
  echo hello > hello.txt && tar -c hello.txt | docker import - ${address}/team/app:1
  docker push ${address}/team/app:1
  docker rmi ${address}/team/app:1
  docker pull ${address}/team/app:1

The same without docker, and what an operator sees:
  skopeo list-tags --tls-verify=false --creds ${username}:${password} docker://${address}/team/app
  curl -u "admin:$(cat ${join(dataDir, 'initial-admin-password')})" http://${address}/admin/users

All of it is gone when you press Ctrl-C.
`);
}

const dataDir = mkdtempSync(join(tmpdir(), 'tidegate-demo-'));
const registry = await startMemoryRegistry();
const upstream = `http://127.0.0.1:${registry.address().port}`;
const { gate, address } = startGate(dataDir, upstream, await freePort(8080));

let ending = false;
function end(code) {
  if (ending) return;
  ending = true;
  const finish = () => {
    registry.closeAllConnections();
    registry.close();
    rmSync(dataDir, { recursive: true, force: true });
    process.exit(code);
  };
  if (gate.exitCode !== null || gate.signalCode !== null) finish();
  else gate.once('exit', finish).kill('SIGTERM');
}
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => end(0));

try {
  const at = await address;
  await makeAccount(at, dataDir);
  tell(at, dataDir);
  gate.once('exit', (code) => end(code ?? 1));
} catch (error) {
  if (!ending) process.stderr.write(`The demo could not start: ${error.message}\n`);
  end(1);
}
