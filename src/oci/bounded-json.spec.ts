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

  it('counts what is within texts for nothing, wherever they begin and end', () => {
    for (const before of ['', 'a', 'ab', '\\', '"', '"a']) {
      const text = JSON.stringify([before, '['.repeat(70), before, '}'.repeat(70)]);

      expect(parse(text)).toEqual(JSON.parse(text));
    }
  });

  it.each([
    ['64 levels', `${'['.repeat(64)}${']'.repeat(64)}`],
    ['100,000 lists', `[${'[],'.repeat(99_998)}[]]`],
    ['100,000 objects', `[${'{},'.repeat(99_998)}{}]`],
  ])('reads %s', (_what, text) => {
    expect(parse(text)).toBeInstanceOf(Array);
  });

  it.each([
    ['no JSON', '{'],
    ['too many lists', `[${'[],'.repeat(99_999)}[]]`],
    ['too many objects', `[${'{},'.repeat(99_999)}{}]`],
    ['too deep', `${'['.repeat(65)}${']'.repeat(65)}`],
  ])('is nothing for %s', (_what, text) => {
    expect(parse(text)).toBeUndefined();
  });
});
