import { Module } from '@nestjs/common';
import { HelpController } from './help.controller';

/** How clients are set up for the gate. */
@Module({ controllers: [HelpController] })
export class HelpModule {}
