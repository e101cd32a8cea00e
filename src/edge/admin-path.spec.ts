import fc from 'fast-check';
import { readAdminPath } from './admin-path';

const DIGEST = `sha256:${'a'.repeat(64)}`;

describe('paths below /admin', () => {
  it.each([
    '/admin/users',
    '/admin/users/ci',
    '/admin/users/ci/sessions',
    '/admin/api/openapi.json',
    '/admin/cache',
    '/admin/cache/repositories',
    '/admin/cache/repositories/nginx',
    '/admin/cache/repositories/docker.io/library/nginx',
    '/admin/cache/repositories/127.0.0.1:5000/team/app',
    '/admin/cache/repositories/[::1]:5000/team/app',
    '/admin/cache/repositories/team/jobs/blobs',
    `/admin/cache/blobs/${DIGEST}`,
    '/admin/cache/prefetch',
    '/admin/cache/jobs/0b3a1f5c-8f2e-4c53-9b4c-3f0f6f8f1d11',
  ])('lead to the router as they are written: %s', (path) => {
    expect(readAdminPath(path)).toBe(path);
  });

  it('rebuild a user’s name, which alone may be escaped', () => {
    expect(readAdminPath('/admin/users/%61.b@c')).toBe('/admin/users/a.b%40c');
    expect(readAdminPath('/admin/users/ci/%73essions')).toBeUndefined();
  });

  it.each([
    '/admin/',
    '/admin/cache/',
    '/admin/%63ache',
    '/admin/cache/%72epositories',
    '/admin/cache/repositories/',
    '/admin/cache/repositories/nginx/',
    '/admin/cache/repositories/%6eginx',
    '/admin/cache/repositories/docker.io%2flibrary%2fnginx',
    '/admin/cache/repositories/Nginx',
    '/admin/cache/repositories/team/127.0.0.1:5000',
    '/admin/cache/repositories/host:port/app',
    '/admin/cache/repositories/host:5000:5000/app',
    '/admin/cache/repositories/host:500000/app',
    '/admin/cache/repositories/[::1/app',
    '/admin/cache/repositories/nginx;x',
    '/admin/cache/repositories/..',
    '/admin/cache/repositories/team/../nginx',
    '/admin/cache/repositories/./nginx',
    '/admin/cache/repositories/team//nginx',
    '/admin/cache/repositories/team\\nginx',
    '/admin/cache/blobs/sha256%3aaaaa',
    '/admin/cache/blobs/sha256:AAAA',
    '/admin/cache/blobs/sha256:../../x',
    `/admin/cache/blobs/${DIGEST}/more`,
    `/admin/cache/jobs/${DIGEST}`,
    '/admin/cache/jobs/%61',
    '/admin/cache/jobs/a/b',
    '/admin/cache:x',
    '/admin/users:x',
    '/admin/users/a:b',
  ])('are no address: %s (S14, S15)', (path) => {
    expect(readAdminPath(path)).toBeUndefined();
  });

  it('keep the page of a listing, and no other query', () => {
    const read = (path: string, query: string) => readAdminPath(path, new URLSearchParams(query));

    expect(read('/admin/cache/repositories', 'n=5000&last=docker.io/a&x=1&n2=3')).toBe(
      '/admin/cache/repositories?n=1000&last=docker.io%2Fa',
    );
    expect(read('/admin/cache/repositories', '')).toBe('/admin/cache/repositories');
    expect(read('/admin/cache', 'n=1')).toBe('/admin/cache');
    expect(read('/admin/users', 'n=1')).toBe('/admin/users');
    expect(() => read('/admin/cache/repositories', 'n=1&n=2')).toThrow('once');
    expect(() => read('/admin/cache/repositories', 'n=many')).toThrow('whole number');
  });

  it('have one spelling each below /admin/cache: what leads to the router is what was asked (S15)', () => {
    const words = 'cache repositories blobs jobs a a.b .. . A ; * : @ é %61 %2f a:b'.split(' ');
    const part = fc.constantFrom(...words, '', 'a b', '\\', '[::1]:5000', '127.0.0.1:5000', DIGEST);
    fc.assert(
      fc.property(fc.array(part, { maxLength: 6 }), (parts) => {
        const raw = ['/admin/cache', ...parts].join('/');
        const route = readAdminPath(raw);
        if (route === undefined) return;
        expect(route).toBe(raw);
        expect(decodeURIComponent(route)).toBe(raw);
        expect(new URL(route, 'http://gate.example').pathname).toBe(raw);
      }),
      { numRuns: 2000 },
    );
  });
});
