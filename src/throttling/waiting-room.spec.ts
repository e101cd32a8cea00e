import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { WaitingRoom } from './waiting-room';

function response(): ServerResponse {
  return new ServerResponse(new IncomingMessage(new Socket()));
}

describe('WaitingRoom', () => {
  it('calls those who wait in the order in which they came, each line by itself', async () => {
    const room = new WaitingRoom();
    const order: string[] = [];
    const waits = ['a1', 'b1', 'a2'].map(async (who) => {
      const outcome = await room.join(who.slice(0, 1), response());
      order.push(`${who} ${outcome}`);
    });
    expect(room.length('a')).toBe(2);
    expect([room.callNext('a'), room.callNext('a'), room.callNext('a')]).toEqual([
      true,
      true,
      false,
    ]);
    expect(room.callNext('b')).toBe(true);
    await Promise.all(waits);
    expect(order).toEqual(['a1 turn', 'a2 turn', 'b1 turn']);
  });

  it('lets nobody in beyond the bound of a line or of the room, and has places again once some left', async () => {
    const room = new WaitingRoom({ perKey: 2, total: 3 });
    const waits = [room.join('a', response()), room.join('a', response())];
    expect(await room.join('a', response())).toBe('full');
    waits.push(room.join('b', response()));
    expect(await room.join('c', response())).toBe('full');
    room.callNext('a');
    waits.push(room.join('c', response()));
    for (const key of ['a', 'b', 'c']) room.dismiss(key);
    expect(await Promise.all(waits)).toEqual(['turn', 'late', 'late', 'late']);
    expect([room.length('a'), room.length('b'), room.length('c')]).toEqual([0, 0, 0]);
  });

  it('ends a wait when patience ends', async () => {
    const room = new WaitingRoom({ patience: 5 });
    expect(await room.join('a', response())).toBe('late');
    expect(room.length('a')).toBe(0);
  });

  it('gives up a place when its client leaves, and takes none for a client that has left', async () => {
    const room = new WaitingRoom();
    const leaving = response();
    const wait = room.join('a', leaving);
    leaving.emit('close');
    expect(await wait).toBe('gone');
    expect(room.length('a')).toBe(0);
    const left = response();
    left.destroy();
    await new Promise((resolve) => left.once('close', resolve));
    expect(await room.join('a', left)).toBe('gone');
  });
});
