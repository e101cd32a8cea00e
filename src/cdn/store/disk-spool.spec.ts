import fc from 'fast-check';
import { randomBytes } from 'node:crypto';
import { appendFileSync, existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { eventually, freshFolder } from '../../../test/support/lifecycle';
import { behind, DiskSpool, isSpoolName } from './disk-spool';

const folder = freshFolder('spool');

/** What this process has open, as the kernel tells it. */
function openFiles(): string[] {
  return readdirSync('/proc/self/fd').flatMap((descriptor) => {
    try {
      return [readlinkSync(`/proc/self/fd/${descriptor}`)];
    } catch {
      return [];
    }
  });
}

describe('DiskSpool', () => {
  it('writes to a file of its own, under a name that the sweeping knows', async () => {
    const spool = await DiskSpool.create(folder);

    await spool.append([Buffer.from('one '), Buffer.from('two')]);
    await spool.sync();

    expect(readFileSync(spool.path, 'utf8')).toBe('one two');
    expect(isSpoolName(spool.path.slice(folder.length + 1))).toBe(true);
    await spool.discard();
    expect(existsSync(spool.path)).toBe(false);
    spool.release();
  });

  it('does not copy, and does not keep, what it is given', async () => {
    const spool = await DiskSpool.create(folder);
    const chunk = Buffer.from('before');

    await spool.append([chunk]);
    chunk.write('after!');

    const into = Buffer.alloc(6);
    await spool.read(into, 0);
    expect(into.toString()).toBe('before');
    await spool.discard();
    spool.release();
  });

  it('shows nothing of an append that is half-written', async () => {
    const spool = await DiskSpool.create(folder);
    await spool.append([Buffer.from('whole')]);

    appendFileSync(spool.path, 'half');

    expect(await spool.read(Buffer.alloc(100), 0)).toBe(5);
    expect(await spool.read(Buffer.alloc(100), 5)).toBe(0);
    await spool.append([Buffer.from('next')]);
    expect(readFileSync(spool.path, 'utf8')).toBe('wholenext');
    await spool.discard();
    spool.release();
  });

  it('takes one append at a time', async () => {
    const spool = await DiskSpool.create(folder);
    const first = spool.append([randomBytes(1000)]);

    await expect(spool.append([randomBytes(10)])).rejects.toThrow('one append at a time');

    await first;
    await spool.append([randomBytes(10)]);
    expect(spool.size).toBe(1010);
    await spool.discard();
    spool.release();
  });

  it('closes the file when the last one releases it, and not before', async () => {
    const spool = await DiskSpool.create(folder);
    spool.retain();
    spool.retain();

    spool.release();
    spool.release();
    expect(openFiles()).toContain(spool.path);

    spool.release();
    await eventually('the file is closed', () => !openFiles().includes(spool.path));
    await spool.discard();
  });

  it('lets a read end that was under way when it was released', async () => {
    const spool = await DiskSpool.create(folder);
    await spool.append([Buffer.from('text')]);
    const into = Buffer.alloc(4);

    const reading = spool.read(into, 0);
    spool.release();

    expect(await reading).toBe(4);
    expect(into.toString()).toBe('text');
    await spool.discard();
  });
});

describe('behind', () => {
  it('is what a write that took a part has left to do', () => {
    const chunk = fc.uint8Array({ minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(fc.array(chunk), fc.nat(100), (chunks, part) => {
        const bytes = Buffer.concat(chunks);
        const count = Math.min(part, bytes.length);

        const rest = behind(chunks, count);

        expect(Buffer.concat(rest).equals(bytes.subarray(count))).toBe(true);
        expect(rest.every(({ length }) => length > 0)).toBe(true);
      }),
    );
  });
});

describe('isSpoolName', () => {
  it.each([
    '',
    'mail',
    '..',
    'a'.repeat(31),
    'a'.repeat(33),
    'A'.repeat(32),
    `${'a'.repeat(32)}\n`,
  ])('knows none in %p', (name) => expect(isSpoolName(name)).toBe(false));
});
