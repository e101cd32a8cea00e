import type { IncomingMessage } from 'node:http';
import { tokenRequest } from '../../../test/support/auth-room';
import { attachContext, type RequestContext } from '../../edge/request-context';
import { Voucher, type IssuedToken } from '../voucher';
import { TokenController } from './token.controller';

const issued: IssuedToken = {
  token: 'the token',
  refreshToken: 'the refresh token',
  access: [
    { type: 'repository', name: 'docker.io/team/app', actions: ['pull', 'push'] },
    { type: 'registry', name: 'catalog', actions: ['*'] },
  ],
  expiresIn: 300,
  issuedAt: new Date('2026-01-02T03:04:05Z'),
};

/** Gives out one token to whoever is asked for by the right request. */
class OneToken extends Voucher {
  constructor(private readonly expected: RequestContext) {
    super();
  }
  async admit(): Promise<void> {}
  async token(context: RequestContext): Promise<IssuedToken> {
    expect(context).toBe(this.expected);
    return issued;
  }
}

function asked() {
  const context = tokenRequest();
  const request = {} as IncomingMessage;
  attachContext(request, context);
  return { controller: new TokenController(new OneToken(context)), request };
}

describe('the token endpoint', () => {
  it("answers a GET with docker's document", async () => {
    const { controller, request } = asked();

    expect(await controller.get(request)).toEqual({
      token: 'the token',
      access_token: 'the token',
      expires_in: 300,
      issued_at: '2026-01-02T03:04:05.000Z',
      refresh_token: 'the refresh token',
    });
  });

  it('answers a POST with that of OAuth2, which says what was granted', async () => {
    const { controller, request } = asked();

    expect(await controller.post(request)).toEqual({
      access_token: 'the token',
      token_type: 'Bearer',
      scope: 'repository:docker.io/team/app:pull,push registry:catalog:*',
      expires_in: 300,
      issued_at: '2026-01-02T03:04:05.000Z',
      refresh_token: 'the refresh token',
    });
  });

  it('gives nothing to a request that the edge has not read', async () => {
    const { controller } = asked();

    await expect(controller.get({} as IncomingMessage)).rejects.toMatchObject({ code: 'DENIED' });
    await expect(controller.post({} as IncomingMessage)).rejects.toMatchObject({ code: 'DENIED' });
  });
});
