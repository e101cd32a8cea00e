/** What /admin/cache takes and shows. Sizes are in bytes, times in ISO 8601. */
import { z } from 'zod';
import { fields } from '../auth/accounts/account-fields';
import type { CacheOverview } from '../cdn/cache-administration';
import type { HeldRepository } from '../cdn/index/content-index';
import type { Job } from '../cdn/jobs/job';
import { parsePlatform } from '../cdn/jobs/platform';

const bytes = z.int().meta({ description: 'Bytes' });
const time = z.iso.datetime();

const IMAGE_RULE = 'the name of an image, such as nginx or ghcr.io/org/app:1';
const PLATFORM_RULE = 'a platform, os/architecture[/variant], such as linux/amd64';
const MAX_PLATFORMS = 32;

function give(what: string) {
  return ({ input }: { readonly input?: unknown }) =>
    `${input === undefined ? 'is missing' : 'is not right'}; give ${what}`;
}

const platform = z.string({ error: give(PLATFORM_RULE) }).transform((text, context) => {
  const parsed = parsePlatform(text);
  if (parsed) return parsed;
  context.addIssue({ code: 'custom', message: `is not right; give ${PLATFORM_RULE}` });
  return z.NEVER;
});

/** What is to be fetched. */
export const prefetchOrder = fields({
  image: z
    .string({ error: give(IMAGE_RULE) })
    .min(1, { error: give(IMAGE_RULE) })
    .max(1024, { error: give(IMAGE_RULE) })
    .meta({ description: 'name[:tag][@digest]; latest without either', example: 'nginx:1' }),
  platforms: z
    .array(platform, { error: give(`a list of platforms, such as ["linux/amd64"]`) })
    .max(MAX_PLATFORMS, { error: give(`at most ${MAX_PLATFORMS} platforms`) })
    .default([])
    .meta({ description: 'Of an index; all of them without', example: ['linux/amd64'] }),
});

export const overview = z.object({
  enabled: z.boolean().meta({ description: 'false with CACHE=off; nothing else is told then' }),
  storing: z.boolean().optional().meta({ description: 'false while the disk is full' }),
  fault: z.string().optional().meta({ description: 'What is wrong, and what helps' }),
  contents: z.int().optional(),
  bytes: bytes.optional(),
  free: bytes.optional().meta({ description: 'Free on the disk, in bytes' }),
  limits: z
    .object({
      maxSize: bytes.optional(),
      minFree: bytes.optional(),
      maxAge: z.number().optional().meta({ description: 'Seconds' }),
    })
    .optional(),
  since: time.optional().meta({ description: 'From when on the following are counted' }),
  requests: z.int().optional().meta({ description: 'That held content could have answered' }),
  hits: z.int().optional(),
  hitRatio: z.number().optional(),
  collapsed: z.int().optional().meta({ description: 'That joined a fetch under way' }),
  bypassed: z.int().optional().meta({ description: 'That were none of the cache’s; in no ratio' }),
  servedBytes: bytes.optional(),
  hitBytes: bytes.optional(),
  byteHitRatio: z.number().optional(),
  mismatches: z.int().optional().meta({ description: 'Fetches that were not what was named' }),
  damaged: z.int().optional().meta({ description: 'Held contents that were found damaged' }),
  evicted: z.int().optional(),
  fetches: z
    .array(
      z.object({
        registry: z.string().meta({ description: 'Where it comes from', example: 'docker.io' }),
        digest: z.string(),
        received: bytes,
        total: bytes.optional(),
        readers: z.int(),
        since: time,
      }),
    )
    .optional(),
});

export type OverviewDocument = z.output<typeof overview>;

export function shownOverview(seen: CacheOverview): OverviewDocument {
  const { held, limits, counts, fetches, ...rest } = seen;
  const { since, bytes: servedBytes, ...counted } = counts;
  return {
    enabled: true,
    ...rest,
    ...held,
    limits: { ...limits, maxAge: limits.maxAge === undefined ? undefined : limits.maxAge / 1000 },
    since: since.toISOString(),
    ...counted,
    servedBytes,
    fetches: fetches.map(({ registry, digest, received, total, readers, since: began }) => ({
      registry,
      digest,
      received,
      total,
      readers,
      since: new Date(began).toISOString(),
    })),
  };
}

const repository = z.object({
  name: z.string().meta({ example: 'docker.io/library/nginx' }),
  contents: z.int(),
  bytes,
  usedAt: time,
});

export const repositories = z.object({ repositories: z.array(repository) });

export function shownRepository({ usedAt, ...rest }: HeldRepository): z.output<typeof repository> {
  return { ...rest, usedAt: new Date(usedAt).toISOString() };
}

const counted = z.object({ done: z.int(), total: z.int() });

export const jobDocument = z.object({
  id: z.string(),
  kind: z.enum(['prefetch', 'verify']),
  state: z.enum(['waiting', 'running', 'done', 'failed', 'cancelled']),
  image: z.string().optional(),
  platforms: z.array(z.string()).optional(),
  createdAt: time,
  startedAt: time.optional(),
  endedAt: time.optional(),
  layers: counted.optional().meta({ description: 'Of a prefetch: configs and layers' }),
  contents: counted.optional().meta({ description: 'Of a verification' }),
  damaged: z.int().optional().meta({ description: 'Of a verification; these were removed' }),
  bytes: counted.extend({
    held: z.int().meta({ description: 'Of those done, what was held already' }),
  }),
  rate: z.int().meta({ description: 'Bytes per second of late; of all of it once it has ended' }),
  secondsLeft: z.int().optional(),
  error: z.string().optional().meta({ description: 'Why it failed' }),
  faults: z.array(z.object({ what: z.string(), message: z.string() })),
  notes: z.array(z.string()).meta({ description: 'What was left out, and why' }),
});

export const jobDocuments = z.object({ jobs: z.array(jobDocument) });

export type JobDocument = z.output<typeof jobDocument>;

export function shownJob(job: Job): JobDocument {
  const { id, kind, state, error, progress, work } = job;
  const items = { ...progress.items };
  return {
    id,
    kind,
    state,
    ...work.about,
    createdAt: job.createdAt.toISOString(),
    startedAt: job.startedAt?.toISOString(),
    endedAt: job.endedAt?.toISOString(),
    ...(kind === 'prefetch' ? { layers: items } : { contents: items, damaged: progress.damaged }),
    bytes: { ...progress.bytes },
    rate: rateOf(job),
    secondsLeft: state === 'running' ? progress.secondsLeft : undefined,
    error,
    faults: [...progress.faults],
    notes: [...progress.notes],
  };
}

function rateOf({ state, startedAt, endedAt, progress }: Job): number {
  if (state === 'running') return progress.rate;
  const seconds = ((endedAt?.getTime() ?? 0) - (startedAt?.getTime() ?? 0)) / 1000;
  if (!endedAt || !startedAt || seconds <= 0) return 0;
  return Math.round((progress.bytes.done - progress.bytes.held) / seconds);
}
