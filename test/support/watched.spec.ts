/** What the tests' own servers and gates are watched for: a watch that never fails would show nothing. */
import { answer, FaultServer } from './fault-server';
import { basic, send } from './http';
import { failOnForeign } from './own-credentials';
import { expectNoSecretIn, keepSecret } from './secrets';

const ROBOT = basic({ username: 'robot', password: 'robot-password' }).authorization;
const STRANGER = basic({ username: 'stranger', password: 'x' }).authorization;

describe('a server that is shown a credential', () => {
  async function shown(headers: Record<string, string>, ...own: string[]): Promise<FaultServer> {
    const server = await FaultServer.start({ handler: answer(200), own });
    await send(server.url.href, { headers });
    return server;
  }

  it.each(['authorization', 'Proxy-Authorization', 'cookie'])(
    'in %s that is not its own fails the test, once',
    async (name) => {
      await shown({ [name]: STRANGER }, ROBOT);

      expect(failOnForeign).toThrow(`${name}: ${STRANGER}`);
      expect(failOnForeign).not.toThrow();
    },
  );

  it('of its own does not', async () => {
    const server = await shown({ authorization: ROBOT }, ROBOT);
    await send(server.url.href, { headers: { authorization: 'Bearer t1' } });
    server.owns(/^Bearer t\d+$/);

    expect(failOnForeign).not.toThrow();
  });
});

it('a secret is found in what a gate says, as it is, in Basic and in a URL', () => {
  const secret = 'a secret/of the tests';
  keepSecret('word', secret);

  for (const said of [
    `x${secret}x`,
    Buffer.from(`robot:${secret}`).toString('base64'),
    Buffer.from(`robots:${secret}!`).toString('base64'),
    `/?x=${encodeURIComponent(secret)}`,
  ])
    expect(() => expectNoSecretIn(said)).toThrow('S31: in the output of a gate: word');
  expect(() => expectNoSecretIn('nothing of it')).not.toThrow();
});
