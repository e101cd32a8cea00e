import { ConfigService } from '@nestjs/config';
import { Test } from '@nestjs/testing';
import { SettingsModule } from './config.module';
import { readSettings } from './read-settings';
import { Registries } from './registry-table';
import { registryTableOf } from './registry-table-of';
import { Secrets } from './secrets';
import { Settings } from './settings';

describe('SettingsModule', () => {
  it('gives every room the very settings, secrets and registries that were made before', async () => {
    const settings = readSettings({});
    const secrets = new Secrets('x'.repeat(32));
    const registries = new Registries(registryTableOf(settings));

    const app = await Test.createTestingModule({
      imports: [SettingsModule.forRoot(settings, secrets, registries)],
    }).compile();

    expect(app.get(Settings)).toBe(settings);
    expect(app.get(Secrets)).toBe(secrets);
    expect(app.get(Registries)).toBe(registries);
    await app.close();
  });

  it('reads nothing from the environment', async () => {
    const settings = readSettings({});
    const registries = new Registries(registryTableOf(settings));
    const before = { ...process.env };
    const app = await Test.createTestingModule({
      imports: [SettingsModule.forRoot(settings, new Secrets('x'.repeat(32)), registries)],
    }).compile();

    expect(app.get(ConfigService).get('PATH')).toBeUndefined();
    expect({ ...process.env }).toEqual(before);
    await app.close();
  });
});
