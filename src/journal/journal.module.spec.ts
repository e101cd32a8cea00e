import { Inject, Injectable, Module } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { Audit } from './audit';
import { JournalModule } from './journal.module';
import { createLog, Log } from './log';

@Injectable()
class Room {
  constructor(
    @Inject(Log) readonly log: Log,
    readonly audit: Audit,
  ) {}
}

@Module({ providers: [Room] })
class RoomModule {}

describe('JournalModule', () => {
  it('gives every room the log, and an audit trail that no level but silent quiets', async () => {
    const texts: string[] = [];
    const log = createLog({ logLevel: 'error' }, { write: (text) => void texts.push(text) });
    const app = await Test.createTestingModule({
      imports: [JournalModule.forRoot(log), RoomModule],
    }).compile();
    const room = app.get(Room);

    room.log.info('not this');
    room.audit.write({ event: 'login', actor: 'ci', detail: { password: 'hunter2' } });

    expect(room.log).toBe(log);
    expect(texts.map((text) => JSON.parse(text) as unknown)).toEqual([
      expect.objectContaining({ audit: 'login', actor: 'ci', detail: { password: '***' } }),
    ]);
    await app.close();
  });
});
