import { UpstreamChallenge } from './upstream-challenge';

describe('what a registry asks of a client itself', () => {
  it('is a refusal without a challenge where nobody puts it in words of the gate', () => {
    const error = new UpstreamChallenge('Bearer realm="https://auth.example"');

    expect([error.code, error.status, error.headers]).toEqual(['UNAUTHORIZED', 401, {}]);
    expect(error.challenge).toBe('Bearer realm="https://auth.example"');
    expect(JSON.stringify(error)).not.toContain('auth.example');
  });
});
