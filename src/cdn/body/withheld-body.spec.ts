import { Sink } from '../../../test/support/content-room';
import type { Body } from './body';
import { bufferBody } from './buffer-body';
import { ClientGone } from './outlet';
import { withheldBody } from './withheld-body';

/** A body that says under which name it was closed. */
function named(name: string, text: string, closed: string[]): Body {
  const body = bufferBody(Buffer.from(text));
  return {
    ...body,
    close: () => {
      closed.push(name);
      body.close();
    },
  };
}

function withheld(sound: Promise<boolean>, first: string | undefined = 'conten') {
  const closed: string[] = [];
  const before = first === '' ? undefined : named('first', first, closed);
  const body = withheldBody(before, named('last', 't', closed), sound);
  return { body, closed, sink: new Sink() };
}

describe('withheldBody', () => {
  it('sends all but the last byte at once, and that one when the content is known to be sound', async () => {
    const sound = Promise.withResolvers<boolean>();
    const { body, closed, sink } = withheld(sound.promise);
    expect(body.length).toBe(7);

    const sending = body.sendTo(sink);
    while (sink.received < 6) await new Promise(setImmediate);
    const before = sink.bytes.toString();
    sound.resolve(true);
    await sending;

    expect([before, sink.bytes.toString(), closed]).toEqual(['conten', 'content', []]);
  });

  it('is the last byte alone where that is all that was asked for', async () => {
    const { body, sink } = withheld(Promise.resolve(true), '');

    await body.sendTo(sink);

    expect([body.length, sink.bytes.toString()]).toEqual([1, 't']);
  });

  it.each(['conten', ''])('never ends well where the content is damaged (%p)', async (first) => {
    const { body, closed, sink } = withheld(Promise.resolve(false), first);

    await expect(body.sendTo(sink)).rejects.toMatchObject({ code: 'UNKNOWN', message: /damaged/ });

    expect([sink.bytes.toString(), closed]).toEqual([first, ['last']]);
  });

  it('lets go of the last byte when its client leaves before', async () => {
    const { body, closed, sink } = withheld(Promise.resolve(true));
    sink.destroy();

    await expect(body.sendTo(sink)).rejects.toBeInstanceOf(ClientGone);

    expect(closed).toEqual(['last']);
  });

  it.each([
    ['conten', ['first', 'last']],
    ['', ['last']],
  ])('given up, lets go of both parts (%p)', (first, all) => {
    const { body, closed } = withheld(Promise.resolve(true), first);

    body.close();

    expect(closed).toEqual(all);
  });
});
