import { EVERYTHING, startGate } from '../support/gate';
import { askToken, claimsOf, type Account } from '../support/http';

const PULL_TEAM = [{ repository: 'team/**', actions: ['pull' as const] }];

describe('S10: a gate that lets strangers pull', () => {
  it('gives each only their own rights for the same query, in any order and at the same time', async () => {
    const gate = await startGate({
      UPSTREAM_REGISTRY: 'http://127.0.0.1:9',
      ANONYMOUS_ACCESS: 'pull',
    });
    const all = await gate.addAccount(EVERYTHING);
    const few = await gate.addAccount(PULL_TEAM);
    const scopes = ['repository:team/app:pull,push', 'repository:public/app:pull,push'];

    /** What was granted: names without their registry, with their actions. */
    const granted = async (account: Account | undefined) => {
      const answer = await askToken(gate.url, account, ...scopes);
      const { token, refresh_token } = answer.json<{ token: string; refresh_token?: string }>();
      expect([answer.status, answer.headers['cache-control']]).toEqual([200, 'no-store']);
      expect(refresh_token === undefined).toBe(account === undefined);
      const { access, sub } = claimsOf(token);
      expect(sub || undefined).toBe(account?.username);
      return access
        .filter(({ actions }) => actions.length > 0)
        .map(({ name, actions }) => `${name.split('/').slice(-2).join('/')}:${actions.join()}`);
    };

    const order = [all, few, undefined, few, all, undefined];
    const inTurn: string[][] = [];
    for (const account of order) inTurn.push(await granted(account));
    const atOnce = await Promise.all(order.map(granted));

    const [ofAll, ofFew, ofNobody] = inTurn;
    expect(ofAll).toEqual(['team/app:pull,push', 'public/app:pull,push']);
    expect(ofFew).toEqual(['team/app:pull']);
    expect(ofNobody).toEqual(['team/app:pull', 'public/app:pull']);
    for (const answers of [inTurn, atOnce])
      expect(answers).toEqual([ofAll, ofFew, ofNobody, ofFew, ofAll, ofNobody]);
  });
});
