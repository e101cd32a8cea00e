/** How an answer came about, as RFC 9211 tells it: the header of every answer, and a field of the request log. */

export type CacheStatus =
  /** Served from what is held, with nobody asked. */
  | { readonly hit: true; readonly detail?: string }
  | {
      readonly hit: false;
      /**
       * Why the upstream was asked. `miss`: not held. `stale`: held, and asked again because of its age, or because the
       * upstream's yes for this name was wanting. `bypass`: not for the cache. `method`: a request that only the upstream
       * can answer.
       */
      readonly fwd: 'miss' | 'stale' | 'bypass' | 'method';
      /** The upstream's own status, where it answered. */
      readonly fwdStatus?: number;
      /** The answer is, or will be, held. */
      readonly stored?: boolean;
      /** Another request's fetch was joined: nobody was asked on behalf of this one. */
      readonly collapsed?: boolean;
      readonly detail?: string;
    };

/** The field's value: `tidegate; hit`, `tidegate; fwd=miss; stored`. RFC 9211 § 2. */
export function formatCacheStatus(status: CacheStatus): string {
  return `tidegate; ${howItCame(status)}`;
}

/** The same for the log, which has no other caches: `hit`, `fwd=miss; stored`. */
export function howItCame(status: CacheStatus): string {
  const parts: string[] = [];
  if (status.hit) parts.push('hit');
  else {
    parts.push(`fwd=${status.fwd}`);
    if (status.fwdStatus !== undefined) parts.push(`fwd-status=${status.fwdStatus}`);
    if (status.stored) parts.push('stored');
    if (status.collapsed) parts.push('collapsed');
  }
  if (status.detail !== undefined) parts.push(`detail="${status.detail}"`);
  return parts.join('; ');
}
