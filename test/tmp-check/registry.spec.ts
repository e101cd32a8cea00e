import { startRegistry, UPSTREAM_KINDS } from '../support/registry';
import { send } from '../support/http';
it.each(UPSTREAM_KINDS)('registry with %s', async (auth) => {
  const r = await startRegistry({ auth });
  const a = await r.ask('/v2/');
  expect(a.status).toBe(200);
  const b = await r.ask('/v2/x/tags/list');
  expect(b.status).toBe(404);
  const c = await send(r.url + '/v2/');
  expect(c.status).toBe(auth === 'none' ? 200 : 401);
  console.log(r.requests(), c.headers['www-authenticate']);
});
