/** The state of the accounts: polled from the two files while others edit them, changed under the lock. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Audit } from '../../journal/audit';
import type { Log } from '../../journal/log';
import { OciError } from '../../oci/oci-error';
import type { Actor } from './account';
import { AccountFiles, textsOf, type FileName, type Step } from './account-files';
import { formatMetadata, type Metadata } from './account-metadata';
import { AccountsFileError } from './accounts-file-error';
import {
  eventsBetween,
  isSealed,
  samePair,
  snapshotOf,
  type Pair,
  type Snapshot,
} from './snapshot';
import { POLL_INTERVAL, Settling } from '../../config/watched-file';

/** Milliseconds: how long a change waits for files that somebody is editing. */
const SETTLE_TIMEOUT = 5_000;
/** Milliseconds between attempts to write after one failed. */
const RETRY_AFTER = 5_000;

/** What a change is worked out from. */
export interface Draft {
  readonly snapshot: Snapshot;
  /** accounts.json to build on. */
  readonly base: Metadata;
}

export interface StoreOptions {
  readonly dataDir: string;
  readonly htpasswdFile: string;
  /** Names that the file may not hold. */
  readonly fixed: ReadonlySet<string>;
  readonly audit: Audit;
  readonly log: Log;
}

export class AccountStore {
  readonly #options: StoreOptions;
  readonly #files: AccountFiles;
  readonly #settling = new Settling();
  readonly #changes = new Queue();
  /** Whoever reads the files and swaps the snapshot: polls go on while a change waits for the lock. */
  readonly #readings = new Queue();
  #snapshot: Snapshot | undefined;
  #watching = false;
  #timer: NodeJS.Timeout | undefined;
  #writeFault: string | undefined;
  #nextSave = 0;

  constructor(options: StoreOptions) {
    this.#options = options;
    this.#files = new AccountFiles(options.dataDir, options.htpasswdFile);
  }

  get snapshot(): Snapshot {
    if (!this.#snapshot) throw new Error('the accounts are not open');
    return this.#snapshot;
  }

  /** What is broken, for the health document and the log. */
  get fault(): string | undefined {
    const { htpasswd, metadata } = this.snapshot.faults;
    const faults = [htpasswd, metadata, this.#writeFault].filter((fault) => fault !== undefined);
    return faults.length > 0 ? faults.join('; ') : undefined;
  }

  /**
   * Reads both files.
   * @param watch true in the gate: edits count while it runs, and it is the gate that judges what an edit means. A
   *   process that does not watch (the command line) writes what it is asked to change and nothing else.
   * @throws AccountsFileError when one of them is broken
   */
  async open({ watch }: { watch: boolean }): Promise<void> {
    await this.#catchUp(watch);
    this.#watching = watch;
    if (!watch) return;
    await this.#readings.run(() => this.#save());
    this.#schedule();
  }

  /** Stops polling and waits for what is under way. */
  async close(): Promise<void> {
    this.#watching = false;
    clearTimeout(this.#timer);
    await this.#changes.end;
    await this.#readings.end;
  }

  /** @throws ReadOnlyAccounts where that can be told without trying */
  assertWritable(): Promise<void> {
    return this.#files.assertWritable();
  }

  /**
   * One change: in turn, under the lock, on what the files hold then.
   * @param plan the files to be written, in order; what it throws is the answer
   */
  async update(actor: Actor, plan: (draft: Draft) => readonly Step[]): Promise<void> {
    const judge = this.#watching;
    await this.#changes.run(async () => {
      const lock = await this.#files.lock();
      try {
        await this.#readings.run(async () => {
          await this.#catchUp(judge);
          const { snapshot } = this;
          const base = judge ? snapshot.metadata : snapshot.stored;
          await this.#commit(plan({ snapshot, base }), actor);
        });
      } finally {
        lock.release();
      }
    });
  }

  /** True when a pair that differs from the one in force may be taken over. */
  #counts(pair: Pair): boolean {
    const nothing = pair.metadata.kind === 'absent' && pair.htpasswd.kind === 'absent';
    if ((nothing && !this.#snapshot) || isSealed(pair)) return true;
    return this.#settling.offer([pair.metadata, pair.htpasswd]);
  }

  async #catchUp(judge: boolean): Promise<void> {
    const deadline = performance.now() + SETTLE_TIMEOUT;
    for (;;) {
      const pair = await this.#files.read();
      if (this.#snapshot && samePair(pair, this.#snapshot.pair)) return;
      if (this.#counts(pair)) return this.#adopt(pair, judge ? actorOf(pair) : undefined);
      if (performance.now() > deadline) {
        throw new OciError('UNAVAILABLE', {
          message: 'somebody else is editing the accounts; try again in a few seconds',
          headers: { 'Retry-After': '5' },
        });
      }
      await sleep(POLL_INTERVAL);
    }
  }

  /** Makes a pair the one in force. @param actor for the audit trail; undefined leaves it to another process. */
  #adopt(pair: Pair, actor: Actor | undefined): void {
    const { fixed, audit, log } = this.#options;
    const before = this.#snapshot;
    const after = snapshotOf(pair, { paths: this.#files.paths, fixed }, before);
    const fault = after.faults.htpasswd ?? after.faults.metadata;
    if (!before && fault !== undefined) throw new AccountsFileError(fault);
    this.#snapshot = after;
    this.#settling.forget();
    if (before) this.#logFaults(before, after);
    if (!actor) return;
    for (const event of eventsBetween(before, after)) audit.write({ ...actor, ...event });
    for (const username of after.lessened) {
      log.warn(
        { username },
        `the password of ${username} was changed while the gate did not run, and may be somebody else's now: it is an ` +
          `ordinary account; if all is well, make it an admin again: node dist/cli.js user role ${username} admin`,
      );
    }
  }

  #logFaults(before: Snapshot, after: Snapshot): void {
    const { log } = this.#options;
    for (const file of ['htpasswd', 'metadata'] as const) {
      const fault = after.faults[file];
      if (fault === before.faults[file]) continue;
      // The fault may be the gate's own, that of a process without descriptors (EMFILE) say.
      const told =
        after.pair[file].kind === 'unreadable'
          ? 'an accounts file cannot be read: the last good one stays in force'
          : 'an accounts file is broken: the last good one stays in force';
      if (fault) log.error({ fault }, told);
      else log.info(`${this.#files.paths[file]} is good again`);
    }
  }

  async #commit(steps: readonly Step[], actor: Actor): Promise<void> {
    const { snapshot } = this;
    await this.#refuseBroken(steps, snapshot);
    let { pair } = snapshot;
    try {
      for (const [file, text] of textsOf(steps, snapshot)) {
        await this.#write(file, text);
        pair = { ...pair, [file]: { kind: 'text', text } };
      }
    } catch (error) {
      pair = await this.#takeBack(pair, snapshot);
      throw error;
    } finally {
      if (pair !== snapshot.pair) this.#adopt(pair, actor);
    }
  }

  async #refuseBroken(steps: readonly Step[], { faults }: Snapshot): Promise<void> {
    const changesHtpasswd = steps.some((step) => 'htpasswd' in step);
    const broken = faults.metadata ?? (changesHtpasswd ? faults.htpasswd : undefined);
    if (broken !== undefined) {
      throw new OciError('CONFLICT', {
        message: `the accounts cannot be changed before this is repaired: ${broken}`,
      });
    }
    if (changesHtpasswd) await this.#files.assertWritable();
  }

  /** Where accounts.json went first and htpasswd then could not be written, it says again what it said. */
  async #takeBack(pair: Pair, { pair: old, stored }: Snapshot): Promise<Pair> {
    const before = old.htpasswd.kind === 'text' ? old.htpasswd.text : '';
    const after = pair.htpasswd.kind === 'text' ? pair.htpasswd.text : '';
    if (pair.metadata === old.metadata || before !== after) return pair;
    const text = old.metadata.kind === 'text' ? old.metadata.text : formatMetadata(stored);
    try {
      // Not by #write: that this succeeds does not end the fault.
      await this.#files.write('metadata', text);
      return { ...pair, metadata: { kind: 'text', text } };
    } catch {
      // What it says now is of an account that htpasswd does not hold with that hash: without effect.
      return pair;
    }
  }

  async #write(file: FileName, text: string): Promise<void> {
    try {
      await this.#files.write(file, text);
      this.#writeFault = undefined;
    } catch (error) {
      if (error instanceof OciError && error.code === 'UNAVAILABLE') {
        this.#writeFault = error.message;
        this.#nextSave = performance.now() + RETRY_AFTER;
        this.#options.log.error(error.message);
      }
      throw error;
    }
  }

  #schedule(): void {
    if (!this.#watching) return;
    this.#timer = setTimeout(() => {
      void this.#readings
        .run(() => this.#poll())
        .catch((err: unknown) =>
          this.#options.log.error({ err }, 'the accounts could not be polled'),
        )
        .finally(() => this.#schedule());
    }, POLL_INTERVAL).unref();
  }

  async #poll(): Promise<void> {
    const pair = await this.#files.read();
    if (samePair(pair, this.snapshot.pair)) this.#settling.forget();
    else if (this.#counts(pair)) this.#adopt(pair, actorOf(pair));
    await this.#save();
  }

  /** Writes what followed from others' edits, and tries again what could not be written. */
  async #save(): Promise<void> {
    const { stored, metadata, faults } = this.snapshot;
    const wanted = metadata !== stored || this.#writeFault !== undefined;
    if (!wanted || faults.metadata || performance.now() < this.#nextSave) return;
    let lock;
    try {
      lock = this.#files.tryLock();
      if (!lock) return;
      const unchanged = samePair(await this.#files.read(), this.snapshot.pair);
      if (unchanged) await this.#commit([{ metadata }], {});
    } catch (error) {
      // A write that failed is in the log and in `fault`; both are tried again.
      this.#nextSave = performance.now() + RETRY_AFTER;
      if (!(error instanceof OciError)) throw error;
    } finally {
      lock?.release();
    }
  }
}

/** Tasks one after the other. */
class Queue {
  #end: Promise<unknown> = Promise.resolve();

  /** Settles when all that stood in the queue has ended; never rejects. */
  get end(): Promise<unknown> {
    return this.#end;
  }

  run<T>(task: () => Promise<T>): Promise<T> {
    const result = this.#end.then(task);
    this.#end = result.catch(() => undefined);
    return result;
  }
}

function actorOf(pair: Pair): Actor {
  return { actor: isSealed(pair) ? 'cli' : 'htpasswd' };
}
