import { runInNewContext } from 'node:vm';
import { openAdminRoom } from '../../test/support/admin-room';
import { send } from '../../test/support/http';

let gate: Awaited<ReturnType<typeof openAdminRoom>>;

beforeAll(async () => {
  gate = await openAdminRoom();
});

describe('/admin/api', () => {
  it('describes the routes with the schemas that bodies are checked by', async () => {
    const answer = await gate.ask('/admin/api/openapi.json');
    expect(answer.status).toBe(200);
    const document = answer.json<{
      info: { version: string };
      paths: Record<
        string,
        Record<
          string,
          {
            requestBody?: {
              content: Record<
                string,
                { schema: { properties: object; additionalProperties: boolean } }
              >;
            };
          }
        >
      >;
    }>();
    expect(document.info.version).toBe('1.2.3');
    expect(
      Object.entries(document.paths)
        .flatMap(([path, methods]) => Object.keys(methods).map((method) => `${method} ${path}`))
        .sort(),
    ).toEqual([
      'delete /admin/cache',
      'delete /admin/cache/blobs/{digest}',
      'delete /admin/cache/jobs/{id}',
      'delete /admin/cache/repositories/{name}',
      'delete /admin/users/{username}',
      'delete /admin/users/{username}/sessions',
      'get /admin/cache',
      'get /admin/cache/jobs',
      'get /admin/cache/jobs/{id}',
      'get /admin/cache/repositories',
      'get /admin/users',
      'get /admin/users/{username}',
      'get /token',
      'patch /admin/users/{username}',
      'post /admin/cache/prefetch',
      'post /admin/cache/verify',
      'post /admin/users',
      'post /token',
    ]);
    const { schema } =
      document.paths['/admin/users']?.['post']?.requestBody?.content['application/json'] ?? {};
    expect(Object.keys(schema?.properties ?? {})).toEqual([
      'username',
      'password',
      'role',
      'access',
      'disabled',
      'expires',
    ]);
    expect(schema?.additionalProperties).toBe(false);
  });

  it('is a page that needs nothing from elsewhere and runs no script of its own text', async () => {
    const page = await gate.ask('/admin/api');
    expect([page.status, page.headers['content-type']]).toEqual([200, 'text/html; charset=utf-8']);
    const policy = page.headers['content-security-policy'];
    expect(policy).toMatch(/default-src 'none'; script-src 'self';/);
    const named = [...page.text.matchAll(/(?:src|href)="([^"]+)"/g)].map(
      ([, address]) => address ?? '',
    );
    expect(named).toHaveLength(4);
    for (const address of named) {
      const { status, headers, body } = await gate.ask(address);
      expect([status, headers['x-content-type-options'], headers['cache-control']]).toEqual([
        200,
        'nosniff',
        'no-store',
      ]);
      expect(headers['content-type']).toMatch(/^(?:text\/css|text\/javascript|image\/png)/);
      expect(body.length).toBeGreaterThan(50);
    }
  });

  it('finds its document by the origin, whatever login the address was typed with', async () => {
    const { text } = await gate.ask('/admin/api/start.js');
    const asked: { url: string }[] = [];
    const location = { origin: 'http://gate.example', href: 'http://a:b@gate.example/admin/api' };
    runInNewContext(text, {
      location,
      SwaggerUIBundle: (options: { url: string }) => void asked.push(options),
    });

    expect(asked).toMatchObject([{ url: 'http://gate.example/admin/api/openapi.json' }]);
  });

  it.each([
    ['/admin/api', 405],
    ['/admin/api/openapi.json', 405],
    ['/admin/api/start.js', 405],
    ['/admin/api/swagger-ui.css', 405],
    ['/admin/api/package.json', 404],
    ['/admin/nothing', 404],
  ])('is there to be read: POST %s is %d', async (path, status) => {
    const answer = await gate.ask(path, { method: 'POST' });
    expect([answer.status, answer.headers.allow]).toEqual([
      status,
      status === 405 ? 'GET, HEAD' : undefined,
    ]);
  });

  it.each([
    'package.json',
    'index.html',
    'swagger-ui.css.map',
    '..%2fpackage.json',
    'swagger-ui.js',
    '__proto__',
  ])('serves no other file: %s', async (name) => {
    expect([400, 404]).toContain((await gate.ask(`/admin/api/${name}`)).status);
  });

  it.each([
    '/admin/api',
    '/admin/api/openapi.json',
    '/admin/api/start.js',
    '/admin/api-json',
    '/admin/users',
  ])('shows a stranger nothing: %s (S38)', async (path) => {
    expect([401, 404]).toContain((await send(`${gate.url}${path}`)).status);
  });
});
