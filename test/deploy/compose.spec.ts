/** deploy's compose files and compose.yaml, by the schema that compose itself is described by, and by what they promise. */
import { join } from 'node:path';
import { DCLinter } from 'dclint';
import { parseEnv } from 'node:util';
import { composeFile, composeVariables, interpolated, sample } from './samples';

const ROOT = join(__dirname, '../..');
const FILES = ['traefik/compose.yaml', 'caddy/compose.yaml'];

interface LintResult {
  readonly messages: readonly { readonly rule: string; readonly message: string }[];
}

/** A house style of its own, which is not ours. What is left is about what compose refuses or does twice. */
const STYLE = [
  'no-build-and-image',
  'no-unbound-port-interfaces',
  'require-project-name-field',
  'service-image-require-explicit-tag',
  'service-keys-order',
];

describe.each(['compose.yaml', ...FILES.map((file) => `deploy/${file}`)])('%s', (path) => {
  it('is what the compose specification knows', () => {
    const rules = Object.fromEntries(STYLE.map((name) => [name, 0 as const]));
    const linter = new DCLinter({ rules, quiet: false, debug: false, exclude: [] });

    // Its own types do not resolve.
    const results = linter.lintFiles([join(ROOT, path)], false) as readonly LintResult[];
    const faults = results.flatMap(({ messages }) => messages);

    expect(faults).toEqual([]);
  });
});

describe.each(FILES)('deploy/%s', (path) => {
  const { services } = composeFile(path);

  it('explains every variable that it takes', () => {
    const taken = [...sample(path).matchAll(/\$\{(\w+)/g)].map(([, name]) => name!);
    const example = sample(path.replace('compose.yaml', '.env.example'));
    const explained = Object.keys(parseEnv(example.replace(/^#(?=[A-Z_]+=)/gm, '')));

    expect(taken.filter((name) => !explained.includes(name))).toEqual([]);
    expect(explained.filter((name) => !taken.includes(name))).toEqual([]);
  });

  it('says what is missing without the name of the gate', () => {
    expect(() => composeFile(path, {})).toThrow('REGISTRY_DOMAIN is the name by which');
  });

  it('lets nobody reach the gate past the proxy', () => {
    expect(services['tidegate']?.ports).toBeUndefined();
  });

  it.each(Object.keys(services))('gives %s no more rights than it needs', (name) => {
    expect(services[name]).toMatchObject({
      read_only: true,
      cap_drop: ['ALL'],
      security_opt: ['no-new-privileges:true'],
      restart: 'unless-stopped',
      logging: { driver: 'local' },
    });
  });

  it('tells clients the name under which the proxy has its certificate', () => {
    const { REGISTRY_DOMAIN } = composeVariables(path);

    expect(services['tidegate']?.environment?.['PUBLIC_URL']).toBe(`https://${REGISTRY_DOMAIN}`);
  });
});

describe("Traefik's labels", () => {
  const path = 'traefik/compose.yaml';
  const labels = (more = {}) =>
    composeFile(path, { ...composeVariables(path), ...more }).services['tidegate']?.labels ?? {};

  /** Matchers with arguments in backticks, joined: what Traefik 2 and 3 both read. */
  const RULE = /^(?:Host\(`[a-z0-9.-]+`\))(?: \|\| Host\(`[a-z0-9.-]+`\))*$/;

  it.each([
    ['', 'Host(`gate.example.com`)'],
    ['Host(`example.com`) || Host(`ghcr.example.com`)', undefined],
  ])('have a rule that Traefik reads, with TRAEFIK_RULE=%s', (TRAEFIK_RULE, expected) => {
    const rule = labels({ TRAEFIK_RULE })['traefik.http.routers.tidegate.rule'];

    expect(rule).toMatch(RULE);
    expect(rule).toBe(expected ?? TRAEFIK_RULE);
  });

  it('name router and service by one name, and the network that the gate is on', () => {
    const named = Object.keys(labels()).map(
      (label) => /^traefik\.http\.\w+\.(\w+)\./.exec(label)?.[1],
    );
    const given = {
      TRAEFIK_NETWORK: 'front',
      TRAEFIK_CERTRESOLVER: 'mine',
      TRAEFIK_ENTRYPOINT: 'https',
    };

    expect(new Set(named.filter(Boolean))).toEqual(new Set(['tidegate']));
    expect(labels(given)).toMatchObject({
      'traefik.docker.network': 'front',
      'traefik.http.routers.tidegate.entrypoints': 'https',
      'traefik.http.routers.tidegate.tls.certresolver': 'mine',
      'traefik.http.services.tidegate.loadbalancer.healthcheck.path': '/health/ready',
    });
    expect(composeFile(path, { ...composeVariables(path), ...given }).networks).toEqual({
      traefik: { name: 'front', external: true },
    });
  });

  it('lead to the port that the gate listens on', () => {
    const { environment } = composeFile(path).services['tidegate'] ?? {};

    expect(labels()['traefik.http.services.tidegate.loadbalancer.server.port']).toBe(
      environment?.['PORT'],
    );
  });
});

describe('interpolation', () => {
  it('fills in one variable within another', () => {
    const text = '${A:-x ${B} y} ${B:?must} ${C:-}';

    expect(interpolated(text, { B: '$1' })).toBe('x $1 y $1 ');
    expect(interpolated(text, { A: 'a', B: 'b', C: 'c' })).toBe('a b c');
  });
});
