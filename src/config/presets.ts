/**
 * The defaults of the systems that Tidegate takes the place of: PRESET=<name> puts them where Tidegate's own would be.
 * Whatever is set wins over them.
 */
const PRESETS = {
  dockerpush: { PORT: '5002', AUTH_MODE: 'relay' },
  'docker-image-proxy': { AUTH_MODE: 'relay', TOKEN_SERVICE: 'docker-image-proxy' },
  'go-docker-proxy': {
    AUTH_MODE: 'relay',
    CUSTOM_DOMAIN: 'example.com',
    CACHE_DIR: './cache',
  },
  'nginx-registry': {
    AUTH_MODE: 'accounts',
    PORT: '80',
    HTPASSWD_FILE: './auth/htpasswd',
    RATE_LIMIT: '10',
    RATE_BURST: '20',
    MAX_CONNECTIONS: '10',
  },
  'docker-io-proxy': { AUTH_MODE: 'relay', PORT: '8004' },
} as const satisfies Record<string, Readonly<Record<string, string>>>;

export type PresetName = keyof typeof PRESETS;

export const PRESET_NAMES = Object.keys(PRESETS) as [PresetName, ...PresetName[]];

/** The defaults that a preset puts in place of Tidegate's own, by setting. */
export function defaultsOf(preset: PresetName | undefined): Readonly<Record<string, string>> {
  return preset === undefined ? {} : PRESETS[preset];
}
