import { JwtSecretRequestType, type JwtModuleOptions } from '@nestjs/jwt';
import type { Secrets } from '../../config/secrets';

/**
 * By which key a token is signed and verified: signed by the one in force, verified by the one that its header names, of the
 * two that there are. A kid names nothing else: no file, no address, no key that came along (CVE-2024-54150 and its kin).
 */
export function keysOfTokens(
  secrets: Secrets,
): NonNullable<JwtModuleOptions['secretOrKeyProvider']> {
  return (kind, token) => {
    if (kind === JwtSecretRequestType.SIGN) return secrets.current.sign;
    const kid = kidOf(String(token));
    const key = secrets.keys.find(({ id }) => id === kid);
    if (!key) throw new Error('the token names no key of this gate');
    return key.sign;
  };
}

/** The key that a token's header names; whatever else the header says is left to the verification. */
function kidOf(token: string): unknown {
  const header = JSON.parse(
    Buffer.from(token.slice(0, token.indexOf('.')), 'base64url').toString('utf8'),
  ) as { readonly kid?: unknown } | null;
  return header?.kid;
}
