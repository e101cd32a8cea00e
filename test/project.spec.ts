/** The project's fixed points: what people and machines that use it may count on, held against the tree itself. */
import 'reflect-metadata';
import { execFileSync, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { AdminModule } from '../src/admin/admin.module';
import { AppModule } from '../src/app.module';
import { AccountsModule } from '../src/auth/accounts/accounts.module';
import { TokenModule } from '../src/auth/token/token.module';
import { readSettings } from '../src/config/read-settings';
import { Registries } from '../src/config/registry-table';
import { registryTableOf } from '../src/config/registry-table-of';
import type { Secrets } from '../src/config/secrets';
import { HealthModule } from '../src/health/health.module';
import { createLog } from '../src/journal/log';
import { OCI_ERRORS } from '../src/oci/oci-error';
import { RegistryModule } from '../src/registry/registry.module';
import { ThrottlingModule } from '../src/throttling/throttling.module';

const ROOT = resolve(__dirname, '..');
const CRUISER = join(ROOT, 'node_modules/dependency-cruiser/bin/dependency-cruiser.mjs');
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');
const manifest = JSON.parse(read('package.json')) as Record<
  'scripts' | 'dependencies' | 'devDependencies',
  Record<string, string>
> & { license: string };

/** What is in version control, or would be with the next commit. */
const files = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], {
  cwd: ROOT,
  encoding: 'utf8',
})
  .split('\n')
  .filter((path) => path !== '' && existsSync(join(ROOT, path)));
const documents = files.filter((path) => path.endsWith('.md'));
const code = files.filter((path) => /^src\/.*(?<!\.spec)\.ts$/.test(path));

describe('the tree', () => {
  it.each([
    'src',
    'src/auth',
    'src/registry',
    'src/cdn',
    'src/admin',
    'src/health',
    'test',
    'Dockerfile',
    'package.json',
    'nest-cli.json',
    'tsconfig.json',
  ])('has %s', (path) => {
    expect(files.some((file) => file === path || file.startsWith(`${path}/`))).toBe(true);
  });

  it.each([
    '@nestjs/core',
    '@nestjs/platform-express',
    '@nestjs/config',
    '@nestjs/jwt',
    '@nestjs/throttler',
    'http-proxy-middleware',
    'bcrypt',
  ])('depends on %s and uses it', (name) => {
    expect(manifest.dependencies).toHaveProperty([name]);
    expect(code.filter((path) => read(path).includes(`from '${name}'`))).not.toEqual([]);
  });

  it('is tested by jest', () => {
    expect(manifest.devDependencies).toHaveProperty('jest');
    expect(manifest.scripts['jest']).toContain('jest/bin/jest.js');
  });

  it('names no folder of the machine that it was made on', () => {
    const own = /(?<![\w.-])\/(?:work|root|home)\/\w/;

    expect(files.filter((path) => own.test(read(path)))).toEqual([]);
  });

  it('has a lockfile that serves every mirror of the package registry', () => {
    expect(read('package-lock.json')).not.toContain('"resolved"');
  });

  it('is under the MIT licence', () => {
    expect(manifest.license).toBe('MIT');
    expect(read('LICENSE')).toMatch(
      /^MIT License\n\nCopyright \(c\) \d{4} Tidegate contributors\n/,
    );
  });
});

describe('the modules', () => {
  type Module = object & { module?: object; imports?: Module[] };

  /** All modules that one brings along, itself among them. Nothing is opened by it. */
  async function modulesIn(
    given: Module | Promise<Module>,
    found = new Set<object>(),
  ): Promise<Set<object>> {
    const { module, imports = [] } = await given;
    const own = module ?? (await given);
    found.add(own);
    const more = [...imports, ...((Reflect.getMetadata('imports', own) ?? []) as Module[])];
    for (const each of more) if (!found.has(each)) await modulesIn(each, found);
    return found;
  }

  it.each([
    ['registry proxying', RegistryModule],
    ['the token service', TokenModule],
    ['accounts', AccountsModule],
    ['throttling', ThrottlingModule],
    ['health', HealthModule],
    ['admin', AdminModule],
  ])('have one for %s, and the application holds it', async (_what, module) => {
    const settings = readSettings({});
    const registries = new Registries(registryTableOf(settings));
    const log = createLog({ logLevel: 'silent' });

    const held = await modulesIn(
      AppModule.forRoot({
        settings,
        secrets: {} as Secrets,
        registries,
        log,
        cache: null,
        configFile: { fault: undefined },
      }),
    );

    expect([...held].includes(module)).toBe(true);
  });
});

describe('the import rules', () => {
  interface Rule {
    name: string;
    comment?: string;
  }
  const { forbidden } = createRequire(__filename)(join(ROOT, '.dependency-cruiser.cjs')) as {
    forbidden: Rule[];
  };

  it('are those of the table in docs/architecture.md', () => {
    const told = read('docs/architecture.md')
      .split('\n')
      .map((line) => /^\| `src\/(\w+)` +\| (.+?) +\|/.exec(line))
      .filter((row) => row !== null)
      .map(([, room, others]) => `src/${room} may import: ${others}.`);
    const held = forbidden
      .filter(({ name }) => name.endsWith('-imports-only-what-it-may'))
      .map(({ comment }) => comment);

    expect(told).toEqual(held);
  });

  it.each([
    [
      'a room that calls back up the stairs',
      'src/registry/a.ts',
      "import '../auth/b';",
      'src/auth/b.ts',
    ],
    [
      'a type from a room that is not below',
      'src/health/a.ts',
      "import type { B } from '../auth/b';",
      'src/auth/b.ts',
    ],
    ['a test in the code', 'src/cdn/a.ts', "import '../../test/b';", 'test/b.ts'],
    ['a folder that is not in the table', 'src/common/a.ts', "import '../oci/b';", 'src/oci/b.ts'],
    ['an entry', 'src/edge/a.ts', "import '../main';", 'src/main.ts'],
  ])('refuse %s', (_what, from, text, to) => {
    const folder = mkdtempSync(join(tmpdir(), 'tidegate-rules-'));
    try {
      for (const [path, content] of [
        ['tsconfig.json', read('tsconfig.json')],
        ['package.json', '{}'],
        ['test/c.ts', 'export {};'],
        [from, text],
        [to, 'export type B = 1;'],
      ] as const) {
        mkdirSync(dirname(join(folder, path)), { recursive: true });
        writeFileSync(join(folder, path), content);
      }

      const { status, stdout } = spawnSync(
        process.execPath,
        [CRUISER, 'src', 'test', '--config', join(ROOT, '.dependency-cruiser.cjs')],
        { cwd: folder, encoding: 'utf8' },
      );

      expect(stdout).toContain(`${from} → ${to}`);
      expect(status).not.toBe(0);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe('the documents', () => {
  it('list every error with its status, and no other', () => {
    const told = [
      ...read('docs/errors.md').matchAll(/^### (\d{3}) `([A-Z_]+)`\n\n\S.*\n\n_Remedy:_ \S/gm),
    ];

    expect(told.map(([, status, name]) => [name, Number(status)])).toEqual(
      Object.entries(OCI_ERRORS).map(([name, [status]]) => [name, status]),
    );
  });

  it.each(['README.md', 'CONTRIBUTING.md', 'SECURITY.md', 'docs/operations.md'])(
    'of %s name only npm scripts that there are',
    (path) => {
      const named = [...read(path).matchAll(/\bnpm (?:run ([\w:]+)|(start|test)\b)/g)].map(
        ([, run, own]) => run ?? own,
      );

      expect(named).not.toEqual([]);
      expect(named.filter((name) => manifest.scripts[name!] === undefined)).toEqual([]);
    },
  );

  it('link only to what is there', () => {
    const broken = documents.flatMap((path) =>
      [...read(path).matchAll(/\]\((?!https?:|#|mailto:)([^)#\s]+)/g)]
        .map(([, target]) => target!)
        .filter((target) => !existsSync(resolve(ROOT, dirname(path), target)))
        .map((target) => `${path} → ${target}`),
    );

    expect(broken).toEqual([]);
  });

  it('give each decision a number, and say its status, context, decision and consequences', () => {
    const records = readdirSync(join(ROOT, 'docs/adr')).sort();

    expect(records.length).toBeGreaterThan(0);
    records.forEach((name, index) => {
      expect(name).toMatch(new RegExp(`^${String(index + 1).padStart(4, '0')}-[a-z0-9-]+\\.md$`));
      const headings = [...read(`docs/adr/${name}`).matchAll(/^## (.+)$/gm)].map(
        ([, heading]) => heading,
      );
      expect([name, ...headings]).toEqual([name, 'Status', 'Context', 'Decision', 'Consequences']);
      expect(read('docs/architecture.md')).toContain(`(adr/${name})`);
    });
  });

  it('keep what is not released yet in the change log', () => {
    expect(read('CHANGELOG.md')).toMatch(/^## Unreleased$/m);
  });
});
