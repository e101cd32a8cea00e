import { BodyBlocks } from './body-blocks';

const KIB = 1024;
const MIB = 1024 * KIB;

describe('blocks for bodies', () => {
  it('are large for the first, and as small as what is to come', () => {
    const blocks = new BodyBlocks();

    expect(blocks.take(512 * MIB)).toHaveLength(MIB);
    expect(blocks.take(100)).toHaveLength(100);
  });

  it('are smaller the more there are, and together near their budget', () => {
    const blocks = new BodyBlocks();

    const sizes = Array.from({ length: 150 }, () => blocks.take(512 * MIB).length);

    expect(sizes).toEqual(sizes.toSorted((a, b) => b - a));
    expect(sizes.at(-1)).toBe(64 * KIB);
    expect(sizes.reduce((a, b) => a + b)).toBeLessThan(24 * MIB);
  });

  it('are large again once the others are done with', () => {
    const blocks = new BodyBlocks();
    for (let count = 0; count < 150; count += 1) blocks.done(blocks.take(512 * MIB).length);

    expect(blocks.take(512 * MIB)).toHaveLength(MIB);
  });
});
