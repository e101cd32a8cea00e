import {
  Module,
  type DynamicModule,
  type FactoryProvider,
  type ModuleMetadata,
} from '@nestjs/common';
import { TerminusModule } from '@nestjs/terminus';
import { HealthController } from './health.controller';
import { HealthOptions } from './health-source';
import { HealthService } from './health.service';
import { Lifecycle } from './lifecycle';
import { StatusController } from './status.controller';

/**
 * Liveness, readiness, the status document. The rooms are asked through sources, so that health imports none of them.
 */
@Module({})
export class HealthModule {
  static forRootAsync({
    imports,
    ...options
  }: Pick<ModuleMetadata, 'imports'> &
    Pick<FactoryProvider<HealthOptions>, 'inject' | 'useFactory'>): DynamicModule {
    return {
      module: HealthModule,
      // Its logger would repeat with each probe what the faulty room has logged once.
      imports: [TerminusModule.forRoot({ logger: false }), ...(imports ?? [])],
      controllers: [HealthController, StatusController],
      providers: [{ provide: HealthOptions, ...options }, HealthService, Lifecycle],
      exports: [Lifecycle],
    };
  }
}
