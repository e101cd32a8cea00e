/** The settings that speak of the registry behind the gate, of limits, and of how the gate runs. */
import { upstreamPassword, upstreamUsername } from './account-values';
import { outgoingProxy, upstreamRegistry } from './address-values';
import { customDomain } from './registry-values';
import { always, optional } from './setting';
import { duration, flag, oneOf, path, proxyExceptions, wholeNumber } from './setting-values';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

export const upstream = {
  UPSTREAM_REGISTRY: always({
    schema: upstreamRegistry,
    default: 'https://registry-1.docker.io',
    meaning:
      'The registry behind the gate: an origin, or `host[:port]`, which is https. Its name in rights and logs is ' +
      "`docker.io` for Docker Hub, else the URL's `host[:port]`.",
    aliases: [{ name: 'UPSTREAM_REGISTRY_HOST' }],
  }),
  UPSTREAM_USERNAME: optional({
    schema: upstreamUsername,
    without: 'anonymous requests',
    example: 'robot',
    meaning: 'The account with which the gate itself asks the registry.',
  }),
  UPSTREAM_PASSWORD: optional({
    schema: upstreamPassword,
    secret: true,
    without: 'anonymous requests',
    meaning: 'Its password or access token.',
  }),
  UPSTREAM_LIBRARY: optional({
    schema: flag,
    without: '`true` for Docker Hub, else `false`',
    example: 'true',
    meaning: 'Whether `nginx` means `library/nginx` at that registry, as it does on Docker Hub.',
  }),
  UPSTREAM_REDIRECTS: always({
    schema: oneOf('follow', 'pass'),
    default: 'follow',
    meaning:
      'What becomes of the redirects by which the registry leads to its blobs on other hosts. `follow`: the gate fetches ' +
      'them there, and can hold them. `pass`: the client is sent there, and has to reach those hosts by itself; such blobs ' +
      'are not held.',
  }),
  CONFIG_FILE: optional({
    schema: path,
    without: '`DATA_DIR/tidegate.yaml`, if it is there',
    example: '/etc/tidegate/tidegate.yaml',
    meaning:
      'More registries, and changes to those that are built in: a YAML file, read again when it changes ' +
      '([registries.md](registries.md)).',
  }),
  CUSTOM_DOMAIN: optional({
    schema: customDomain,
    without: 'none: every host means the default registry',
    example: 'example.com',
    meaning:
      'Gives the registries that are built in hosts of their own: `docker.`, `quay.`, `gcr.`, `k8s.`, `k8s-gcr.`, `ghcr.`, ' +
      '`cloudsmith.`, `ecr.` and more of this domain, which may be `localhost`. A host that is nobody’s is then refused. ' +
      '[registries.md](registries.md) has the table.',
  }),
  TARGET_UPSTREAM: optional({
    schema: upstreamRegistry,
    without: 'such a host is refused',
    example: 'https://registry.example.com',
    meaning:
      'Where a host leads that is nobody’s, as long as `LOG_LEVEL` is `debug` or `trace`. At any other time it has no effect.',
  }),
  UPSTREAM_CONNECT_TIMEOUT: always({
    schema: duration(1, HOUR),
    default: '4s',
    meaning: 'How long a connection to the registry may take to stand.',
  }),
  UPSTREAM_HEADER_TIMEOUT: always({
    schema: duration(1, HOUR),
    default: '30s',
    meaning:
      "How long the registry's answer may take to begin. To the body of an upload it may take ten times that: registries " +
      'hash what they were sent before they answer.',
  }),
  UPSTREAM_IDLE_TIMEOUT: always({
    schema: duration(1, HOUR),
    default: '30s',
    meaning:
      'How long a transfer may stand still. There is no limit on how long one takes as a whole.',
  }),
  HTTP_PROXY: optional({
    schema: outgoingProxy,
    hidden: true,
    without: 'direct',
    example: 'http://proxy.example.com:3128',
    meaning:
      'Proxy for outgoing requests to `http:` addresses. Proxies of http and https only; `user:password@` is allowed. ' +
      'The lower-case name counts too, and wins.',
    aliases: [{ name: 'http_proxy', wins: true }],
  }),
  HTTPS_PROXY: optional({
    schema: outgoingProxy,
    hidden: true,
    without: 'direct',
    example: 'http://proxy.example.com:3128',
    meaning: 'The same for `https:` addresses, by CONNECT.',
    aliases: [{ name: 'https_proxy', wins: true }],
  }),
  NO_PROXY: always({
    schema: proxyExceptions,
    default: '',
    without: 'none',
    example: 'localhost,127.0.0.1,.internal.example.com',
    meaning: 'Hosts that are reached without a proxy, separated by commas; `*` for all.',
    aliases: [{ name: 'no_proxy', wins: true }],
  }),
};

export const running = {
  RATE_LIMIT: always({
    schema: wholeNumber(1, 1_000_000, '/s'),
    default: '50/s',
    meaning: 'Requests per second and client address; an account has four times that.',
  }),
  RATE_BURST: always({
    schema: wholeNumber(1, 10_000_000),
    default: '500',
    meaning: 'Requests that may come at once before that rate counts.',
  }),
  MAX_CONNECTIONS: always({
    schema: wholeNumber(1, 100_000),
    default: '256',
    meaning:
      'Transfers under way at once per account, else per client address. Idle connections do not count.',
  }),
  MAX_UPLOADS: always({
    schema: wholeNumber(1, 1_000_000),
    default: '1000',
    meaning: 'Open uploads per account.',
  }),
  UPLOAD_TTL: always({
    schema: duration(SECOND, 7 * 24 * HOUR),
    default: '24h',
    meaning: 'How long the address of an upload is good after the last answer about it.',
  }),
  LOG_LEVEL: always({
    schema: oneOf('fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'),
    default: 'info',
    meaning:
      'What is logged: `fatal`, `error`, `warn`, `info`, `debug`, `trace` or `silent`. `DEBUG=true` means `debug`.',
    aliases: [{ name: 'DEBUG', schema: flag.transform((on) => (on ? 'debug' : undefined)) }],
  }),
  DRAIN_TIMEOUT: always({
    schema: duration(0, HOUR),
    default: '30s',
    meaning: 'How long transfers may go on after SIGTERM before they are cut.',
  }),
  DRAIN_DELAY: always({
    schema: duration(0, 10 * MINUTE),
    default: '0s',
    meaning:
      'How long the gate goes on listening after SIGTERM while it already says that it is not ready, so that a load ' +
      'balancer sees that first.',
  }),
};
