/** The jobs that an operator may start on the cache. */
import { CacheAdministration } from '../cdn/cache-administration';
import type { Job } from '../cdn/jobs/job';
import { Jobs } from '../cdn/jobs/jobs';
import { formatPlatform, type Platform } from '../cdn/jobs/platform';
import type { Prefetch } from '../cdn/jobs/prefetch.service';
import { OciError } from '../oci/oci-error';
import { suffixOf } from '../oci/reference';
import type { NamedImage } from './image-reference';

export class CacheJobs {
  constructor(
    readonly jobs: Jobs,
    private readonly prefetching: Prefetch,
    private readonly administration: CacheAdministration,
  ) {}

  /** @throws OciError TOOMANYREQUESTS, CONFLICT for a registry of which nothing can be held. */
  prefetch({ name, reference }: NamedImage, platforms: readonly Platform[]): Job {
    const { registry, repository, canonical } = name;
    if (registry.redirects === 'pass') {
      throw new OciError('CONFLICT', {
        message: `blobs of ${registry.name} are fetched by the clients themselves, and are not held; set UPSTREAM_REDIRECTS=follow`,
      });
    }
    const image = { registry, repository, reference, platforms };
    return this.jobs.start({
      kind: 'prefetch',
      about: {
        image: `${canonical}${suffixOf(reference)}`,
        platforms: platforms.length > 0 ? platforms.map(formatPlatform) : undefined,
      },
      run: (progress, signal) => this.prefetching.run(image, progress, signal),
    });
  }

  /** @throws OciError CONFLICT with the place of the one that runs: two would read the same disk for nothing. */
  verify(): Job {
    const other = this.jobs.unfinished('verify');
    if (other) {
      throw new OciError('CONFLICT', {
        message: `what is held is being verified already; see ${placeOf(other)}`,
        headers: { Location: placeOf(other) },
      });
    }
    return this.jobs.start({
      kind: 'verify',
      about: {},
      run: (progress, signal) =>
        this.administration.verifyAll(signal, (at) => {
          progress.items.done = at.contents;
          progress.items.total = at.totalContents;
          progress.bytes.total = at.totalBytes;
          progress.advance(at.bytes - progress.bytes.done);
          progress.damaged = at.damaged;
        }),
    });
  }
}

/** Where a job is told of. */
export function placeOf({ id }: Job): string {
  return `/admin/cache/jobs/${id}`;
}
