import { Module, type DynamicModule } from '@nestjs/common';
import { ConfigModule, ConfigService } from '@nestjs/config';
import { Registries } from './registry-table';
import { Secrets } from './secrets';
import { Settings } from './settings';

/** Where the settings lie in Nest's own ConfigService. */
const KEY = 'tidegate';

/**
 * Gives every room the settings, the secrets and the registries in force. All are read and checked before Nest starts,
 * so that a wrong setting ends the process with nothing half-started; the environment is not read a second time here.
 */
@Module({})
export class SettingsModule {
  static forRoot(settings: Settings, secrets: Secrets, registries: Registries): DynamicModule {
    return {
      module: SettingsModule,
      global: true,
      imports: [
        ConfigModule.forRoot({
          isGlobal: true,
          cache: true,
          ignoreEnvFile: true,
          ignoreEnvVars: true,
          skipProcessEnv: true,
          load: [() => ({ [KEY]: settings })],
        }),
      ],
      providers: [
        {
          provide: Settings,
          inject: [ConfigService],
          useFactory: (config: ConfigService) => config.getOrThrow<Settings>(KEY),
        },
        { provide: Secrets, useValue: secrets },
        { provide: Registries, useValue: registries },
      ],
      exports: [Settings, Secrets, Registries],
    };
  }
}
