/**
 * SQLite's checkpoints in a thread of their own: they wait for the disk, and what is written in between does not.
 * https://sqlite.org/wal.html § Checkpointing
 */
import { statSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';
import type { Log } from '../../journal/log';

/** From a write to the checkpoint that follows it, in milliseconds: what the loss of power may cost. */
const INTERVAL = 5000;
/** Writes after which no more time is waited for: the log grows by some pages with each. */
const MANY = 1000;
/** Bytes of the log beyond which it is cut off as well. */
const LARGE = 16 * 1024 * 1024;
/** Bytes of the log up to which closing needs no thread. */
const SMALL = 1024 * 1024;
/** For the thread to end, in milliseconds. */
const PATIENCE = 10_000;

/**
 * A passive checkpoint keeps nobody waiting. Cutting the log off keeps writers out, and so comes last, when hardly anything is
 * left to copy: the second passive one copies what was written during the first. A file that is gone must not come back empty:
 * its URL says `mode=rw`.
 */
const THREAD = `
  const { statSync } = require('node:fs');
  const { DatabaseSync } = require('node:sqlite');
  const { parentPort, workerData } = require('node:worker_threads');
  const { url, log, large } = workerData;
  let database;
  const open = () => {
    database = new DatabaseSync(new URL(url), { timeout: 1000 });
    database.exec('PRAGMA synchronous = NORMAL');
  };
  const checkpoint = (last) => {
    if (!database) open();
    database.exec('PRAGMA wal_checkpoint(PASSIVE)');
    const size = statSync(log, { throwIfNoEntry: false })?.size ?? 0;
    if (!last && size <= large) return;
    database.exec('PRAGMA wal_checkpoint(PASSIVE)');
    database.exec('PRAGMA wal_checkpoint(TRUNCATE)');
  };
  parentPort.on('message', ({ last }) => {
    let fault;
    try {
      checkpoint(last);
    } catch (error) {
      fault = String(error.message);
    }
    if (fault || last) {
      database?.close();
      database = undefined;
    }
    parentPort.postMessage({ fault });
    if (last) parentPort.close();
  });
`;

/** Checkpoints of one database file, from the first write on until it is closed. */
export class Checkpoints {
  #worker: Worker | undefined;
  #timer: NodeJS.Timeout | undefined;
  #writes = 0;
  #running = false;
  #failing = false;

  constructor(
    private readonly file: string,
    private readonly log: Pick<Log, 'warn'>,
    private readonly interval: number = INTERVAL,
  ) {}

  noteWrite(): void {
    this.#writes += 1;
    this.#timer ??= setTimeout(() => this.#checkpoint(), this.interval).unref();
    if (this.#writes >= MANY && !this.#running && !this.#failing) this.#checkpoint();
  }

  /** The last checkpoint, which leaves the log empty. The thread has ended then. */
  async close(): Promise<void> {
    clearTimeout(this.#timer);
    const size = statSync(this.#walFile, { throwIfNoEntry: false })?.size ?? 0;
    if (!this.#worker && size <= SMALL) return;
    try {
      const worker = this.#start();
      order(worker, { last: true });
      await ended(worker);
    } catch (error) {
      this.#done(messageOf(error));
      clearTimeout(this.#timer);
    }
  }

  /** Ends the thread without a checkpoint: the file is not to be used any more. */
  abandon(): void {
    clearTimeout(this.#timer);
    void this.#worker?.terminate();
    this.#worker = undefined;
  }

  get #walFile(): string {
    return `${this.file}-wal`;
  }

  #checkpoint(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#running) return this.noteWrite();
    this.#running = true;
    this.#writes = 0;
    try {
      order(this.#start(), { last: false });
    } catch (error) {
      // No thread is to be had, as where processes are limited. The log grows, and is written back by a later one.
      this.#done(messageOf(error));
    }
  }

  #start(): Worker {
    if (this.#worker) return this.#worker;
    const url = pathToFileURL(this.file);
    url.search = 'mode=rw';
    const worker = new Worker(THREAD, {
      eval: true,
      name: 'tidegate-checkpoints',
      workerData: { url: url.href, log: this.#walFile, large: LARGE },
      // Nothing of the process's environment is its business, and node:sqlite's warning is known.
      env: {},
      execArgv: ['--disable-warning=ExperimentalWarning'],
    });
    worker.on('message', ({ fault }: { fault?: string }) => this.#done(fault));
    worker.on('error', (error) => this.#done(error.message));
    worker.on('exit', () => {
      if (this.#worker !== worker) return;
      this.#worker = undefined;
      this.#running = false;
    });
    // Last: who listens for messages keeps the process alive again.
    worker.unref();
    this.#worker = worker;
    return worker;
  }

  /** A fault is told once, until it is over; the log only grows meanwhile. */
  #done(fault: string | undefined): void {
    this.#running = false;
    if (fault !== undefined && !this.#failing)
      this.log.warn({ fault }, "the cache's index cannot be written back; it is tried again");
    this.#failing = fault !== undefined;
    if (this.#failing) this.noteWrite();
  }
}

function order(worker: Worker, checkpoint: { readonly last: boolean }): void {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has none
  worker.postMessage(checkpoint);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

async function ended(worker: Worker): Promise<void> {
  const exit = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
  // Keeps the process alive until then.
  const late = setTimeout(() => void worker.terminate(), PATIENCE);
  await exit;
  clearTimeout(late);
}
