/** The sample set-ups of deploy/, and the environment that each of them gives the gate. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseEnv } from 'node:util';
import { parse } from 'yaml';

const ROOT = join(__dirname, '../..');

export type Environment = Record<string, string>;

export function sample(path: string): string {
  return readFileSync(join(ROOT, 'deploy', path), 'utf8');
}

/** One service of a compose file, as far as the tests look at it. */
export interface ComposeService {
  readonly image?: string;
  readonly ports?: readonly string[];
  readonly environment?: Environment;
  readonly labels?: Environment;
  readonly stop_grace_period?: string;
}

export interface ComposeFile {
  readonly services: Readonly<Record<string, ComposeService>>;
  readonly networks?: Readonly<Record<string, unknown>>;
}

const INNERMOST = /\$\{(\w+)(?:(:-|:\?)((?:(?!\$\{)[^}])*))?\}/;

/** Fills in variables as `docker compose` does: `${A}`, `${A:-else}`, `${A:?fault}`, one within another. */
export function interpolated(text: string, variables: Environment): string {
  let rest = text;
  for (let found = INNERMOST.exec(rest); found; found = INNERMOST.exec(rest)) {
    const [whole, name = '', way, other = ''] = found;
    const value = variables[name] ?? '';
    if (value === '' && way === ':?') throw new Error(`${name} ${other}`);
    // A function: what is filled in may have a $ of its own.
    rest = rest.replace(whole, () => (value === '' && way === ':-' ? other : value));
  }
  return rest;
}

/** A compose file of deploy/ with the variables of its .env.example, or with others. */
export function composeFile(
  path: string,
  variables: Environment = composeVariables(path),
): ComposeFile {
  return parse(interpolated(sample(path), variables)) as ComposeFile;
}

export function composeVariables(path: string): Environment {
  return parseEnv(sample(path.replace('compose.yaml', '.env.example'))) as Environment;
}

/** What one of the two compose files gives the gate: .env, and what the file itself says, which wins. */
export function composeEnvironment(path: string): Environment {
  const own = Object.entries(composeFile(path).services['tidegate']?.environment ?? {});
  // A number is its text to a container.
  const texts = own.map(([name, value]) => [name, String(value)] as const);
  return { ...composeVariables(path), ...Object.fromEntries(texts) };
}

/** The `Environment=` lines of a systemd unit. */
export function unitEnvironment(path: string): Environment {
  const pairs = [...sample(path).matchAll(/^Environment=(.*)$/gm)]
    .flatMap(([, line = '']) => line.split(' '))
    .map((pair) => pair.split(/=(.*)/s).slice(0, 2));
  return Object.fromEntries(pairs) as Environment;
}

/** The settings that the head of the nginx sample asks for. */
export function nginxEnvironment(): Environment {
  const lines = [...sample('nginx/tidegate.conf').matchAll(/^# {3}([A-Z_]+)=(.*)$/gm)];
  return Object.fromEntries(lines.map(([, name = '', value = '']) => [name, value]));
}

export const KUBERNETES = ['accounts', 'relay'] as const;

export interface Container {
  readonly env: readonly { readonly name: string; readonly value: string }[];
}

/** A manifest, as far as the tests look at it. */
export interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly annotations?: Environment };
  readonly stringData?: Environment;
  readonly spec?: {
    readonly replicas?: number;
    readonly strategy?: { readonly type: string };
    readonly template?: {
      readonly spec: {
        readonly containers: readonly Container[];
        readonly volumes: readonly Record<string, unknown>[];
      };
    };
  };
}

export function manifest(path: string): Manifest {
  return parse(sample(`kubernetes/${path}`)) as Manifest;
}

/** What a Kubernetes variant gives the gate: its Secret, and the container's own variables, which win. */
export function kubernetesEnvironment(variant: string): Environment {
  const own = manifest(`${variant}/deployment.yaml`).spec?.template?.spec.containers[0]?.env ?? [];
  const variables = own.map(({ name, value }) => [name, value] as const);
  return {
    ...manifest(`${variant}/secret.yaml`).stringData,
    ...Object.fromEntries(variables),
  };
}
