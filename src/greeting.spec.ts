import { settingsFor } from '../test/support/behind-edge';
import { registryTableOf } from './config/registry-table-of';
import { RegistryTable } from './config/registry-table';
import type { Settings } from './config/settings';
import { greeting } from './greeting';

const admin = { username: 'admin', passwordFile: '/nowhere/initial-admin-password' };

function greets(overrides: Partial<Settings>): string[] {
  const settings = settingsFor({ host: '0.0.0.0', ...overrides });
  const table = registryTableOf(settings);
  return greeting(settings, { port: 8080, admin, table }).split('\n');
}

describe('greeting', () => {
  it('says how the first admin logs in', () => {
    expect(greets({})).toEqual([
      'Tidegate listens on http://0.0.0.0:8080',
      'In front of 9 registries, by default docker.io (https://registry-1.docker.io); accounts in /nowhere/htpasswd, data in /nowhere',
      'First admin: admin; the password is in /nowhere/initial-admin-password',
      'Next: docker login localhost:8080 -u admin --password-stdin < /nowhere/initial-admin-password',
      '',
    ]);
  });

  it.each(['relay', 'passthrough'] as const)(
    "never has the admin's password shown to a registry: %s",
    (authMode) => {
      expect(greets({ authMode }).slice(2)).toEqual([
        'First admin, for /admin alone: admin; the password is in /nowhere/initial-admin-password',
        `Clients log in with what docker.io takes (AUTH_MODE=${authMode})`,
        'Next: docker login localhost:8080',
        '',
      ]);
    },
  );

  it('asks nobody to log in where everybody may pull', () => {
    expect(greets({ authMode: 'open' }).slice(2)).toEqual([
      'First admin, for /admin alone: admin; the password is in /nowhere/initial-admin-password',
      'Everybody may pull, without a login (AUTH_MODE=open)',
      'Next: docker pull localhost:8080/REPOSITORY',
      '',
    ]);
  });

  it('names the default registry as the config file has it', () => {
    const settings = settingsFor();
    const url = new URL('http://127.0.0.1:5000');
    const table = new RegistryTable([{ ...registryTableOf(settings).default, url }]);

    expect(greeting(settings, { port: 8080, admin: undefined, table })).toContain(
      'In front of 1 registry, by default docker.io (http://127.0.0.1:5000);',
    );
  });
});
