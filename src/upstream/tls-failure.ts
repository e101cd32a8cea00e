/**
 * Why no TLS connection to a host could be made, in words for whoever has to mend it. What OpenSSL and Node say is for
 * the log alone: it names addresses, and the names within certificates.
 */

/** Completes a sentence that begins with the host: `reg.example has a TLS certificate that has expired`. */
export interface TlsFailure {
  /** `gone`: the other side left in the middle, and may be back. `unusable`: it will not get better by itself. */
  readonly kind: 'gone' | 'unusable';
  readonly message: string;
}

const PLAIN_HTTP = 'if it speaks plain HTTP, write http:// in its URL';

/** The end of a connection, however it is told. */
const GONE: ReadonlySet<string> = new Set(['ECONNRESET', 'EPIPE']);

/** Node's codes for a certificate that did not hold. https://nodejs.org/api/tls.html#x509-certificate-error-codes */
const CERTIFICATES: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: 'has a TLS certificate that has expired',
  CERT_NOT_YET_VALID: "has a TLS certificate that is not valid yet, or the gate's clock is wrong",
  ERR_TLS_CERT_ALTNAME_INVALID: 'has a TLS certificate for another host name',
  DEPTH_ZERO_SELF_SIGNED_CERT:
    'has a self-signed TLS certificate that the gate does not trust; name it in NODE_EXTRA_CA_CERTS',
  SELF_SIGNED_CERT_IN_CHAIN: untrusted(),
  UNABLE_TO_GET_ISSUER_CERT: untrusted(),
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: untrusted(),
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: untrusted(),
  CERT_REVOKED: 'has a TLS certificate that was revoked',
};

function untrusted(): string {
  return 'has a TLS certificate of a CA that the gate does not trust; name that CA in NODE_EXTRA_CA_CERTS';
}

/** What a peer's first bytes make of the handshake when they are no TLS at all; EPROTO where Node knows no more. */
const NO_TLS = /^(?:EPROTO|ERR_SSL_(?:WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|HTTP_REQUEST))$/;

/** @param error what the socket failed with before it was secure. */
export function tlsFailure(error: unknown): TlsFailure {
  const code = String((error as { code?: unknown } | null | undefined)?.code ?? '');
  if (GONE.has(code))
    return { kind: 'gone', message: `ended the connection in the TLS handshake; ${PLAIN_HTTP}` };
  if (NO_TLS.test(code))
    return { kind: 'unusable', message: `does not speak TLS on that port; ${PLAIN_HTTP}` };
  if (code.startsWith('ERR_SSL_')) {
    return {
      kind: 'unusable',
      message: 'refused the TLS handshake, or has no version of TLS in common with the gate',
    };
  }
  const certificate = Object.hasOwn(CERTIFICATES, code) ? CERTIFICATES[code] : undefined;
  return {
    kind: 'unusable',
    message: certificate ?? 'has no TLS certificate that can be trusted',
  };
}
