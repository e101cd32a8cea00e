/** The pages about moving: every setting that they show is taken, together with the line that they add. */
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseEnv } from 'node:util';
import { readSettings } from '../../src/config/read-settings';
import type { Settings } from '../../src/config/settings';
import { freshFolder } from '../support/lifecycle';
import { composeFile, composeVariables, type Environment } from './samples';

const FOLDER = join(__dirname, '../../docs/migrating');

/** What each preset promises, as its page says. */
const PROMISED: Readonly<Record<string, Partial<Settings>>> = {
  dockerpush: { port: 5002, authMode: 'relay' },
  'docker-image-proxy': { authMode: 'relay', tokenService: 'docker-image-proxy' },
  'go-docker-proxy': { port: 8080, authMode: 'relay', customDomain: 'example.com' },
  'nginx-registry': { port: 80, authMode: 'accounts', rateLimit: 10, rateBurst: 20 },
  'docker-io-proxy': { port: 8004, authMode: 'relay' },
};

const pages = readdirSync(FOLDER).filter((name) => /^[\w-]+\.md$/.test(name));
const systems = pages.filter((name) => name !== 'README.md').map((name) => name.slice(0, -3));

interface Start {
  readonly environment: Environment;
  readonly argv: readonly string[];
}

/** The blocks of nothing but settings, and the lines that start a gate with some. */
function startsIn(page: string): Start[] {
  const blocks = readFileSync(join(FOLDER, page), 'utf8').matchAll(/^```sh\n([\s\S]*?)^```$/gm);
  return [...blocks].flatMap(([, block = '']) => {
    const commands = commandsIn(block);
    if (commands.length > 0 || !/^(?:[A-Z_]+=.*\n)+$/.test(block)) return commands;
    return [{ environment: parsed(block), argv: [] }];
  });
}

function commandsIn(block: string): Start[] {
  return [...block.matchAll(/^((?:[A-Z_]+=\S+ )+)npm start(?: -- (.+))?$/gm)].map(
    ([, settings = '', argv]) => ({
      environment: parsed(settings.replaceAll(' ', '\n')),
      argv: argv?.split(' ') ?? [],
    }),
  );
}

const parsed = (text: string) => parseEnv(text) as Environment;

const before = process.cwd();

beforeAll(() => {
  const folder = freshFolder('migrating');
  // What somebody has who comes from nginx-registry.
  mkdirSync(join(folder, 'auth'));
  process.chdir(folder);
});

afterAll(() => process.chdir(before));

it('there is a page for each preset', () => {
  expect(systems.sort()).toEqual(Object.keys(PROMISED).sort());
});

describe.each(systems)('the page about %s', (system) => {
  it('names a preset that brings what it promises', () => {
    const settings = readSettings({ PRESET: system, DATA_DIR: tmpdir() });

    expect(settings).toMatchObject(PROMISED[system]!);
  });

  it('shows settings that are taken beside it', () => {
    const starts = startsIn(`${system}.md`);

    expect(starts.filter(({ environment }) => environment['PRESET'] === system)).not.toEqual([]);
    for (const { environment, argv } of starts) {
      const given = { PRESET: system, ...environment, DATA_DIR: tmpdir() };
      expect(() => readSettings(given, argv)).not.toThrow();
    }
  });
});

it('nginx-registry finds its folder, its port and its name beside Traefik', () => {
  const path = 'traefik/compose.yaml';
  const own = {
    ...composeVariables(path),
    REGISTRY_DOMAIN: 'docker-proxy.yourdomain.com',
    PRESET: 'nginx-registry',
  };
  const environment = composeFile(path, own).services['tidegate']?.environment ?? {};
  const texts = Object.entries(environment).map(([name, value]) => [name, String(value)] as const);

  const settings = readSettings({ ...own, ...Object.fromEntries(texts), DATA_DIR: tmpdir() });

  expect(settings).toMatchObject({
    port: 8080,
    publicUrl: 'https://docker-proxy.yourdomain.com',
    trustProxy: 1,
  });
  // From the folder that the gate is started in, which in the image is /app.
  expect(settings.htpasswdFile).toBe(join(process.cwd(), 'auth/htpasswd'));
});
