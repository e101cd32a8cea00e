import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { MAIN, startGate } from './support/gate';
import { eventually, freshFolder } from './support/lifecycle';
import { run } from './support/processes';

/** What a process was started with. */
function commandLine(pid: number): string[] {
  return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').slice(1, -1);
}

const MIB = 1024 * 1024;

/** Bytes in memory. */
function memoryOf(pid: number): { peak: number; now: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const bytes = (name: string) =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]) * 1024;
  return { peak: bytes('VmHWM'), now: bytes('VmRSS') };
}

describe('the gate', () => {
  it('starts itself again with a bound on the young heap, as the same process', async () => {
    const gate = await startGate();

    expect(commandLine(gate.pid)).toEqual(['--max-semi-space-size=8', MAIN]);
    expect(await gate.stop('SIGTERM')).toBe(0);
  });

  it('gives back what its start has left', async () => {
    const gate = await startGate();

    await eventually('some memory is given back', () => {
      const { peak, now } = memoryOf(gate.pid);
      return peak - now > 10 * MIB;
    });

    expect(memoryOf(gate.pid).now).toBeLessThan(memoryOf(gate.pid).peak - 5 * MIB);
  });

  it("keeps Node's own flags and the gate's arguments", async () => {
    const folder = freshFolder('node');
    const preload = join(folder, 'preload.cjs');
    writeFileSync(
      preload,
      'process.on("exit", () => console.log(JSON.stringify(process.execArgv)));',
    );
    const args = ['--require', preload, '--no-deprecation', MAIN, '--help'];

    const { stdout, stderr } = await run(process.execPath, args, { cwd: folder });

    expect(stderr).toContain('the argument --help is not known');
    expect(JSON.parse(stdout)).toEqual([
      '--max-semi-space-size=8',
      '--require',
      preload,
      '--no-deprecation',
    ]);
  });

  it.each(['--max-semi-space-size=32', '--trace-warnings --max_semi_space_size=32'])(
    'leaves a bound of the operator’s own: NODE_OPTIONS=%s',
    async (options) => {
      const gate = await startGate({ NODE_OPTIONS: options });

      expect(commandLine(gate.pid)).toEqual([MAIN]);
    },
  );

  it.each([
    ['this Node cannot be started', 'process.execPath = "/nonexistent/node";'],
    ['Node forbids it', 'process.execve = () => { throw new Error("EPERM"); };'],
  ])('runs without the bound where %s', async (_what, text) => {
    const folder = freshFolder('node');
    const preload = join(folder, 'preload.cjs');
    writeFileSync(preload, text);
    const args = ['--require', preload, MAIN, '--help'];

    const { code, stderr } = await run(process.execPath, args, { cwd: folder });

    expect(stderr).toContain('the argument --help is not known');
    expect(stderr).not.toMatch(/EPERM|execve/);
    expect(code).toBe(1);
  });
});
