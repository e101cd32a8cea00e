import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { skopeo, strict } from '../support/clients';
import { send } from '../support/http';
import { imageOf, indexOf, layersWith, MIB, writeLayout } from '../support/images';
import { freshFolder } from '../support/lifecycle';
import { Service } from '../support/processes';
import { describeWith } from '../support/tools';

const DEMO = join(__dirname, '../../scripts/demo.mjs');
const PLAIN = ['--src-tls-verify=false', '--dest-tls-verify=false'];

describeWith(['skopeo'], 'npm run demo', () => {
  it('stands up with an account, takes an image and gives it back, and leaves nothing behind', async () => {
    const demo = new Service(process.execPath, [DEMO]);
    const [, password = '', address = '', username = ''] = await demo.until('the commands', () => {
      const login = /echo (\S+) \| docker login (localhost:\d+) -u (\S+) --password-stdin/;
      return login.exec(demo.stdout) ?? undefined;
    });
    const passwordFile = /\$\(cat ([^)]+)\)/.exec(demo.stdout)?.[1] ?? '';
    const image = imageOf(layersWith(MIB));
    const index = indexOf({ amd64: image, arm64: imageOf(layersWith(10), 'arm64') });
    const [layout, out] = [freshFolder('layout'), freshFolder('out')];
    writeLayout(layout, '1', index);
    const client = strict(skopeo());
    const remote = `docker://${address}/team/app`;

    await client('login', '--tls-verify=false', '-u', username, '-p', password, address);
    await client('copy', '--all', ...PLAIN, `oci:${layout}:1`, `${remote}:1`);
    await client('copy', '--all', ...PLAIN, `${remote}:1`, `dir:${out}`);
    const tags = await client('list-tags', '--tls-verify=false', remote);
    const stranger = await send(`http://${address.replace('localhost', '127.0.0.1')}/v2/`);

    expect(readFileSync(join(out, 'manifest.json'))).toEqual(index.manifest);
    expect(JSON.parse(tags)).toMatchObject({ Tags: ['1'] });
    expect(stranger.status).toBe(401);
    expect(existsSync(passwordFile)).toBe(true);
    expect(await demo.stop('SIGINT')).toBe(0);
    expect(existsSync(dirname(passwordFile))).toBe(false);
  });
});
