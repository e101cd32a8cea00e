import { pino } from 'pino';
import { eventually } from '../../../test/support/lifecycle';
import { OciError } from '../../oci/oci-error';
import { Job, JobFailure, type Work } from './job';
import type { JobProgress } from './job-progress';
import { Jobs } from './jobs';

const HOUR = 3_600_000;

function open() {
  const lines: string[] = [];
  const clock = { now: Date.parse('2027-01-31T12:00:00Z') };
  const log = pino({ level: 'info' }, { write: (line: string) => lines.push(line) });
  return { jobs: new Jobs(log, () => clock.now), clock, lines };
}

/** Work that goes on until the test ends it, or somebody cancels it. */
function held(kind: Work['kind'] = 'prefetch') {
  let end!: (error?: Error) => void;
  const until = new Promise<void>((resolve, reject) => {
    end = (error) => (error ? reject(error) : resolve());
  });
  const run = async (_progress: JobProgress, signal: AbortSignal) => {
    const aborted = new Promise<never>((_, reject) =>
      signal.addEventListener('abort', () => reject(new Error('given up'))),
    );
    await Promise.race([until, aborted]);
  };
  return { work: { kind, about: { image: 'nginx' }, run } satisfies Work, end };
}

const nothing: Work = { kind: 'prefetch', about: {}, run: async () => undefined };
const failing = (error: Error): Work => ({
  ...nothing,
  run: async () => {
    throw error;
  },
});
const states = (jobs: Jobs) => jobs.all.map(({ state }) => state).reverse();

describe('jobs', () => {
  it('run, and are told of with when they began and ended', async () => {
    const { jobs, clock } = open();
    const { work, end } = held();

    const job = jobs.start(work);
    expect([job.state, job.endedAt]).toEqual(['running', undefined]);
    clock.now += 5_000;
    end();
    await job.finished;

    expect(jobs.get(job.id)).toBe(job);
    expect([job.state, job.startedAt?.getTime(), job.endedAt?.getTime()]).toEqual([
      'done',
      clock.now - 5_000,
      clock.now,
    ]);
  });

  it('are told of in the log, when they begin and how they ended', async () => {
    const { jobs, lines } = open();
    const done = jobs.start({ ...nothing, about: { image: 'nginx' } });
    const refused = jobs.start(failing(new JobFailure('no such platform')));
    const broken = jobs.start(failing(new TypeError('x is undefined')));
    await Promise.all([done, refused, broken].map(({ finished }) => finished));
    await new Promise(setImmediate);

    const told = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    const of = ({ id }: Job) => told.filter(({ job }) => job === id);

    expect(of(done)).toMatchObject([
      { kind: 'prefetch', image: 'nginx', msg: 'a job was started' },
      { kind: 'prefetch', state: 'done', msg: 'a job ended' },
    ]);
    expect(of(refused)[1]).toMatchObject({ state: 'failed', error: 'no such platform' });
    expect(of(broken)[1]).toMatchObject({
      msg: 'a job failed',
      err: { message: 'x is undefined' },
    });
  });

  it('are done once, however often they are run', async () => {
    let times = 0;
    const run = () => Promise.resolve(void (times += 1));
    const job = new Job({ ...nothing, run });

    await Promise.all([job.run(), job.run()]);
    await job.run();

    expect([times, job.state]).toEqual([1, 'done']);
  });

  it('run four at once; others wait, and come in their order', async () => {
    const { jobs } = open();
    const works = Array.from({ length: 6 }, () => held());

    const started = works.map(({ work }) => jobs.start(work));
    expect(states(jobs)).toEqual([...Array<string>(4).fill('running'), 'waiting', 'waiting']);
    works[2]!.end();
    await started[2]!.finished;

    await eventually('the next one runs', () => started[4]!.state === 'running');
    expect(started[5]!.state).toBe('waiting');
    await jobs.close();
  });

  it('are refused when a hundred wait', async () => {
    const { jobs } = open();
    for (let n = 0; n < 104; n += 1) jobs.start(held().work);

    const more = () => jobs.start(held().work);
    expect(more).toThrow(
      expect.objectContaining({ code: 'TOOMANYREQUESTS', headers: { 'Retry-After': 30 } }),
    );
    expect(more).toThrow('100 jobs are waiting already');
    await jobs.close();
  });

  it('are cancelled, running or waiting, and what runs is given up', async () => {
    const { jobs } = open();
    const running = Array.from({ length: 4 }, () => jobs.start(held().work));
    const waiting = jobs.start(held().work);

    waiting.cancel();
    running[0]!.cancel();
    await Promise.all([waiting.finished, running[0]!.finished]);

    expect([running[0]!.state, waiting.state, waiting.startedAt]).toEqual([
      'cancelled',
      'cancelled',
      undefined,
    ]);
    await new Promise(setImmediate);
    expect([running[0]!.error, running[0]!.cause]).toEqual([undefined, undefined]);
    running[1]!.cancel();
    running[1]!.cancel();
    expect(states(jobs).filter((state) => state === 'running')).toHaveLength(2);
    await jobs.close();
  });

  it('that were cancelled hold their place until their work has let go', async () => {
    const { jobs } = open();
    let letGo!: () => void;
    const slow = new Promise<void>((resolve) => (letGo = resolve));
    const stubborn = Array.from({ length: 4 }, () => jobs.start({ ...nothing, run: () => slow }));
    const next = jobs.start(held().work);

    for (const job of stubborn) job.cancel();
    let finished = false;
    void stubborn[0]!.finished.then(() => (finished = true));
    await new Promise(setImmediate);
    expect([stubborn[0]!.state, next.state, finished]).toEqual(['cancelled', 'waiting', false]);
    letGo();

    await eventually('the next one runs', () => next.state === 'running');
    expect(stubborn[0]!.state).toBe('cancelled');
    await jobs.close();
  });

  it('that fail say why in words; a fault of the gate is told to its log alone', async () => {
    const { jobs, lines } = open();
    const refused = jobs.start(failing(new OciError('DENIED', { message: 'not you' })));
    const lacking = jobs.start(failing(new JobFailure('no such platform')));
    const broken = jobs.start(failing(new TypeError('x is undefined at /srv')));

    await Promise.all([refused, lacking, broken].map(({ finished }) => finished));

    expect([refused, lacking, broken].map(({ cause }) => cause !== undefined)).toEqual([
      false,
      false,
      true,
    ]);
    expect([refused, lacking, broken].map(({ state, error }) => [state, error])).toEqual([
      ['failed', 'not you'],
      ['failed', 'no such platform'],
      ['failed', 'the gate failed; its log says more'],
    ]);
    await eventually('it is logged', () => lines.some((line) => line.includes('x is undefined')));
  });

  it('are forgotten an hour after their end, and the oldest of more than a hundred before', async () => {
    const { jobs, clock } = open();
    const early = jobs.start(nothing);
    await early.finished;
    clock.now += HOUR;
    expect(jobs.get(early.id)).toBe(early);
    clock.now += 1;
    expect(jobs.get(early.id)).toBeUndefined();

    const many: Job[] = [];
    for (let n = 0; n < 105; n += 1) {
      const job = jobs.start(nothing);
      await job.finished;
      many.push(job);
    }
    expect(jobs.all).toHaveLength(100);
    expect([jobs.get(many[4]!.id), jobs.get(many[5]!.id)]).toEqual([undefined, many[5]]);
  });

  it('of a kind that have not ended can be found', async () => {
    const { jobs } = open();
    const { work, end } = held('verify');
    const job = jobs.start(work);

    expect([jobs.unfinished('verify'), jobs.unfinished('prefetch')]).toEqual([job, undefined]);
    end();
    await job.finished;
    expect(jobs.unfinished('verify')).toBeUndefined();
  });

  it('end with the gate only when their work has let go of everything', async () => {
    const { jobs } = open();
    let letGo!: () => void;
    const slow = new Promise<void>((resolve) => (letGo = resolve));
    jobs.start({ ...nothing, run: () => slow });
    let closed = false;

    const closing = jobs.close().then(() => (closed = true));
    await new Promise(setImmediate);

    expect(closed).toBe(false);
    letGo();
    await closing;
  });

  it('end with the gate, and none is started then', async () => {
    const { jobs } = open();
    const all = Array.from({ length: 6 }, () => jobs.start(held().work));

    await jobs.close();

    expect(all.map(({ state, working }) => [state, working])).toEqual(
      all.map(() => ['cancelled', false]),
    );
    expect(() => jobs.start(nothing)).toThrow('ending');
  });
});
