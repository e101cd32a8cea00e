import { Module } from '@nestjs/common';
import { EdgeListener } from './edge.listener';

/** What is asked? */
@Module({ providers: [EdgeListener], exports: [EdgeListener] })
export class EdgeModule {}
