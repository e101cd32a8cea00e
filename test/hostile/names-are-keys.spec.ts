/** S36: names that a client gives are keys into the table of registries, never addresses. */
import { FaultServer } from '../support/fault-server';
import type { Gate } from '../support/gate';
import { bearer, errorCode, send, tokenFor } from '../support/http';
import { imageOf, layersWith } from '../support/images';
import type { Registry } from '../support/registry';
import { seed, startStand, visit, type Visitor } from '../support/stand';
import { describeWith } from '../support/tools';

describeWith(['docker-registry'], 'S36: a name that a client gives', () => {
  const image = imageOf(layersWith(1000));
  let gate: Gate;
  let registry: Registry;
  let who: Visitor;
  let trap: FaultServer;

  beforeAll(async () => {
    ({ gate, registry } = await startStand());
    await seed(registry, 'team/app', '1', image);
    who = await visit(gate, await gate.addAccount(), 'team/app', 'pull,push');
    trap = await FaultServer.start();
  });

  it('as Host leads nowhere but to the registry of the table', async () => {
    for (const host of [trap.host, '169.254.169.254', 'evil.example', 'metadata.google.internal']) {
      const pulled = await who.ask('/v2/team/app/manifests/1', { headers: { host } });
      const missing = await who.ask('/v2/team/app/manifests/none', { headers: { host } });

      expect([host, pulled.status, missing.status]).toEqual([host, 200, 404]);
      expect(pulled.body.equals(image.manifest)).toBe(true);
    }
    expect(trap.accepted).toBe(0);
  });

  it('as prefix or ns opens no connection, by any method and at the token endpoint', async () => {
    const before = (await registry.requests()).length;
    for (const name of [
      trap.host,
      '169.254.169.254',
      'evil.example',
      `${registry.host}.evil.example`,
    ]) {
      for (const [method, path] of [
        ['GET', `/v2/${name}/team/app/manifests/1`],
        ['HEAD', `/v2/${name}/team/app/manifests/1`],
        ['PUT', `/v2/${name}/team/app/manifests/1`],
        ['POST', `/v2/${name}/team/app/blobs/uploads/`],
        ['GET', `/v2/team/app/manifests/1?ns=${name}`],
        ['PUT', `/v2/team/app/manifests/1?ns=${name}`],
        ['POST', `/v2/team/app/blobs/uploads/?ns=${name}`],
        ['GET', `/v2/team/app/manifests/1?ns=${registry.host}&ns=${name}`],
        ['GET', `/v2/auth?ns=${name}&scope=repository:team/app:pull`],
      ] as const) {
        const { status } = await who.ask(path, { method });
        expect([method, path, [400, 404].includes(status)]).toEqual([method, path, true]);
      }
    }
    expect((await registry.requests()).slice(before)).toEqual([]);
    expect(trap.accepted).toBe(0);
  });

  it('that is the name of the registry behind the gate leads there, as prefix and as ns', async () => {
    const account = await gate.addAccount();
    const scopes = [`repository:${registry.host}/team/app:pull`, 'repository:team/app:pull'];
    const headers = bearer((await tokenFor(gate.url, account, ...scopes)).token);

    for (const [pulled, missing] of [
      [`/v2/${registry.host}/team/app/manifests/1`, `/v2/${registry.host}/team/app/manifests/2`],
      [
        `/v2/team/app/manifests/1?ns=${registry.host}`,
        `/v2/team/app/manifests/2?ns=${registry.host}`,
      ],
    ] as const) {
      const found = await send(`${gate.url}${pulled}`, { headers });
      const gone = await send(`${gate.url}${missing}`, { headers });

      expect([pulled, found.status]).toEqual([pulled, 200]);
      expect(found.body.equals(image.manifest)).toBe(true);
      expect([gone.status, errorCode(gone)]).toEqual([404, 'MANIFEST_UNKNOWN']);
    }
  });
});
