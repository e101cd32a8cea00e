import { digestFor } from '../../../test/contracts/content-index.contract';
import type { Digest } from '../../oci/digest';
import { Touches } from './touches';

const MOST = 100_000;

afterEach(() => jest.restoreAllMocks());

it('while nothing can be written, uses are gathered of so many digests, and the last use of each', async () => {
  const written = new Map<Digest, number>();
  const touches = new Touches((uses) => {
    for (const [digest, at] of uses) written.set(digest, at);
    return Promise.resolve();
  });
  const clock = jest.spyOn(Date, 'now').mockReturnValue(1);
  const [known, further] = [digestFor('known'), digestFor('further')];
  touches.note(known);
  for (let each = 1; each < MOST; each += 1) touches.note(`sha256:${each}` as Digest);

  clock.mockReturnValue(2);
  touches.note(further);
  touches.note(known);
  await touches.close();

  expect(written.size).toBe(MOST);
  expect(written.get(known)).toBe(2);
  expect(written.has(further)).toBe(false);
});

it('what could not be written is written the next time', async () => {
  const written: (readonly [Digest, number])[][] = [];
  let full = true;
  const touches = new Touches((uses) => {
    if (full) return Promise.reject(new Error('the disk is full'));
    written.push([...uses]);
    return Promise.resolve();
  });
  jest.spyOn(Date, 'now').mockReturnValue(5);
  const digests = Array.from({ length: 150 }, (_, each) => digestFor(`${each}`));
  for (const digest of digests) touches.note(digest);

  await expect(touches.flush()).rejects.toThrow('full');
  full = false;
  await touches.flush();
  await touches.close();

  expect(written.map((uses) => uses.length)).toEqual([100, 50]);
  expect(written.flat()).toEqual(digests.map((digest) => [digest, 5]));
});
