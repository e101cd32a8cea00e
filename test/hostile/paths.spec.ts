import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startGate } from '../support/gate';
import { freshFolder } from '../support/lifecycle';
import { visit } from '../support/stand';

describe('S14: paths that lead elsewhere', () => {
  it('neither make, change nor show a file, in the data folder or beside it', async () => {
    const around = freshFolder('around');
    writeFileSync(join(around, 'secret'), 'what lies beside the data folder');
    const dataDir = join(around, 'data');
    mkdirSync(dataDir, { mode: 0o700 });
    const gate = await startGate({
      UPSTREAM_REGISTRY: 'http://127.0.0.1:9',
      DATA_DIR: dataDir,
      RATE_BURST: '100000',
    });
    const who = await visit(gate, await gate.addAccount(), 'team/app', '*');
    const tree = () =>
      readdirSync(around, { recursive: true, encoding: 'utf8' })
        .sort()
        .map((name) => {
          const stats = statSync(join(around, name));
          return [name, stats.isFile() ? readFileSync(join(around, name), 'utf8') : 'folder'];
        });
    const before = tree();

    // As many steps up as lead from wherever the gate keeps something to what lies beside its folder.
    const steps = [1, 2, 3, 4, 5, 6];
    const ways = [
      ...['../', '..%2f', '%2e%2e%2f'].flatMap((up) => steps.map((n) => `${up.repeat(n)}secret`)),
      '..\\secret',
    ];
    for (const way of ways) {
      for (const path of [
        `/v2/team/app/blobs/${way}`,
        `/v2/team/app/blobs/sha256:${way}`,
        `/v2/team/app/manifests/${way}`,
        `/v2/team/app/blobs/uploads/${way}?_state=${encodeURIComponent(way)}`,
        `/v2/${way}/manifests/1`,
        `/admin/users/${way}`,
        `/${way}`,
      ]) {
        for (const method of ['GET', 'PUT', 'PATCH', 'POST', 'DELETE']) {
          const body =
            method === 'GET' || method === 'DELETE' ? undefined : 'written by a stranger';
          const answer = await who.ask(path, { method, body });
          // A token opens nothing of the operators', whatever is asked for there.
          const refused = [400, 404, 405, ...(path.startsWith('/v2/') ? [] : [401])];
          expect([method, path, refused.includes(answer.status)]).toEqual([method, path, true]);
          expect(answer.text).not.toContain('beside the data folder');
        }
      }
    }

    expect(tree()).toEqual(before);
  });
});
