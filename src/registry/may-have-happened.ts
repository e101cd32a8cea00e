import { ClientLogin } from '../config/principal';
import type { Source } from '../cdn/source';
import type { UpstreamResponse } from '../upstream/upstream.client';

/**
 * Whether a push or a deletion may have come about, so that what is known of its repository counts no more.
 * The gate's own word is enough for that, since it asked first who may; where a client's login is the registry's to judge, only
 * the registry's yes is: else anybody could close with a made-up login what others may see.
 * @param answer undefined where it was lost: by then it may be done.
 */
export function mayHaveHappened({ as }: Source, answer: UpstreamResponse | undefined): boolean {
  if (!(as instanceof ClientLogin)) return true;
  return answer !== undefined && answer.status >= 200 && answer.status < 300;
}
