/** The audit trail: one line for each account change, login, denial, push, delete and order to the cache. */
import type { Log } from './log';

/** What happened, who did it, to what, from where, in which request. Never a password, token, hash or signed URL. */
export interface AuditEvent {
  event:
    | 'login'
    | 'login.failed'
    | 'denied'
    | 'push'
    | 'delete'
    | 'account.created'
    | 'account.changed'
    | 'account.removed'
    | 'account.sessions-ended'
    | 'account.suspended'
    | 'account.revived'
    | 'cache.cleared'
    | 'cache.removed'
    | 'cache.prefetch'
    | 'cache.verify';
  /**
   * The account that acts; `htpasswd` for edits of the file, `cli` for the command line, undefined for nobody known.
   */
  actor?: string;
  /**
   * An account, or `<canonical repository>:<tag>` / `<canonical repository>@<digest>`; of what is taken out of the cache,
   * the repository or the digest alone.
   */
  target?: string;
  address?: string;
  /** The request's id. */
  request?: string;
  /** Names of changed fields, the reason of a denial, the actions asked for. */
  detail?: Record<string, unknown>;
}

/** Writes audit events as `{"audit": "<event>", …}` lines, at any log level but silent. */
export class Audit {
  readonly #log: Log;

  constructor(log: Log) {
    this.#log = log.child({}, { level: log.level === 'silent' ? 'silent' : 'info' });
  }

  write({ event, ...fields }: AuditEvent): void {
    this.#log.info({ audit: event, ...fields }, `audit: ${event}`);
  }
}
