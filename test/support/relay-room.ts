/** The tokens of relay, put together by hand. */
import { JwtService } from '@nestjs/jwt';
import { Secrets } from '../../src/config/secrets';
import type { FixedAccount } from '../../src/config/settings';
import { RelayLogins } from '../../src/auth/relay/relay-logins';
import { RelayTokens } from '../../src/auth/relay/relay-tokens';
import { keysOfTokens } from '../../src/auth/token/token-keys';
import { settingsFor } from './behind-edge';

const SECRET = 'a secret of more than thirty-two bytes';

export function relayTokens(accounts: FixedAccount[] = [], secret = SECRET): RelayTokens {
  const settings = settingsFor({ authMode: 'relay', accounts });
  const secrets = new Secrets(secret);
  const jwt = new JwtService({ secretOrKeyProvider: keysOfTokens(secrets) });
  return new RelayTokens(jwt, secrets, new RelayLogins(settings, secrets), settings);
}
