/** The settings in force, as `check-config` prints them. */
import type { SettingName } from './setting-table';
import { formatDuration } from './setting-values';
import { formatBytes, formatSpace } from './size-values';
import type { Settings } from './settings';

/** Each setting by its name with the value in force, as text. Of a secret it says only whether it is set. */
export function describeSettings(settings: Settings): Record<string, string> {
  return {
    ...describeListening(settings),
    ...describeAccounts(settings),
    ...describeTokens(settings),
    ...describeUpstream(settings),
    ...describeCache(settings),
    ...describeRunning(settings),
  } satisfies Record<SettingName, string>;
}

const UNSET = 'not set';
const secret = (value: unknown): string => (value === undefined ? UNSET : 'set (not shown)');
const list = (values: readonly string[]): string => values.join(', ') || UNSET;
/** A proxy's URL without the user and password in it. */
export const shownProxy = (url: URL): string =>
  `${url.protocol}//${url.username === '' ? '' : '***@'}${url.host}`;
const proxy = (url: URL | undefined): string => (url ? shownProxy(url) : UNSET);

function describeListening({ preset, host, port, publicUrl, trustProxy, tls }: Settings) {
  return {
    PRESET: preset ?? UNSET,
    HOST: host,
    PORT: String(port),
    PUBLIC_URL: publicUrl ?? UNSET,
    TRUST_PROXY: typeof trustProxy === 'number' ? String(trustProxy || 'none') : list(trustProxy),
    TLS_CERT_FILE: tls?.certFile ?? UNSET,
    TLS_KEY_FILE: tls?.keyFile ?? UNSET,
  };
}

function describeAccounts(settings: Settings) {
  return {
    DATA_DIR: settings.dataDir,
    HTPASSWD_FILE: settings.htpasswdFile,
    AUTH_MODE: settings.authMode,
    ANONYMOUS_ACCESS: settings.anonymousAccess,
    ANONYMOUS_REPOSITORIES: list(settings.anonymousRepositories),
    TRUSTED_NETWORKS: list(settings.trustedNetworks),
    ADMIN_USERNAME: settings.adminUsername,
    ADMIN_PASSWORD: secret(settings.adminPassword),
    ACCOUNTS: list(settings.accounts.map(({ username }) => username)),
  };
}

function describeTokens(settings: Settings) {
  return {
    TOKEN_SECRET: secret(settings.tokenSecret),
    TOKEN_SECRET_PREVIOUS: secret(settings.tokenSecretPrevious),
    TOKEN_SERVICE: settings.tokenService,
    TOKEN_TTL: formatDuration(settings.tokenTtl * 1000),
  };
}

function describeUpstream({ upstream, outgoingProxy, ...settings }: Settings) {
  return {
    UPSTREAM_REGISTRY: upstream.url.origin,
    UPSTREAM_USERNAME: upstream.credentials?.username ?? UNSET,
    UPSTREAM_PASSWORD: secret(upstream.credentials?.password),
    UPSTREAM_LIBRARY: String(upstream.library ?? UNSET),
    UPSTREAM_REDIRECTS: upstream.redirects,
    CONFIG_FILE: settings.configFile ?? UNSET,
    CUSTOM_DOMAIN: settings.customDomain ?? UNSET,
    TARGET_UPSTREAM: settings.targetUpstream?.url.origin ?? UNSET,
    UPSTREAM_CONNECT_TIMEOUT: formatDuration(upstream.connectTimeout),
    UPSTREAM_HEADER_TIMEOUT: formatDuration(upstream.headerTimeout),
    UPSTREAM_IDLE_TIMEOUT: formatDuration(upstream.idleTimeout),
    HTTP_PROXY: proxy(outgoingProxy.http),
    HTTPS_PROXY: proxy(outgoingProxy.https),
    NO_PROXY: outgoingProxy.except || UNSET,
  };
}

function describeCache({ cache }: Settings) {
  return {
    CACHE: cache ? 'on' : 'off',
    CACHE_DIR: cache?.dir ?? UNSET,
    CACHE_MAX_SIZE: cache ? formatSpace(cache.maxSize) : UNSET,
    CACHE_MIN_FREE: cache ? formatSpace(cache.minFree) : UNSET,
    CACHE_MAX_AGE: cache?.maxAge === undefined ? UNSET : formatDuration(cache.maxAge),
    CACHE_TAG_TTL: cache ? formatDuration(cache.tagTtl) : UNSET,
    CACHE_MEMORY: cache ? formatBytes(cache.memory) : UNSET,
  };
}

function describeRunning(settings: Settings) {
  return {
    RATE_LIMIT: `${settings.rateLimit}/s`,
    RATE_BURST: String(settings.rateBurst),
    MAX_CONNECTIONS: String(settings.maxConnections),
    MAX_UPLOADS: String(settings.maxUploads),
    UPLOAD_TTL: formatDuration(settings.uploadTtl),
    LOG_LEVEL: settings.logLevel,
    DRAIN_TIMEOUT: formatDuration(settings.drainTimeout),
    DRAIN_DELAY: formatDuration(settings.drainDelay),
  };
}
