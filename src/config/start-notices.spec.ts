import { readSettings } from './read-settings';
import { registryTableOf } from './registry-table-of';
import { noticesOf } from './start-notices';

const noticesFor = (env: NodeJS.ProcessEnv) => {
  const settings = readSettings(env);
  return noticesOf(settings, registryTableOf(settings));
};

describe('what is said at start', () => {
  it('is nothing as a rule', () => {
    expect(noticesFor({})).toEqual([]);
    expect(noticesFor({ AUTH_MODE: 'relay', TOKEN_SECRET: 'x'.repeat(32) })).toEqual([]);
    expect(noticesFor({ TRUSTED_NETWORKS: '10.0.0.0/8' })).toEqual([]);
  });

  it.each(['relay', 'passthrough', 'open'])('is what several replicas need with %s', (mode) => {
    expect(noticesFor({ AUTH_MODE: mode })).toEqual([
      ['info', expect.stringMatching(/at this replica alone: .* the same TOKEN_SECRET$/)],
    ]);
  });

  it('is that TARGET_UPSTREAM has no effect, where it has none', () => {
    const env = { TARGET_UPSTREAM: 'registry.example.com' };

    expect(noticesFor(env)).toEqual([['warn', expect.stringContaining('without DEBUG=true')]]);
    const table = { ...env, DEBUG: 'true' };
    expect(noticesFor(table)).toEqual([['warn', expect.stringContaining('without CUSTOM_DOMAIN')]]);
    expect(noticesFor({ ...table, CUSTOM_DOMAIN: 'localhost' })).toEqual([]);
  });

  it('is that everybody may pull, where networks are named beside that', () => {
    expect(noticesFor({ TRUSTED_NETWORKS: '10.0.0.0/8', ANONYMOUS_ACCESS: 'pull' })).toEqual([
      ['warn', expect.stringContaining('everybody may pull without a login')],
    ]);
  });
});
