/** The config file: what it says of registries, read key by key. docs/registries.md tells of each key. */
import { basename, dirname, resolve } from 'node:path';
import { z } from 'zod';
import { upstreamPassword, upstreamUsername } from './account-values';
import { outgoingProxy, registryOrigin } from './address-values';
import { peerHost, registryHost, registryName } from './registry-values';
import { duration, flag, oneOf } from './setting-values';
import { shownValue, type Faults } from './settings-error';
import { MAX_TOLD, YamlDocument, type YamlPath } from './yaml-document';

const DAY = 24 * 3600 * 1000;

const CREDENTIALS = z
  .strictObject({
    username: upstreamUsername,
    password: upstreamPassword.optional(),
    password_file: z.string().min(1, 'is empty; give the path of a file').optional(),
  })
  .refine(
    ({ password, password_file }) => (password === undefined) !== (password_file === undefined),
    { error: 'needs either password or password_file; give one of them' },
  );

const ENTRY = z.strictObject({
  name: registryName,
  enabled: flag.optional(),
  url: registryOrigin.optional(),
  hosts: z.array(registryHost).optional(),
  credentials: z.array(CREDENTIALS).optional(),
  mirrors: z.array(z.strictObject({ url: registryOrigin, tags: flag.optional() })).optional(),
  redirects: oneOf('follow', 'pass').optional(),
  redirect_hosts: z.array(peerHost).optional(),
  auth_hosts: z.array(peerHost).optional(),
  library: flag.optional(),
  tag_ttl: duration(0, 30 * DAY).optional(),
  search: registryOrigin.optional(),
  proxy: outgoingProxy.optional(),
  ca_file: z.string().min(1, 'is empty; give the path of a file').optional(),
});

/** The keys of an entry. */
export const REGISTRY_KEYS = Object.keys(ENTRY.shape);

/** A list whose entries were all taken out is no list to YAML. */
const FILE = z.strictObject({
  registries: z.preprocess((value) => (value === '' ? [] : value), z.array(z.unknown())).optional(),
});

type Values = z.output<typeof ENTRY>;

/** What the file says of one registry. */
export interface RegistryEntry extends Omit<Values, 'ca_file' | 'credentials'> {
  readonly credentials?: readonly {
    readonly username: string;
    readonly password?: string;
    /** Absolute. */
    readonly passwordFile?: string;
  }[];
  /** Absolute. */
  readonly caFile?: string;
  /** How a fault names one of its keys: `tidegate.yaml:7: registries[1].url`. */
  at(...path: YamlPath): string;
}

/**
 * The entries of a config file that are right, each by itself.
 * @param path of the file; those that it names are found from its folder.
 * @param faults takes everything that is wrong.
 */
export function parseRegistriesFile(text: string, path: string, faults: Faults): RegistryEntry[] {
  const document = new YamlDocument(text, basename(path), faults);
  if (document.value === undefined) return [];
  const tell = new FaultTeller(document, faults);
  const file = FILE.safeParse(document.value);
  if (!file.success) {
    tell.all(file.error.issues, [], document.value);
    return [];
  }
  return (file.data.registries ?? []).flatMap((value, index) => {
    const entry = ENTRY.safeParse(value);
    if (entry.success) return [entryOf(entry.data, index, document, dirname(path))];
    tell.all(entry.error.issues, ['registries', index], value);
    return [];
  });
}

function entryOf(
  { ca_file, credentials, ...values }: Values,
  index: number,
  document: YamlDocument,
  folder: string,
): RegistryEntry {
  return {
    ...values,
    credentials: credentials?.map(({ username, password, password_file }) => ({
      username,
      password,
      passwordFile: password_file && resolve(folder, password_file),
    })),
    caFile: ca_file && resolve(folder, ca_file),
    at: (...path) => placeIn(document, ['registries', index, ...path]),
  };
}

/** `tidegate.yaml:7: registries[1].url` */
function placeIn(document: YamlDocument, path: YamlPath): string {
  const keys = path.map((key) => (typeof key === 'number' ? `[${key}]` : `.${String(key)}`));
  return `${document.file}:${document.lineOf(path)}: ${keys.join('').replace(/^\./, '')}`.trimEnd();
}

/** Keys whose values may hold a password. */
const HIDDEN: ReadonlySet<PropertyKey> = new Set(['credentials', 'proxy']);

/** Says where something is wrong, and what; of what may be secret nothing but the place. */
class FaultTeller {
  #told = 0;

  constructor(
    private readonly document: YamlDocument,
    private readonly faults: Faults,
  ) {}

  /** @param value what was read, found at `above`. */
  all(issues: readonly z.core.$ZodIssue[], above: YamlPath, value: unknown): void {
    for (const issue of issues) {
      const path = [...above, ...issue.path];
      if (issue.code === 'unrecognized_keys') this.#unknown(issue.keys, path);
      else this.#tell(() => this.#issue(issue, path, valueAt(value, issue.path)));
    }
  }

  #tell(fault: () => string): void {
    this.#told += 1;
    if (this.#told <= MAX_TOLD) this.faults.add(fault());
    else this.faults.add(`${this.document.file} is wrong in more places; correct these first`);
  }

  #unknown(keys: readonly string[], path: YamlPath): void {
    const known = knownKeys(path).join(', ');
    for (const key of keys)
      this.#tell(() => `${this.#unknownKey(key, path)} is not known; the keys here are ${known}`);
  }

  #unknownKey(key: string, path: YamlPath): string {
    const at = [...path, key];
    // `{ username: robot, hunter2 }`: what was meant as a value is a key.
    const shown = !path.some((part) => HIDDEN.has(part)) && /^[\w-]{1,40}$/.test(key);
    return shown
      ? placeIn(this.document, at)
      : `${this.document.file}:${this.document.lineOf(at)}: a key`;
  }

  /** A value is shown where a single one was to stand, and never a whole list or document. */
  #issue(issue: z.core.$ZodIssue, path: YamlPath, found: unknown): string {
    const place =
      path.length === 0 ? `${this.document.file}: the document` : placeIn(this.document, path);
    if (issue.code === 'invalid_type') return `${place} ${typeFault(issue.expected, found)}`;
    const shown = typeof found === 'string' && !path.some((part) => HIDDEN.has(part));
    return `${place}${shown ? `=${shownValue(found)}` : ''} ${issue.message}`;
  }
}

function valueAt(value: unknown, path: YamlPath): unknown {
  return path.reduce<unknown>(
    (at, key) => (at as Record<PropertyKey, unknown> | undefined)?.[key],
    value,
  );
}

function typeFault(expected: string, found: unknown): string {
  if (found === undefined) return 'is missing; give it';
  switch (expected) {
    case 'string':
      return 'is not a text; give one value';
    case 'array':
      return 'is not a list; give [ ] with what belongs in it';
    default:
      return 'is not a map; give keys with their values';
  }
}

function knownKeys(path: YamlPath): string[] {
  if (path.length === 0) return Object.keys(FILE.shape);
  if (path.includes('credentials')) return Object.keys(CREDENTIALS.shape);
  if (path.includes('mirrors')) return ['url', 'tags'];
  return REGISTRY_KEYS;
}
