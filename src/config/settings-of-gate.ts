/** The settings that speak of the gate's own side: listening, accounts, tokens. */
import { fixedAccounts, password, username } from './account-values';
import {
  host,
  listenAddress,
  port,
  publicHost,
  publicUrl,
  trustedNetworks,
  trustedProxies,
} from './address-values';
import { PRESET_NAMES } from './presets';
import { always, optional } from './setting';
import {
  flag,
  keySecret,
  oneOf,
  path,
  repositoryGlobs,
  serviceName,
  wholeSeconds,
} from './setting-values';

export const listening = {
  PRESET: optional({
    schema: oneOf(...PRESET_NAMES),
    without: "Tidegate's own defaults",
    example: 'dockerpush',
    meaning:
      'The defaults of a system that Tidegate takes the place of, in place of its own: `dockerpush`, `docker-image-proxy`, ' +
      '`go-docker-proxy` (also for cloudflare-docker-proxy), `nginx-registry` or `docker-io-proxy`. Whatever is set wins.',
  }),
  HOST: always({
    schema: host,
    default: '0.0.0.0',
    meaning: 'Address to listen on.',
    aliases: [{ name: 'PROXY_LISTEN_ADDR', schema: listenAddress.transform((at) => at.host) }],
  }),
  PORT: always({
    schema: port,
    default: '8080',
    meaning:
      'Port to listen on; 0 takes any free one. `PROXY_LISTEN_ADDR` gives address and port in one: `:5002`, ' +
      '`127.0.0.1:5002`, `[::1]:5002`. On the command line: `--server.port=8004`, which wins.',
    aliases: [
      { name: 'PROXY_LISTEN_ADDR', schema: listenAddress.transform((at) => at.port) },
      { name: '--server.port', wins: true },
    ],
  }),
  PUBLIC_URL: optional({
    schema: publicUrl,
    without: "the request's own Host",
    example: 'https://gate.example.com',
    meaning:
      'Origin by which clients reach the gate; realm, `Location` and `Link` name it. Set it whenever a proxy or a load ' +
      'balancer stands in front. Where it is not set, the Host of each request counts if its form is right, with the ' +
      'scheme of the listener or of a trusted proxy. `SELF_REGISTRY` and `REGISTRY_DOMAIN` may leave the scheme out; then ' +
      'it is https.',
    aliases: [
      { name: 'SELF_REGISTRY', schema: publicHost },
      { name: 'REGISTRY_DOMAIN', schema: publicHost },
    ],
  }),
  TRUST_PROXY: always({
    schema: trustedProxies,
    default: 'none',
    meaning:
      'Whose `X-Forwarded-*` headers count: the number of proxies in front of the gate, or their addresses and networks ' +
      '(`10.0.0.0/8`, `loopback`, `linklocal`, `uniquelocal`), separated by commas. Never everybody: a client could make ' +
      'up its own address.',
  }),
  TLS_CERT_FILE: optional({
    schema: path,
    without: 'plain HTTP',
    example: '/etc/tidegate/tls.crt',
    meaning:
      'Certificate chain (PEM) for HTTPS by the gate itself, together with `TLS_KEY_FILE`. Read again when the files change.',
  }),
  TLS_KEY_FILE: optional({
    schema: path,
    without: 'plain HTTP',
    example: '/etc/tidegate/tls.key',
    meaning: 'Private key (PEM, not encrypted) of that certificate.',
  }),
};

export const accounts = {
  DATA_DIR: always({
    schema: path,
    default: './data',
    meaning:
      'Folder for secrets, accounts and what is known of the cache. It must be writable, and only one gate at a time may ' +
      'use it.',
  }),
  HTPASSWD_FILE: optional({
    schema: path,
    without: '`DATA_DIR/htpasswd`',
    example: '/etc/tidegate/htpasswd',
    meaning:
      'Accounts, in the form that `htpasswd -B` writes (bcrypt). A file that cannot be replaced (a bind-mounted file, a ' +
      'read-only secret) makes accounts read-only.',
  }),
  AUTH_MODE: always({
    schema: oneOf('accounts', 'relay', 'passthrough', 'open'),
    default: 'accounts',
    meaning:
      'Who vouches for a client. `accounts`: the gate, by accounts of its own. `relay`: the registry, by the login that ' +
      'clients have there. `passthrough`: the same, and clients fetch their tokens from the registry itself. `open`: ' +
      'nobody, everybody may pull and nobody push. `SKIP_AUTH_PROXY=true` means `passthrough`.',
    aliases: [
      { name: 'SKIP_AUTH_PROXY', schema: flag.transform((on) => (on ? 'passthrough' : undefined)) },
    ],
  }),
  ANONYMOUS_ACCESS: always({
    schema: oneOf('none', 'pull'),
    default: 'none',
    meaning:
      '`pull`: without a login a client may pull, by anonymous requests to the upstream. What only the configured ' +
      'credentials may see stays closed, unless `ANONYMOUS_REPOSITORIES` names it.',
  }),
  ANONYMOUS_REPOSITORIES: optional({
    schema: repositoryGlobs,
    without: 'no repository',
    example: 'docker.io/library/*,team/public/**',
    meaning:
      'Repositories that anonymous clients get with the configured credentials: names, separated by commas; `*` stands ' +
      'for anything within a segment, `**` for anything across segments, and a name without a registry speaks of the ' +
      'default registry. Needs `ANONYMOUS_ACCESS=pull` or `TRUSTED_NETWORKS`.',
  }),
  TRUSTED_NETWORKS: optional({
    schema: trustedNetworks,
    without: 'none',
    example: '10.0.0.0/8,192.0.2.17',
    meaning:
      'Addresses and networks whose clients may pull without a login, as with `ANONYMOUS_ACCESS=pull`, separated by commas: ' +
      'for clients that cannot log in, such as a docker engine with `registry-mirrors`. The address of the connection ' +
      'counts; a forwarded one only from a proxy that `TRUST_PROXY` names.',
  }),
  ADMIN_USERNAME: always({
    schema: username,
    default: 'admin',
    meaning: 'The first admin, made at the first start. An account that exists is never changed.',
  }),
  ADMIN_PASSWORD: optional({
    schema: password,
    secret: true,
    without: 'made once, kept in `DATA_DIR/initial-admin-password` (mode 0600)',
    meaning: "The first admin's password, of at most 72 bytes.",
  }),
  ACCOUNTS: optional({
    schema: fixedAccounts,
    secret: true,
    without: 'none',
    meaning:
      'Fixed accounts beside the file: base64 of `user:password`, several separated by commas. They cannot be changed ' +
      'while the gate runs. With `AUTH_MODE=relay`: the logins at the registry that are let through, and no others.',
  }),
};

export const tokens = {
  TOKEN_SECRET: optional({
    schema: keySecret,
    secret: true,
    without: 'made once, kept in `DATA_DIR/token-secret` (mode 0600)',
    meaning:
      "Signs tokens and seals upload addresses: at least 32 bytes. Several gates that share it accept each other's tokens.",
    aliases: [{ name: 'SERVER_SECRET' }],
  }),
  TOKEN_SECRET_PREVIOUS: optional({
    schema: keySecret,
    secret: true,
    without: 'none',
    meaning:
      'The secret that was in force before: what it signed stays good until it expires. To change the secret, put the ' +
      'old one here for as long as refresh tokens shall live on.',
  }),
  TOKEN_SERVICE: always({
    schema: serviceName,
    default: 'tidegate',
    meaning: 'The service that the challenge names; `iss` and `aud` of tokens.',
    aliases: [{ name: 'SELF_AUTH_SERVICE' }],
  }),
  TOKEN_TTL: always({
    schema: wholeSeconds(60, 86_400),
    default: '300s',
    meaning: 'How long a token is good; 60 s at least.',
  }),
};
