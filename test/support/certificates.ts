/** Certificates for tests, made by openssl and trusted by this process alone. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import tls from 'node:tls';

export interface Certificate {
  /** PEM. */
  readonly key: string;
  readonly cert: string;
}

/** A self-signed certificate, good for a day, for those names and addresses. */
export function selfSigned(
  names: readonly string[],
  addresses: readonly string[] = [],
): Certificate {
  const folder = mkdtempSync(join(tmpdir(), 'tidegate-certificate-'));
  try {
    const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
    const alternatives = [
      ...names.map((name) => `DNS:${name}`),
      ...addresses.map((address) => `IP:${address}`),
    ];
    const subject = ['-subj', '/CN=test', '-addext', `subjectAltName=${alternatives.join(',')}`];
    const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
    execFileSync(
      'openssl',
      ['req', '-x509', ...curve, '-days', '1', ...subject, '-keyout', key, '-out', cert],
      {
        stdio: 'ignore',
      },
    );
    return { key: readFileSync(key, 'utf8'), cert: readFileSync(cert, 'utf8') };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Trusts the certificate beside the ordinary authorities; gives a function that takes it back. */
export function trust({ cert }: Certificate): () => void {
  const before = tls.getCACertificates('default');
  tls.setDefaultCACertificates([...before, cert]);
  return () => tls.setDefaultCACertificates(before);
}
