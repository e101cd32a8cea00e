/** The real nginx with a server block of an old system's README: only ports and folders are exchanged. */
import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { selfSigned } from './certificates';
import { freePort } from './free-port';
import { freshFolder } from './lifecycle';
import { Service } from './processes';

/** Where its block listens: without TLS as the README has it, and by TLS, too. */
export interface OldNginx {
  readonly plain: number;
  readonly tls: number;
  /** A folder with the `ca.crt` of its certificate. */
  readonly certificates: string;
}

/** Ports for one that is started once the gate behind it is there, and its certificate. */
export async function prepareOldNginx(name: string): Promise<OldNginx> {
  const certificates = freshFolder('certificates');
  const { key, cert } = selfSigned([name]);
  writeFileSync(join(certificates, 'ca.crt'), cert);
  writeFileSync(join(certificates, 'server.pem'), cert + key);
  return { plain: await freePort(), tls: await freePort(), certificates };
}

/** @param block its `server { … }`, with `listen 80;`. */
export async function startOldNginx(
  { plain, tls, certificates }: OldNginx,
  block: string,
): Promise<Service> {
  const folder = freshFolder('nginx');
  const pem = join(certificates, 'server.pem');
  const listen = `listen 127.0.0.1:${plain}; listen 127.0.0.1:${tls} ssl;`;
  const config = [
    'daemon off;',
    'master_process off;',
    `pid ${folder}/nginx.pid;`,
    'error_log stderr;',
    'events {}',
    'http {',
    `ssl_certificate ${pem}; ssl_certificate_key ${pem};`,
    ...['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
      (kind) => `${kind}_temp_path ${folder}/temporary-${kind};`,
    ),
    block.replace('listen 80;', listen).replaceAll('/var/log/nginx', folder),
    '}',
  ];
  writeFileSync(join(folder, 'nginx.conf'), config.join('\n'));
  const service = new Service('nginx', ['-p', folder, '-c', join(folder, 'nginx.conf')]);
  await service.until('nginx listens', () => listens(plain));
  return service;
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}
