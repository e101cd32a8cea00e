import { proxyAuthorization, proxyFor } from './outgoing-proxy';

const http = new URL('http://proxy.example:3128');
const https = new URL('http://secure-proxy.example:3128');

describe('proxyFor', () => {
  it('takes each scheme its own proxy, and none where none is set', () => {
    expect(proxyFor(new URL('http://a.example'), { http, https, except: '' })).toBe(http);
    expect(proxyFor(new URL('https://a.example'), { http, https, except: '' })).toBe(https);
    expect(proxyFor(new URL('https://a.example'), { http, except: '' })).toBeUndefined();
  });

  it.each([
    ['*', 'https://a.example'],
    ['a.example', 'https://a.example'],
    ['A.Example', 'https://a.example.'],
    ['example', 'https://a.example'],
    ['.a.example', 'https://a.example'],
    ['.a.example', 'https://b.a.example'],
    ['*.a.example', 'https://b.a.example'],
    ['x.example, a.example', 'https://a.example'],
    ['x.example a.example', 'https://a.example'],
    ['a.example:443', 'https://a.example'],
    ['a.example:5000', 'https://a.example:5000'],
    ['10.0.0.0/8', 'https://10.1.2.3:5000'],
    ['fd00::/8', 'https://[fd00::1]'],
    ['[::1]:5000', 'https://[::1]:5000'],
    ['::1', 'https://[::1]:5000'],
    ['127.0.0.1', 'https://127.0.0.1:5000'],
  ])('NO_PROXY=%s excepts %s', (except, url) => {
    expect(proxyFor(new URL(url), { http, https, except })).toBeUndefined();
  });

  it.each([
    ['', 'https://a.example'],
    ['a.example', 'https://ba.example'],
    ['*.a.example', 'https://a.example'],
    ['a.example:5000', 'https://a.example'],
    ['10.0.0.0/8', 'https://11.1.2.3'],
    ['10.0.0.0/8', 'https://ten.example'],
    ['10.0.0.0/99', 'https://10.1.2.3'],
    ['fd00::/8', 'https://10.1.2.3'],
    ['b.example', 'https://a.example'],
  ])('NO_PROXY=%j does not except %s', (except, url) => {
    expect(proxyFor(new URL(url), { http, https, except })).toBe(https);
  });
});

describe('proxyAuthorization', () => {
  it.each([
    ['http://user:p%40ss%3Aw%C3%B6rd@proxy', 'user:p@ss:wörd'],
    ['http://user@proxy', 'user:'],
    ['http://us%zzer:x@proxy', 'us%zzer:x'],
  ])('decodes the user information of %s', (url, expected) => {
    expect(proxyAuthorization(new URL(url))).toBe(
      `Basic ${Buffer.from(expected).toString('base64')}`,
    );
  });

  it('is nothing for a proxy without credentials', () => {
    expect(proxyAuthorization(new URL('http://proxy'))).toBeUndefined();
  });
});
