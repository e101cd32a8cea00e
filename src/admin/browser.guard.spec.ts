import { SECRET, freshName, openAdminRoom } from '../../test/support/admin-room';
import { errorCode } from '../../test/support/http';

let gate: Awaited<ReturnType<typeof openAdminRoom>>;

beforeAll(async () => {
  gate = await openAdminRoom();
});

describe('browsers', () => {
  const post = (headers: Record<string, string>) =>
    gate.post({ username: freshName(), password: SECRET }, headers);
  const get = (headers: Record<string, string>) => gate.ask('/admin/users', { headers });

  it.each([
    [{ 'sec-fetch-site': 'cross-site' }],
    [{ 'sec-fetch-site': 'same-site' }],
    [{ 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' }],
    [{ origin: 'https://evil.example' }],
    [{ origin: 'null' }],
    [{ origin: 'http://localhost', host: 'localhost:8080' }],
    [{ 'sec-fetch-site': 'none', origin: 'https://evil.example' }],
  ])('may not change anything from another site: %j (S29)', async (headers) => {
    const before = gate.accounts.list().length;
    const refused = await post(headers as Record<string, string>);
    expect([refused.status, errorCode(refused)]).toEqual([403, 'DENIED']);
    expect(gate.accounts.list()).toHaveLength(before);
  });

  it('may from the gate itself', async () => {
    const own = {
      origin: 'http://gate.example:8080',
      host: 'gate.example:8080',
      'sec-fetch-site': 'same-origin',
    };
    expect((await post(own)).status).toBe(201);
    expect(
      (
        await post({
          origin: 'https://gate.example',
          host: 'gate.example:443',
          'x-forwarded-proto': 'https',
        })
      ).status,
    ).toBe(201);
    expect((await get({ 'sec-fetch-site': 'none' })).status).toBe(200);
  });

  it('may read from another site only by following a link', async () => {
    expect(
      (await get({ 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors' })).status,
    ).toBe(403);
    expect((await get({ 'sec-fetch-site': 'same-site', 'sec-fetch-mode': 'cors' })).status).toBe(
      403,
    );
    expect(
      (await get({ 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' })).status,
    ).toBe(200);
  });
});
