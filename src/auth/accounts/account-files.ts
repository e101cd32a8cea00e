/** The two account files on disk, and the lock that all who write them take. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { FileLock } from '../../config/file-lock';
import { OciError } from '../../oci/oci-error';
import { formatMetadata, sealOf, type Metadata } from './account-metadata';
import { ReadOnlyAccounts } from './accounts-file-error';
import type { HtpasswdFile } from './htpasswd-file';
import { assertWritable, codeOf, isReadOnly, replaceFile } from './replace-file';
import type { Pair, Snapshot } from './snapshot';
import { WatchedFile } from '../../config/watched-file';

/** Milliseconds. */
const LOCK_TIMEOUT = 10_000;

/** One file to be written; a change is several of them, in an order that a crash may cut anywhere. */
export type Step = { readonly htpasswd: HtpasswdFile } | { readonly metadata: Metadata };

export type FileName = 'htpasswd' | 'metadata';

export class AccountFiles {
  readonly paths: Readonly<Record<FileName, string>>;
  readonly #dataDir: string;
  readonly #htpasswd: WatchedFile;
  readonly #metadata: WatchedFile;

  constructor(dataDir: string, htpasswdFile: string) {
    this.#dataDir = dataDir;
    this.paths = { htpasswd: htpasswdFile, metadata: join(dataDir, 'accounts.json') };
    this.#htpasswd = new WatchedFile(this.paths.htpasswd);
    this.#metadata = new WatchedFile(this.paths.metadata);
  }

  async read(): Promise<Pair> {
    // In this order: an accounts.json that names a htpasswd text is written before that text.
    const metadata = await this.#metadata.read();
    return { metadata, htpasswd: await this.#htpasswd.read() };
  }

  /** @throws ReadOnlyAccounts, or OciError UNAVAILABLE; the file then holds what it held. */
  async write(file: FileName, text: string): Promise<void> {
    await replaceFile(this.paths[file], text).catch((error: unknown) => {
      throw this.#failureOf(file, error);
    });
  }

  /** @throws ReadOnlyAccounts where that can be told without trying */
  async assertWritable(): Promise<void> {
    await assertWritable(this.paths.htpasswd).catch((error: unknown) => {
      throw this.#failureOf('htpasswd', error);
    });
  }

  /** @throws OciError UNAVAILABLE when somebody else holds the lock for too long */
  async lock(): Promise<FileLock> {
    try {
      await mkdir(this.#dataDir, { recursive: true, mode: 0o700 });
      return await FileLock.acquire(this.#lockPath, { timeout: LOCK_TIMEOUT });
    } catch (cause) {
      const message = cause instanceof Error ? cause.message : 'the accounts cannot be locked';
      throw new OciError('UNAVAILABLE', { message, cause });
    }
  }

  tryLock(): FileLock | undefined {
    return FileLock.tryAcquire(this.#lockPath);
  }

  get #lockPath(): string {
    return join(this.#dataDir, 'accounts.lock');
  }

  #failureOf(file: FileName, error: unknown): OciError {
    const path = this.paths[file];
    const code = codeOf(error);
    if (file === 'htpasswd' && isReadOnly(error)) {
      const reason = code === 'NOWRITE' && error instanceof Error ? error.message : code;
      return new ReadOnlyAccounts(path, reason, error);
    }
    return new OciError('UNAVAILABLE', {
      message: `${path} cannot be written (${code}); what it held before stands`,
      cause: error,
    });
  }
}

/** The steps as texts. A htpasswd file is there before the first accounts.json, so that one without it is a fault. */
export function textsOf(
  steps: readonly Step[],
  { pair, htpasswd, stored, faults }: Snapshot,
): [FileName, string][] {
  const now = pair.htpasswd.kind === 'text' ? pair.htpasswd.text : htpasswd.format();
  const last = steps.findLast((step) => 'htpasswd' in step);
  const seal = faults.htpasswd ? stored.seal : sealOf(last ? last.htpasswd.format() : now);
  const texts = steps.map((step): [FileName, string] =>
    'htpasswd' in step
      ? ['htpasswd', step.htpasswd.format()]
      : ['metadata', formatMetadata({ ...step.metadata, seal })],
  );
  const fresh = pair.htpasswd.kind === 'absent' && !faults.htpasswd;
  return fresh ? [['htpasswd', ''], ...texts] : texts;
}
