// Many clients that ask for one blob at once, in one process that costs little: node crowd-clients.mjs <order as JSON>.
// Each line of stdout is what happened to one of them. Every byte is compared with what it must be.
// SIGUSR2: those that pause go on. SIGHUP: all leave.
import { createHash } from 'node:crypto';
import { readFileSync, writeSync } from 'node:fs';
import { connect } from 'node:net';

const order = JSON.parse(process.argv[2]);
const { port, path, headers, clients, size, hashing, pauseAt, rate } = order;
const noise = readFileSync(order.noise);
const PIECE = 64 * 1024;
const STAMP = 8;
const began = performance.now();
const all = new Set();

const say = (line) => writeSync(1, `${JSON.stringify(line)}\n`);
const since = () => Math.round(performance.now() - began);

const stamp = Buffer.alloc(STAMP);

/** Whether these are the bytes from that position on. */
function isRight(bytes, position) {
  for (let at = 0; at < bytes.length;) {
    const inPiece = (position + at) % PIECE;
    const end = Math.min(bytes.length, at + (inPiece < STAMP ? STAMP : PIECE) - inPiece);
    if (inPiece < STAMP) stamp.writeBigUInt64BE(BigInt(Math.floor((position + at) / PIECE)));
    const source = inPiece < STAMP ? stamp : noise;
    const from = inPiece < STAMP ? inPiece : (position + at) % noise.length;
    if (bytes.compare(source, from, from + end - at, at, end) !== 0) return false;
    at = end;
  }
  return position + bytes.length <= size;
}

class Client {
  head = '';
  length = undefined;
  received = 0;
  right = true;
  first = undefined;
  paused = false;
  stalled = false;

  constructor(id, buffer) {
    this.id = id;
    this.hash = id < hashing ? createHash('sha256') : undefined;
    const callback = (length, bytes) => this.take(bytes.subarray(0, length));
    this.socket = connect({ port, host: '127.0.0.1', onread: { buffer, callback } });
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
    // The connection is the client's to close: a system that is short of memory for its connections gives up those that
    // only it still knows, with what was not sent yet.
    const host = `Host: 127.0.0.1:${port}\r\n`;
    this.socket.write(`GET ${path} HTTP/1.1\r\n${host}${lines.join('')}\r\n`);
    this.socket.on('error', ({ code }) => (this.error = code));
    this.socket.on('close', () => this.end());
  }

  take(bytes) {
    let body = bytes;
    if (this.length === undefined) {
      this.head += bytes.toString('latin1');
      const end = this.head.indexOf('\r\n\r\n');
      if (end < 0) return true;
      const before = this.head.length - bytes.length;
      this.head = this.head.slice(0, end + 2);
      this.length = Number(/\r\ncontent-length: (\d+)\r\n/i.exec(this.head)?.[1] ?? Infinity);
      body = bytes.subarray(end + 4 - before);
    }
    if (body.length === 0) return true;
    this.first ??= since();
    this.right &&= isRight(body, this.received);
    this.hash?.update(body);
    this.received += body.length;
    if (this.received >= this.length) {
      this.socket.destroy();
      return false;
    }
    if (pauseAt !== undefined && !this.stalled && this.received >= pauseAt) {
      this.stalled = true;
      this.paused = true;
      say({ event: 'paused', id: this.id });
      return false;
    }
    if (rate === undefined) return true;
    setTimeout(() => this.socket.resume(), (body.length / rate) * 1000);
    return false;
  }

  goOn() {
    if (!this.paused) return;
    this.paused = false;
    this.socket.resume();
  }

  end() {
    all.delete(this);
    const { id, received, right, first, error, length } = this;
    const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(this.head)?.[1] ?? 0);
    const cache = /\r\ncache-status: (.*)\r\n/i.exec(this.head)?.[1];
    const digest = this.hash && `sha256:${this.hash.digest('hex')}`;
    const whole = right && received === size && length === size;
    say({
      event: 'end',
      id,
      status,
      cache,
      received,
      whole,
      right,
      digest,
      first,
      ms: since(),
      error,
    });
    if (all.size === 0) process.exit();
  }
}

process.on('SIGUSR2', () => {
  for (const client of all) client.goOn();
});
process.on('SIGHUP', () => {
  for (const client of all) client.socket.destroy();
});

// Sockets that nobody reads from do not keep a process running.
setInterval(() => undefined, 60_000);
const buffer = Buffer.alloc(512 * 1024);
for (let id = 0; id < clients; id += 1) all.add(new Client(id, buffer));
say({ event: 'started' });
