// A gate's accounts with twenty writers at once, for as long as it lives: node account-writer.mjs <round>, settings in
// the environment. Each line of stdout is an operation that begins or was acknowledged.
import { writeSync } from 'node:fs';
import bcrypt from 'bcrypt';
import { pino } from 'pino';
import { Accounts } from '../../dist/auth/accounts/accounts.service.js';
import { PasswordHasher } from '../../dist/auth/accounts/password-hasher.js';
import { readSettings } from '../../dist/config/read-settings.js';
import { Audit } from '../../dist/journal/audit.js';

const ACTOR = { actor: 'writer' };
const WRITERS = 20;

function say(phase, operation) {
  writeSync(1, `${JSON.stringify({ phase, ...operation })}\n`);
}

async function doIt(accounts, operation) {
  const { kind, username, password } = operation;
  say('begin', operation);
  if (kind === 'add') await accounts.add({ username, password, role: 'admin' }, ACTOR);
  if (kind === 'password') await accounts.change(username, { password }, ACTOR);
  if (kind === 'end') await accounts.endSessions(username, ACTOR);
  if (kind === 'remove') await accounts.remove(username, ACTOR);
  say('done', operation);
}

async function write(accounts, round, writer) {
  for (let number = 0; ; number++) {
    const username = `r${round}w${writer}n${number}`;
    await doIt(accounts, { kind: 'add', username, password: 'first' });
    // Most of the time goes here: a change of password has the most places to be cut at.
    for (const password of ['second', 'third', 'fourth', 'fifth']) {
      await doIt(accounts, { kind: 'password', username, password });
    }
    await doIt(accounts, { kind: 'end', username });
    if (number % 2) await doIt(accounts, { kind: 'remove', username });
  }
}

const log = pino({ level: 'silent' });
// The cheapest hashes that there are: it is the writing that is tried here.
const hash = (password) => bcrypt.hash(password, 4);
const hasher = new PasswordHasher({ compare: bcrypt.compare, hash });
const accounts = new Accounts(readSettings(process.env), new Audit(log), log, hasher);
await accounts.open();
const writers = Array.from({ length: WRITERS }, (_, writer) =>
  write(accounts, process.argv[2], writer),
);
await Promise.all(writers);
