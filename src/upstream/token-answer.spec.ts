import { parseTokenAnswer } from './token-answer';

const parse = (document: unknown) => parseTokenAnswer(Buffer.from(JSON.stringify(document)));

describe('parseTokenAnswer', () => {
  it.each([
    [{ token: 'a' }, { token: 'a', life: 60 }],
    [
      { access_token: 'b', expires_in: 300 },
      { token: 'b', life: 300 },
    ],
    [
      { token: '', access_token: 'b' },
      { token: 'b', life: 60 },
    ],
    [
      { token: null, access_token: 'b', expires_in: '120' },
      { token: 'b', life: 120 },
    ],
    [
      { token: 'a', expires_in: 0 },
      { token: 'a', life: 60 },
    ],
    [
      { token: 'a', expires_in: -1 },
      { token: 'a', life: 60 },
    ],
    [
      { token: 'a', expires_in: null },
      { token: 'a', life: 60 },
    ],
    [
      { token: 'a', expires_in: 1e12 },
      { token: 'a', life: 86_400 },
    ],
  ])('reads %j', (document, expected) => {
    expect(parse(document)).toEqual(expected);
  });

  it.each([
    [{}],
    [{ token: 1 }],
    [{ token: 'a\r\nX: 1' }],
    [{ token: 'a b' }],
    [{ token: 'x'.repeat(40_000) }],
    [[]],
    ['a'],
    [null],
  ])('finds no token in %j', (document) => {
    expect(parse(document)).toBeUndefined();
  });

  it('finds no token in what is not JSON', () => {
    expect(parseTokenAnswer(Buffer.from('<html>'))).toBeUndefined();
  });
});
