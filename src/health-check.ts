import { get as getPlain } from 'node:http';
import { get as getSecure } from 'node:https';
import { loadEnvironment, readSettings } from './config/read-settings';

/** Every address of the machine: it is asked at one that it has for sure. */
const ANY = ['0.0.0.0', '::'];

/**
 * What the image's health check runs: asks the gate whether it is ready, where its settings say that it listens, and ends
 * with 0 or 1. The gate's certificate need not name that address.
 */
function checkHealth(): void {
  const { host, port, tls } = readSettings(loadEnvironment());
  const address = {
    host: ANY.includes(host) ? '127.0.0.1' : host,
    port,
    path: '/health/ready',
    timeout: 4000,
    rejectUnauthorized: false,
  };
  const end = (ready: boolean) => process.exit(ready ? 0 : 1);
  (tls ? getSecure : getPlain)(address, ({ statusCode }) => end(statusCode === 200))
    .on('timeout', () => end(false))
    .on('error', () => end(false));
}

checkHealth();
