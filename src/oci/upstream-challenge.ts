import { OciError } from './oci-error';

/**
 * A registry asks the client itself for a login, or for a better one. Whoever answers the client says so in the gate's own
 * words; where nobody does, it is a refusal without a challenge.
 */
export class UpstreamChallenge extends OciError {
  /** @param challenge the registry's WWW-Authenticate. */
  constructor(readonly challenge: string | undefined) {
    super('UNAUTHORIZED');
  }
}
