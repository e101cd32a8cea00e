import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import type { Settings } from '../config/settings';
import { OciError } from '../oci/oci-error';
import { createLog, type Log } from './log';
import { NestLog } from './nest-log';
import { scrub } from './scrub';

/** A log at this level, and the lines that it has written. */
function journal(logLevel: Settings['logLevel'] = 'trace') {
  const texts: string[] = [];
  const log = createLog({ logLevel }, { write: (text) => void texts.push(text) });
  return {
    log,
    text: () => texts.join(''),
    lines: () => texts.map((text) => JSON.parse(text) as Record<string, unknown>),
  };
}

const SIGNED = 'https://robot:hunter2@cdn.example/blob/data?X-Amz-Signature=hunter2&e=1';
const JWT = 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJodW50ZXIyIn0.c2lnbmF0dXJl';

describe('a line of the log', () => {
  it('is JSON with level, ISO time and what was said, and nothing of the machine', () => {
    const { log, lines } = journal();

    log.info({ account: 'ci', status: 200 }, 'request');

    expect(lines()).toEqual([
      {
        level: 30,
        time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
        account: 'ci',
        status: 200,
        msg: 'request',
      },
    ]);
  });

  it('is written from the level that is set', () => {
    const { log, lines } = journal('warn');

    log.info('not this');
    log.warn('this');

    expect(lines().map(({ msg }) => msg)).toEqual(['this']);
  });
});

describe('the net below', () => {
  const KEYS = [
    'authorization',
    'Authorization',
    'Proxy-Authorization',
    'cookie',
    'Set-Cookie',
    'password',
    'token',
    'access_token',
    'accessToken',
    'refresh_token',
    'refreshToken',
    'secret',
  ];

  it.each(KEYS)('hides %s at three depths, in lines and in children', (key) => {
    const { log, lines, text } = journal();
    const secret = { [key]: 'hunter2' };

    log.info({ ...secret, a: { ...secret, b: { ...secret, kept: 1 } }, list: [secret] }, 'fields');
    log.child({ ...secret, a: secret }).info('child');

    expect(text()).not.toContain('hunter2');
    expect(lines()[0]).toMatchObject({
      a: { b: { [key]: '***', kept: 1 } },
      list: [{ [key]: '***' }],
    });
  });

  it('leaves the object itself as it is', () => {
    const { log } = journal();
    const fields = { headers: { authorization: 'hunter2' } };

    log.info(fields);

    expect(fields).toEqual({ headers: { authorization: 'hunter2' } });
  });

  it('takes URL credentials and queries out of messages, and of URLs as fields', () => {
    const { log, lines, text } = journal();

    log.warn({ from: new URL(SIGNED) }, `redirected to ${SIGNED} and /v2/x?_state=hunter2`);
    log.warn('asked %s', SIGNED);

    expect(text()).not.toContain('hunter2');
    expect(lines()[0]).toMatchObject({
      from: 'https://***@cdn.example/blob/data?…',
      msg: 'redirected to https://***@cdn.example/blob/data?… and /v2/x?…',
    });
    expect(lines()[1]).toMatchObject({ msg: 'asked https://***@cdn.example/blob/data?…' });
  });
});

describe('an error in the log', () => {
  function fault(): Error {
    return Object.assign(new TypeError(`fetch of ${SIGNED} failed: Bearer ${JWT}`), {
      code: 'ECONNRESET',
      config: { headers: { authorization: 'hunter2' } },
      request: { url: SIGNED },
    });
  }

  it.each([
    ['alone', (log: Log) => log.error(fault())],
    ['as err', (log: Log) => log.error({ err: fault() })],
    ['as err with a message', (log: Log) => log.error({ err: fault() }, 'no answer')],
    ['as error', (log: Log) => log.error({ error: fault() }, 'no answer')],
    ['as cause', (log: Log) => log.error({ cause: fault() }, 'no answer')],
    ['in a child', (log: Log) => log.child({ err: fault() }).error('no answer')],
  ])('is type, message, stack and code, and nothing else: %s', (_, write) => {
    const { log, lines, text } = journal();

    write(log);

    const [line] = lines();
    const shown = (line?.['err'] ?? line?.['error'] ?? line?.['cause']) as Record<string, string>;
    expect(Object.keys(shown).sort()).toEqual(['code', 'message', 'stack', 'type']);
    expect(shown).toMatchObject({ type: 'TypeError', code: 'ECONNRESET' });
    expect(shown['message']).toBe(
      'fetch of https://***@cdn.example/blob/data?… failed: Bearer ***',
    );
    expect(shown['stack']).toContain('log.spec.ts');
    expect(text()).not.toMatch(/hunter2|eyJ/);
  });

  it('shows its causes without their stacks, three at most', () => {
    const { log, lines, text } = journal();
    const fifth = new Error('fifth');
    const fourth = new Error('fourth', { cause: fifth });
    const third = new Error('third', { cause: fourth });
    const second = Object.assign(new RangeError(`no ${SIGNED}`, { cause: third }), {
      code: 'ENOTFOUND',
      hostname: 'hunter2',
    });

    log.error({ err: new Error('first', { cause: second }) }, 'no answer');

    const { stack, cause } = (lines()[0]?.['err'] ?? {}) as Record<string, unknown>;
    expect(stack).toContain('log.spec.ts');
    expect(cause).toEqual({
      type: 'RangeError',
      code: 'ENOTFOUND',
      message: 'no https://***@cdn.example/blob/data?…',
      cause: { type: 'Error', message: 'third', cause: { type: 'Error', message: 'fourth' } },
    });
    expect(text()).not.toContain('hunter2');
  });

  it('does not follow causes in circles', () => {
    const { log, lines } = journal();
    const one = new Error('one');
    one.cause = new Error('other', { cause: one });

    log.error({ err: one }, 'no answer');

    expect(JSON.stringify(lines()[0]?.['err']).match(/"message":"one"/g)).toHaveLength(2);
  });

  it('has no stack when it is a refusal of the gate itself, whose cause says why', () => {
    const { log, lines } = journal();
    const cause = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });

    log.warn({ err: new OciError('UNAVAILABLE', { message: 'reg.example is away', cause }) });

    expect(lines()[0]).toMatchObject({ msg: 'reg.example is away' });
    expect(lines()[0]?.['err']).toEqual({
      type: 'OciError',
      code: 'UNAVAILABLE',
      message: 'reg.example is away',
      cause: { type: 'Error', code: 'ECONNREFUSED', message: 'connect ECONNREFUSED' },
    });
  });

  it('is named by its type when it is no error', () => {
    const { log, lines } = journal();

    log.error({ err: { password: 'hunter2', config: 'hunter2' } }, 'thrown');
    log.error({ err: `no ${SIGNED}` }, 'thrown');

    expect(lines().map(({ err }) => err)).toEqual([
      { type: 'object' },
      { type: 'string', message: 'no https://***@cdn.example/blob/data?…' },
    ]);
  });

  it('is not taken for one where a field has the name alone', () => {
    const { log, lines } = journal();

    log.info({ reason: 'expired' });

    expect(lines()[0]).toMatchObject({ reason: 'expired' });
  });
});

describe('scrub', () => {
  it.each([
    'Are you sure? Yes',
    'Basic authentication is refused',
    'pulled docker.io/library/nginx@sha256:abc from https://ghcr.io/v2/',
  ])('leaves %j as it is', (text) => {
    expect(scrub(text)).toBe(text);
  });

  it('lets no secret of a URL through, whatever stands around it', () => {
    const word = fc.string({ unit: fc.constantFrom(...'abc:/?#@%&=.-_~ \n(),;') });
    fc.assert(
      fc.property(word, word, (before, after) => {
        const text = `${before} ${SIGNED} ${after} /v2/a/blobs/uploads/u?_state=hunter2 ${JWT}`;

        expect(scrub(text)).not.toMatch(/hunter2|eyJ/);
      }),
    );
  });

  it('is done soon with long and hostile text', () => {
    const texts = ['://', '?a', 'eyJa.', 'Basic ', '://a@', '/?'].map((part) =>
      part.repeat(200_000),
    );

    const begun = performance.now();
    for (const text of texts) expect(scrub(text).length).toBeLessThanOrEqual(64 * 1024);

    expect(performance.now() - begun).toBeLessThan(2000);
  });
});

describe("Nest's own messages", () => {
  it('go to debug, warnings and errors to their level', () => {
    const { log, lines } = journal();
    const nest = new NestLog(log);

    nest.log('Nest application successfully started 100%s', 'NestApplication');
    nest.debug('d', 'X');
    nest.verbose('v', 'X');
    nest.warn('w', 'X');
    nest.error('e', 'Error: e\n    at x (y?sig=hunter2)', 'ExceptionsHandler');
    nest.fatal('f');

    expect(lines().map(({ level, msg, context }) => [level, msg, context])).toEqual([
      [20, 'Nest application successfully started 100%s', 'NestApplication'],
      [20, 'd', 'X'],
      [10, 'v', 'X'],
      [40, 'w', 'X'],
      [50, 'e', 'ExceptionsHandler'],
      [60, 'f', undefined],
    ]);
    expect(lines()[4]).toMatchObject({ stack: 'Error: e\n    at x (y?…' });
  });

  it('show errors as errors, and no other objects', () => {
    const { log, lines, text } = journal();
    const nest = new NestLog(log);

    nest.error(
      Object.assign(new Error(`no ${SIGNED}`), { password: 'hunter2' }),
      'ExceptionsHandler',
    );
    nest.error({ password: 'hunter2', any: 'hunter2' });

    expect(text()).not.toContain('hunter2');
    expect(lines()[0]).toMatchObject({
      msg: 'no https://***@cdn.example/blob/data?…',
      err: { type: 'Error' },
      context: 'ExceptionsHandler',
    });
  });
});

/** What a process prints that runs this script, with `createLog` at hand, and ends at once. */
function printed(script: string): string {
  const compile = `
    const { transformFileSync } = require('@swc/core');
    const options = { jsc: { parser: { syntax: 'typescript' }, target: 'es2024' }, module: { type: 'commonjs' } };
    require.extensions['.ts'] = (module, file) => module._compile(transformFileSync(file, options).code, file);`;
  const text = `${compile}\nconst { createLog } = require('./log.ts');\n${script}\nprocess.exit(0);`;
  return execFileSync(process.execPath, ['-e', text], { cwd: __dirname, encoding: 'utf8' });
}

describe('the log on stdout', () => {
  it('has every line though the process ends at once', () => {
    const text = printed(`
      const log = createLog({ logLevel: 'info' });
      for (let i = 0; i < 2000; i++) log.info({ i, padding: 'x'.repeat(100) }, 'line');`);

    const lines = text.trimEnd().split('\n');
    expect(lines).toHaveLength(2000);
    expect(JSON.parse(lines[1999]!)).toMatchObject({ i: 1999, msg: 'line' });
  });

  it('is for people where it is a terminal', () => {
    const text = printed(`
      process.stdout.isTTY = true;
      createLog({ logLevel: 'info' }).warn({ account: 'ci', password: 'hunter2' }, 'line');`);

    expect(text).toMatch(/WARN.*line.*"account":"ci"/);
    expect(text).not.toMatch(/hunter2|^\{/);
  });

  it.each(['true', 'false'])(
    'shows nothing that a terminal would obey or hide: for people %s',
    (terminal) => {
      const odd = String.raw`\u001b[2J \u009b \u202e \u2028`;
      const text = printed(`
      process.stdout.isTTY = ${terminal};
      createLog({ logLevel: 'info' }).warn({ account: '${odd}' }, 'line ${odd}');`);

      // Its own colours are the only ones.
      // oxlint-disable-next-line no-control-regex
      const plain = text.trimEnd().replace(/\x1b\[\d+m/g, '');
      expect(plain).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
      expect(plain.split(String.raw`\u202e`)).toHaveLength(3);
    },
  );
});
