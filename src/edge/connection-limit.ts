/**
 * How many connections are held open. Without a bound, whoever opens connections and asks for nothing takes every
 * descriptor of the process: then no file can be read and no upstream be reached, and the system resets those who come.
 * Where there are descriptors enough, as in containers, they would take its memory.
 */
import { readFileSync } from 'node:fs';
import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { availableMemory } from '../config/available-memory';
import type { Log } from '../journal/log';

/** Of the process's descriptors; the others are for files, the upstream's connections, and what the gate runs with. */
const SHARE = 2 / 3;
/** Bytes of the process's memory for each: one that has sent most of a head takes half of it, and all together half of all. */
const MEMORY = 64 * 1024;
/** Milliseconds within which the log says it once. */
const QUIET = 60_000;

export interface Most {
  readonly connections: number;
  /** What to do for more of them. */
  readonly remedy: string;
}

/** How many connections a process may hold with so many descriptors and bytes of memory; its own without them. */
export function mostConnections(
  descriptors: number = descriptorLimit(),
  memory: number = availableMemory(),
): Most {
  const [byDescriptors, byMemory] = [Math.floor(descriptors * SHARE), Math.floor(memory / MEMORY)];
  const remedy =
    byDescriptors <= byMemory
      ? 'raise its limit of open files (ulimit -n, LimitNOFILE= of systemd, --ulimit nofile= of docker)'
      : 'give it more memory';
  return { connections: Math.max(1, Math.min(byDescriptors, byMemory)), remedy };
}

/** Node raises the limit at its start, as far as the system lets it. Infinite where there is none, or nobody says. */
function descriptorLimit(): number {
  try {
    const limits = readFileSync('/proc/self/limits', 'latin1');
    return Number(/^Max open files\s+(\d+)/m.exec(limits)?.[1] ?? Infinity);
  } catch {
    return Infinity;
  }
}

const limits = new WeakMap<Server, ConnectionLimit>();

/**
 * Closes the server's idle connections; also those on which nothing was asked yet, which Node takes for busy, and to whose head
 * it gives all the time there is once the server is closed.
 */
export function closeIdle(server: Server): void {
  limits.get(server)?.closeIdle();
}

/**
 * Over the number, the connection that has been idle for longest makes room for the new one; if all are busy, the new one
 * is closed. Idle is what has no request under way: kept for a next one, or silent so far.
 */
export class ConnectionLimit {
  readonly #open = new Map<string, Socket>();
  /** Who has been so for longest is first. */
  readonly #idle = new Set<string>();
  #said = -Infinity;

  constructor(
    private readonly most: Most,
    private readonly log: Log,
  ) {}

  /** Closes those that are idle. */
  closeIdle(): void {
    for (const key of this.#idle) this.#open.get(key)?.destroy();
  }

  /** Looks after all connections that the server takes from now on. */
  watch(server: Server): void {
    limits.set(server, this);
    server.on('connection', (socket: Socket) => {
      const key = keyOf(socket);
      this.#open.set(key, socket);
      socket.once('close', () => {
        // The same address and port may have come back meanwhile.
        if (this.#open.get(key) === socket) this.#forget(key);
      });
      if (this.#open.size > this.most.connections) this.#makeRoom(key);
      else this.#idle.add(key);
    });
  }

  /** A request began on that connection, be it one over TLS; what is given is called when its answer is done. */
  busy(socket: Socket): () => void {
    const key = keyOf(socket);
    this.#idle.delete(key);
    return () => {
      if (this.#open.has(key)) this.#idle.add(key);
    };
  }

  #makeRoom(newcomer: string): void {
    const [oldest] = this.#idle;
    const leaving = oldest ?? newcomer;
    this.#open.get(leaving)?.destroy();
    this.#forget(leaving);
    if (leaving !== newcomer) this.#idle.add(newcomer);
    this.#say(oldest === undefined ? 'all are busy: a new one was closed' : 'idle ones are closed');
  }

  #forget(key: string): void {
    this.#open.delete(key);
    this.#idle.delete(key);
  }

  #say(what: string): void {
    const now = performance.now();
    if (now - this.#said < QUIET) return;
    this.#said = now;
    const { connections, remedy } = this.most;
    this.log.warn(
      { connections },
      `as many connections are open as the process can have beside its work, and ${what}; ${remedy}`,
    );
  }
}

/** The same for a connection and for the TLS within it. */
function keyOf({ remoteAddress, remotePort, localAddress }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress}`;
}
