/** tidegate.example.yaml and docs/registries.md, held against the parser itself. */
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadRegistryTable } from '../src/config/config-file';
import { BUILT_IN_REGISTRIES } from '../src/config/built-in-registries';
import { readSettings } from '../src/config/read-settings';
import { REGISTRY_KEYS } from '../src/config/registries-file';
import { hostsAt } from './support/host-table';
import { freshFolder } from './support/lifecycle';
import { describeWith } from './support/tools';

const ROOT = join(__dirname, '..');
const EXAMPLE = join(ROOT, 'tidegate.example.yaml');
const document = readFileSync(join(ROOT, 'docs/registries.md'), 'utf8');

describeWith(['openssl'], 'tidegate.example.yaml', () => {
  it('is read as it stands, once the files that it names are there', () => {
    const folder = freshFolder('example');
    const secrets = join(folder, 'secrets');
    mkdirSync(secrets);
    copyFileSync(EXAMPLE, join(folder, 'tidegate.yaml'));
    writeFileSync(join(secrets, 'docker-hub-two'), 'another token\n');
    const out = ['-keyout', join(secrets, 'key'), '-out', join(secrets, 'internal-ca.pem')];
    const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
    execFileSync('openssl', ['req', '-x509', ...kind, ...out, '-subj', '/CN=ca'], {
      stdio: 'ignore',
    });

    const table = loadRegistryTable(readSettings({ DATA_DIR: folder }));

    expect(table.default.credentials).toEqual([
      { username: 'robot-one', password: 'an access token' },
      { username: 'robot-two', password: 'another token' },
    ]);
    expect(table.byHost('ghcr.example.com')?.name).toBe('ghcr.io');
    expect(table.byName('k8s.gcr.io')).toBeUndefined();
    expect(table.byName('registry.internal:5000')).toMatchObject({
      url: new URL('https://10.0.0.5:5000'),
      redirectHosts: ['storage.internal'],
      authHosts: ['login.example.org'],
    });
  });
});

describe('the documents of the registries', () => {
  it('show every key, and no other', () => {
    const told = [...document.matchAll(/^\| `(\w+)` +\|/gm)].map(([, key]) => key);

    expect(told.sort()).toEqual([...REGISTRY_KEYS].sort());
    const example = readFileSync(EXAMPLE, 'utf8');
    for (const key of REGISTRY_KEYS) expect(example).toMatch(new RegExp(`^ +(?:- )?${key}:`, 'm'));
  });

  it('name every registry that is built in, and every host of a domain', () => {
    for (const { name } of BUILT_IN_REGISTRIES) expect(document).toContain(`\`${name}\``);
    for (const [host, registry] of hostsAt('example.com'))
      expect(document).toMatch(new RegExp(`^\\|.*\`${host}\`.*\\| \`${registry}\` +\\|$`, 'm'));
  });
});
