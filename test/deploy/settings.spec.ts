/** What the sample set-ups tell the gate: settings that there are, a proxy that is believed, a drain that may end. */
import { tmpdir } from 'node:os';
import { readSettings } from '../../src/config/read-settings';
import { SETTINGS } from '../../src/config/setting-table';
import {
  composeEnvironment,
  composeFile,
  kubernetesEnvironment,
  nginxEnvironment,
  sample,
  unitEnvironment,
  type Environment,
} from './samples';

const SAMPLES: readonly (readonly [string, () => Environment])[] = [
  ['traefik', () => composeEnvironment('traefik/compose.yaml')],
  ['caddy', () => composeEnvironment('caddy/compose.yaml')],
  ['nginx', nginxEnvironment],
  ['systemd', () => unitEnvironment('systemd/tidegate.service')],
  ['systemd of a user', () => unitEnvironment('systemd/user/tidegate.service')],
  ['kubernetes, accounts', () => kubernetesEnvironment('accounts')],
  ['kubernetes, relay', () => kubernetesEnvironment('relay')],
];

/** Folders that are not on this machine, and the secret that has to be put in. */
const HERE = { DATA_DIR: tmpdir(), CACHE_DIR: '', TOKEN_SECRET: 'x'.repeat(32) };

/** Variables that are not the gate's: Node's own, and those by which a compose file is filled in. */
const OTHERS = /^(?:NODE_ENV|REGISTRY_(?:DOMAIN|HOSTS)|TRAEFIK_\w+)$/;

const KNOWN = Object.entries(SETTINGS).flatMap(([name, { secret, aliases = [] }]) => {
  const names = [name, ...aliases.map((alias) => alias.name)];
  return secret ? names.flatMap((each) => [each, `${each}_FILE`]) : names;
});

describe.each(SAMPLES)('the sample for %s', (_name, environment) => {
  it('names settings that there are, with values that are taken', () => {
    const named = Object.keys(environment()).filter((name) => !OTHERS.test(name));

    expect(named.filter((name) => !KNOWN.includes(name))).toEqual([]);
    expect(() => readSettings({ ...environment(), ...HERE })).not.toThrow();
  });

  it('believes the proxy in front, and not everybody', () => {
    const { trustProxy } = readSettings({ ...environment(), ...HERE });

    expect([1, ['loopback']]).toContainEqual(trustProxy);
  });
});

describe('the samples together', () => {
  const seconds = (text = '') => Number(/^(\d+)s?$/.exec(text.trim())?.[1]);

  it.each([
    [
      'traefik',
      () => composeFile('traefik/compose.yaml').services['tidegate']?.stop_grace_period,
      {},
    ],
    ['caddy', () => composeFile('caddy/compose.yaml').services['tidegate']?.stop_grace_period, {}],
    ['systemd', () => /^TimeoutStopSec=(.*)$/m.exec(sample('systemd/tidegate.service'))?.[1], {}],
    [
      'systemd of a user',
      () => /^TimeoutStopSec=(.*)$/m.exec(sample('systemd/user/tidegate.service'))?.[1],
      {},
    ],
    ...['accounts', 'relay'].map(
      (variant) =>
        [
          `kubernetes, ${variant}`,
          () =>
            /terminationGracePeriodSeconds: (.*)$/m.exec(
              sample(`kubernetes/${variant}/deployment.yaml`),
            )?.[1],
          kubernetesEnvironment(variant),
        ] as const,
    ),
  ] as const)('%s gives the gate longer than it drains', (_name, given, environment) => {
    const { drainTimeout, drainDelay } = readSettings({ ...environment, ...HERE });

    expect(seconds(given())).toBeGreaterThan((drainTimeout + drainDelay) / 1000);
  });

  it('of a relay starts no gate with the secret that stands in the repository', () => {
    const { DATA_DIR, CACHE_DIR } = HERE;

    expect(() => readSettings({ ...kubernetesEnvironment('relay'), DATA_DIR, CACHE_DIR })).toThrow(
      /TOKEN_SECRET.*32/,
    );
  });
});
