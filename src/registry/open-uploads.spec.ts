import { readSettings } from '../config/read-settings';
import { OpenUploads } from './open-uploads';

const HOUR = 3_600_000;

function openUploads() {
  let now = 0;
  jest.spyOn(performance, 'now').mockImplementation(() => now);
  const uploads = new OpenUploads(readSettings({ UPLOAD_TTL: '1h', MAX_UPLOADS: '2' }));
  return { uploads, pass: (milliseconds: number) => (now += milliseconds) };
}

describe('OpenUploads', () => {
  afterEach(() => jest.restoreAllMocks());

  it('refuses one more than an account may have, until one ends or its time does', () => {
    const { uploads, pass } = openUploads();
    const first = uploads.reserve('ann');
    pass(1);
    uploads.reserve('ann');
    expect(() => uploads.reserve('ann')).toThrow('ann has 2 uploads open');
    expect(() => uploads.reserve('bob')).not.toThrow();

    uploads.end('ann', first);
    uploads.reserve('ann');
    expect(() => uploads.reserve('ann')).toThrow();
    pass(HOUR);
    expect(() => uploads.reserve('ann')).not.toThrow();
  });

  it('counts one that goes on from its last answer, and once', () => {
    const { uploads, pass } = openUploads();
    const goesOn = uploads.reserve('ann');
    uploads.reserve('ann');
    pass(HOUR - 1);
    uploads.touch('ann', goesOn);
    pass(1);

    uploads.reserve('ann');
    expect(() => uploads.reserve('ann')).toThrow();
  });

  it('forgets what many owners left behind, once its time is over', () => {
    const { uploads, pass } = openUploads();
    for (let n = 0; n < 1000; n += 1) uploads.reserve(`address 10.0.0.${n}`);
    pass(HOUR);
    uploads.reserve('ann');

    expect(uploads.size).toBe(1);
  });

  it('does so though the clock on the wall is set back', () => {
    const { uploads, pass } = openUploads();
    jest.spyOn(Date, 'now').mockReturnValueOnce(Date.UTC(2040)).mockReturnValue(0);
    uploads.reserve('ann');
    pass(HOUR);
    uploads.reserve('bob');

    expect(uploads.size).toBe(1);
  });

  it('remembers 100,000 at most, those that were heard of last', () => {
    const { uploads } = openUploads();
    uploads.reserve('first');
    for (let n = 0; n < 100_000; n += 1) uploads.reserve(`owner ${n}`);
    uploads.end('first', 'unknown');

    expect(uploads.size).toBe(100_000);
    uploads.reserve('first');
    uploads.reserve('first');
    expect(() => uploads.reserve('first')).toThrow();
  });
});
