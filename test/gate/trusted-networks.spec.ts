/** TRUSTED_NETWORKS: pulls without a login from there; a forwarded address counts from a trusted proxy alone. */
import { startGate, type Gate } from '../support/gate';
import { askToken, bearer, send, type TokenAnswer } from '../support/http';
import { imageOf, layersWith } from '../support/images';
import { startRegistry, type Registry } from '../support/registry';
import { seed } from '../support/stand';
import { describeWith } from '../support/tools';

const image = imageOf(layersWith(1000));
const PATH = '/v2/team/app/manifests/1';
const TRUSTED = '127.0.0.5';
const PROXY = '127.0.0.6';
/** A proxy of the operator's within a trusted network. */
const CHATTY = '127.0.0.7';

describeWith(['docker-registry'], 'a trusted network', () => {
  let registry: Registry;
  let gate: Gate;

  beforeAll(async () => {
    registry = await startRegistry();
    await seed(registry, 'team/app', '1', image);
    gate = await startGate({
      UPSTREAM_REGISTRY: registry.url,
      TRUSTED_NETWORKS: `${TRUSTED},${CHATTY},10.0.0.0/8`,
      TRUST_PROXY: `${PROXY},${CHATTY}`,
    });
  });

  const status = async (from: string, headers: Record<string, string> = {}) =>
    (await send(`${gate.url}${PATH}`, { from, headers })).status;

  it('may pull without a login, and nobody else may', async () => {
    expect(await status(TRUSTED)).toBe(200);
    expect(await status('127.0.0.1')).toBe(401);
  });

  it('may not push', async () => {
    const answer = await send(`${gate.url}${PATH}`, { method: 'PUT', from: TRUSTED });

    expect(answer.status).toBe(401);
  });

  it.each(['x-forwarded-for', 'forwarded', 'x-real-ip', 'via'])(
    'is not known by its address behind a proxy that is not trusted, which shows itself by %s',
    async (header) => {
      expect(await status(TRUSTED, { [header]: '203.0.113.7' })).toBe(401);
      expect(await status('127.0.0.1', { [header]: TRUSTED })).toBe(401);
    },
  );

  it('is known by the address that a trusted proxy forwards', async () => {
    expect(await status(PROXY, { 'x-forwarded-for': '10.1.2.3' })).toBe(200);
    expect(await status(PROXY, { 'x-forwarded-for': '203.0.113.7' })).toBe(401);
    expect(await status(PROXY, { 'x-forwarded-for': '10.1.2.3, 203.0.113.7' })).toBe(401);
    expect(await status(PROXY)).toBe(401);
  });

  it('is not known by the address of a proxy in it that nobody trusts, and that forwards for others', async () => {
    expect(await status(PROXY, { 'x-forwarded-for': '203.0.113.7, 10.1.2.3' })).toBe(401);
    expect(await status(PROXY, { 'x-forwarded-for': `10.1.2.3, ${CHATTY}` })).toBe(200);
    expect(await status(PROXY, { 'x-forwarded-for': `203.0.113.7, 10.1.2.3, ${CHATTY}` })).toBe(
      401,
    );
  });

  it('is not taken for the client where it is a proxy that does not say for whom it asks', async () => {
    expect(await status(CHATTY)).toBe(200);
    expect(await status(CHATTY, { 'x-forwarded-proto': 'https' })).toBe(401);
    expect(await status(CHATTY, { 'x-forwarded-for': '' })).toBe(401);
    expect(await status(CHATTY, { 'x-forwarded-for': '203.0.113.7' })).toBe(401);
  });

  it('gets tokens that are worth nothing elsewhere', async () => {
    const url = `${gate.url}/v2/auth?scope=repository:team/app:pull`;
    const answer = await send(url, { from: TRUSTED });
    const headers = bearer(answer.json<TokenAnswer>().token);

    expect(await status(TRUSTED, headers)).toBe(200);
    expect(await status('127.0.0.1', headers)).toBe(401);
    expect((await askToken(gate.url, undefined, 'repository:team/app:pull')).status).toBe(401);
  });
});
