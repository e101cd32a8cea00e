// Connections that want nothing: node idle-connections.mjs <port> <connections> <first source address, last part>.
// Every tenth one is kept alive after a request that was answered, the others say nothing at all. Each line of stdout
// is how many of them are open, said once all have been tried, and whenever that changes later on.
import { writeSync } from 'node:fs';
import { connect } from 'node:net';

const [port, connections, source] = process.argv.slice(2).map(Number);
/** As many as the listener's queue takes with ease. */
const AT_ONCE = 100;
/** Connections from one address: its ports are 28,000, and others use them, too. */
const OF_ONE_ADDRESS = 1_000;

let open = 0;
let told = false;
let pending = false;

function tell() {
  if (!told || pending) return;
  pending = true;
  setImmediate(() => {
    pending = false;
    writeSync(1, `${open}\n`);
  });
}

/** Resolves when it is open and still, or gone. */
function idle(number) {
  const localAddress = `127.0.0.${source + Math.floor(number / OF_ONE_ADDRESS)}`;
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', localAddress });
    socket.on('error', () => undefined);
    socket.once('connect', () => {
      open += 1;
      socket.once('close', () => {
        open -= 1;
        tell();
      });
      if (number % 10 !== 0) return resolve();
      socket.once('data', resolve);
      socket.write('GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n');
    });
    socket.once('close', resolve);
  });
}

for (let from = 0; from < connections; from += AT_ONCE) {
  const until = Math.min(connections, from + AT_ONCE);
  await Promise.all(Array.from({ length: until - from }, (_, n) => idle(from + n)));
}
told = true;
tell();
// Sockets that nobody hears of again do not keep a process running.
setInterval(() => undefined, 60_000);
