import { OciError } from '../oci/oci-error';

/** A registry asks the client itself for a login, or for a better one: whoever talks to the client says so in its own words. */
export class UpstreamChallenge extends OciError {
  /** @param challenge the registry's WWW-Authenticate. */
  constructor(
    readonly registry: string,
    readonly challenge: string | undefined,
  ) {
    super('UNAUTHORIZED');
  }
}
