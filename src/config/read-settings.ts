/** Reads the settings from environment and command line: all or nothing, with every fault told at once. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseEnv } from 'node:util';
import { upstreamLogins } from './account-values';
import { checkTogether } from './check-together';
import { defaultsOf } from './presets';
import type { Setting } from './setting';
import { given, SettingReader, type Given } from './setting-reader';
import { SETTINGS, type SettingValues } from './setting-table';
import type { Settings } from './settings';
import { Faults, reasonOf, SettingsError } from './settings-error';
import { usualMemory } from './settings-of-cache';

/**
 * The settings that environment and command line describe, deeply frozen.
 * @param env variables; unknown ones are not looked at, empty ones count as not set.
 * @param argv arguments after the script's name; only `--server.port=<port>` is known.
 * @throws SettingsError with every fault.
 */
export function readSettings(env: NodeJS.ProcessEnv, argv: readonly string[] = []): Settings {
  const faults = new Faults();
  const texts: Given = { ...env, ...readArguments(argv, faults) };
  const reader = new SettingReader(texts, faults);
  const entries = Object.entries(tableInForce(reader));
  const values: Partial<SettingValues> = Object.fromEntries(
    entries.map(([name, setting]) => [name, reader.read(name, setting)]),
  );
  checkTogether(values, faults, (name) => given(texts, name) !== undefined);
  faults.throwIfAny();
  return deepFreeze(settingsOf(values as SettingValues));
}

/** The table, with the defaults that PRESET brings, and ACCOUNTS read as what AUTH_MODE makes of them. */
function tableInForce(reader: SettingReader): Record<string, Setting<unknown>> {
  const defaults = defaultsOf(reader.read('PRESET', SETTINGS.PRESET));
  const withDefault = <T>(name: string, setting: Setting<T>): Setting<T> => ({
    ...setting,
    default: defaults[name] ?? setting.default,
  });
  const mode = reader.read('AUTH_MODE', withDefault('AUTH_MODE', SETTINGS.AUTH_MODE));
  const accounts =
    mode === 'relay' ? { ...SETTINGS.ACCOUNTS, schema: upstreamLogins } : SETTINGS.ACCOUNTS;
  const table: Record<string, Setting<unknown>> = { ...SETTINGS, ACCOUNTS: accounts };
  return Object.fromEntries(
    Object.entries(table).map(([name, setting]) => [name, withDefault(name, setting)]),
  );
}

/**
 * The environment over what a `.env` file in the folder says.
 * @throws SettingsError when there is such a file and it cannot be read.
 */
export function loadEnvironment(cwd: string = process.cwd()): NodeJS.ProcessEnv {
  const file = join(cwd, '.env');
  try {
    return { ...parseEnv(readFileSync(file, 'utf8')), ...process.env };
  } catch (error) {
    if (reasonOf(error) === 'ENOENT') return { ...process.env };
    throw new SettingsError([
      `${file} cannot be read (${reasonOf(error)}); make it a file that the gate may read, or remove it`,
    ]);
  }
}

const PORT_ARGUMENT = '--server.port';

/** The arguments as texts by name. An unknown one is named without its value, which may be a secret. */
function readArguments(argv: readonly string[], faults: Faults): Given {
  const texts: Record<string, string> = {};
  argv.forEach((argument, index) => {
    const equals = argument.indexOf('=');
    const name = equals < 0 ? argument : argument.slice(0, equals);
    if (name === PORT_ARGUMENT && equals > 0 && argument.length > equals + 1) {
      texts[PORT_ARGUMENT] = argument.slice(equals + 1);
      return;
    }
    const shown = /^--?[a-z][a-z0-9.-]{0,40}$/i.test(name) ? name : `number ${index + 1}`;
    faults.add(
      `the argument ${shown} is not known; give ${PORT_ARGUMENT}=<port> or none, and set the rest in the environment`,
    );
  });
  return texts;
}

function settingsOf(values: SettingValues): Settings {
  return {
    preset: values.PRESET,
    host: values.HOST,
    port: values.PORT,
    publicUrl: values.PUBLIC_URL,
    trustProxy: values.TRUST_PROXY,
    tls:
      values.TLS_CERT_FILE !== undefined && values.TLS_KEY_FILE !== undefined
        ? { certFile: values.TLS_CERT_FILE, keyFile: values.TLS_KEY_FILE }
        : undefined,
    dataDir: values.DATA_DIR,
    htpasswdFile: values.HTPASSWD_FILE ?? join(values.DATA_DIR, 'htpasswd'),
    authMode: values.AUTH_MODE,
    anonymousAccess: values.ANONYMOUS_ACCESS,
    anonymousRepositories: values.ANONYMOUS_REPOSITORIES ?? [],
    trustedNetworks: values.TRUSTED_NETWORKS ?? [],
    adminUsername: values.ADMIN_USERNAME,
    adminPassword: values.ADMIN_PASSWORD,
    accounts: values.ACCOUNTS ?? [],
    tokenSecret: values.TOKEN_SECRET,
    tokenSecretPrevious: values.TOKEN_SECRET_PREVIOUS,
    tokenService: values.TOKEN_SERVICE,
    tokenTtl: values.TOKEN_TTL,
    upstream: upstreamOf(values),
    configFile: values.CONFIG_FILE,
    customDomain: values.CUSTOM_DOMAIN,
    targetUpstream: values.TARGET_UPSTREAM,
    outgoingProxy: { http: values.HTTP_PROXY, https: values.HTTPS_PROXY, except: values.NO_PROXY },
    cache: cacheOf(values),
    rateLimit: values.RATE_LIMIT,
    rateBurst: values.RATE_BURST,
    maxConnections: values.MAX_CONNECTIONS,
    maxUploads: values.MAX_UPLOADS,
    uploadTtl: values.UPLOAD_TTL,
    logLevel: values.LOG_LEVEL,
    drainTimeout: values.DRAIN_TIMEOUT,
    drainDelay: values.DRAIN_DELAY,
  };
}

function upstreamOf(values: SettingValues): Settings['upstream'] {
  const { UPSTREAM_USERNAME: username, UPSTREAM_PASSWORD: password } = values;
  return {
    ...values.UPSTREAM_REGISTRY,
    credentials:
      username !== undefined && password !== undefined ? { username, password } : undefined,
    library: values.UPSTREAM_LIBRARY,
    redirects: values.UPSTREAM_REDIRECTS,
    connectTimeout: values.UPSTREAM_CONNECT_TIMEOUT,
    headerTimeout: values.UPSTREAM_HEADER_TIMEOUT,
    idleTimeout: values.UPSTREAM_IDLE_TIMEOUT,
  };
}

function cacheOf(values: SettingValues): Settings['cache'] {
  if (values.CACHE === 'off') return undefined;
  return {
    dir: values.CACHE_DIR ?? join(values.DATA_DIR, 'cache'),
    maxSize: values.CACHE_MAX_SIZE,
    minFree: values.CACHE_MIN_FREE,
    maxAge: values.CACHE_MAX_AGE,
    tagTtl: values.CACHE_TAG_TTL,
    memory: values.CACHE_MEMORY ?? usualMemory(),
  };
}

/** Freezes what is plain. A URL keeps its state where freezing does not reach; it stays as it is. */
function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || value instanceof URL) return value;
  Object.values(value).forEach(deepFreeze);
  return Object.freeze(value);
}
