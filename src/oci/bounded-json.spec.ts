import fc from 'fast-check';
import { parseBoundedJson } from './bounded-json';

const parse = (text: string) => parseBoundedJson(Buffer.from(text));

describe('parseBoundedJson', () => {
  it('reads what JSON.parse reads', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 8 }), (value) => {
        expect(parse(JSON.stringify(value))).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
  });

  it('does not take brackets within texts for lists', () => {
    const text = JSON.stringify({ text: `${'[{"'.repeat(200_000)}\\` });

    expect(parse(text)).toEqual(JSON.parse(text));
  });

  it.each([
    ['no JSON', '{'],
    ['too many lists', `[${'[],'.repeat(100_001)}[]]`],
    ['too many objects', `[${'{},'.repeat(100_001)}{}]`],
    ['too deep', `${'['.repeat(65)}${']'.repeat(65)}`],
  ])('is nothing for %s', (_what, text) => {
    expect(parse(text)).toBeUndefined();
  });
});
