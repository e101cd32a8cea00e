import { retryAfterSeconds } from './retry-after';

const NOW = Date.parse('Fri, 20 Nov 2026 12:00:00 GMT');

describe('retryAfterSeconds', () => {
  it.each([
    ['30', 30],
    [' 30 ', 30],
    ['0', 1],
    ['999999', 21_600],
    ['Fri, 20 Nov 2026 12:01:30 GMT', 90],
    ['Fri, 20 Nov 2026 11:00:00 GMT', 1],
    ['Fri, 20 Nov 2099 11:00:00 GMT', 21_600],
    ['soon', 60],
    ['-5', 60],
    ['1e3', 60],
    ['30\r\nX-Evil: 1', 60],
    ['2026-11-20', 60],
    [undefined, 60],
  ])('reads %j as %d seconds', (header, expected) => {
    expect(retryAfterSeconds(header, NOW)).toBe(expected);
  });
});
