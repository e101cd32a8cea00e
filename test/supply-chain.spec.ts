/** What comes from others: licences, install scripts, the list of it all, and whether anybody knows a fault of it. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join, resolve } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { atTheEnd, freshFolder } from './support/lifecycle';
import { run, succeed } from './support/processes';

const ROOT = resolve(__dirname, '..');
const json = <T>(path: string) => JSON.parse(readFileSync(join(ROOT, path), 'utf8')) as T;

interface Locked {
  readonly version: string;
  readonly integrity?: string;
  readonly dev?: true;
  readonly hasInstallScript?: true;
}

const nameOf = (place: string) => place.slice(place.lastIndexOf('node_modules/') + 13);

const packages = Object.entries(
  json<{ packages: Record<string, Locked> }>('package-lock.json').packages,
)
  .filter(([place]) => place !== '')
  .map(([place, locked]) => ({ place, name: nameOf(place), ...locked }));

/** What the gate runs on. */
const shipped = packages.filter(({ dev }) => !dev);

describe('the lockfile', () => {
  it('has the hash of every package, so that no registry can send another one', () => {
    expect(shipped.length).toBeGreaterThan(100);
    expect(packages.filter(({ integrity }) => !integrity?.startsWith('sha512-'))).toEqual([]);
  });

  it('holds no install script but those that somebody has judged, and only two that may run', () => {
    const { allowScripts } = json<{ allowScripts: Record<string, boolean> }>('package.json');
    const withScript = packages.filter(({ hasInstallScript }) => hasInstallScript);

    expect(withScript.map(({ name }) => name).toSorted()).toEqual(
      Object.keys(allowScripts).toSorted(),
    );
    // bcrypt finds its binary; node brings Node itself, for development.
    expect(Object.keys(allowScripts).filter((name) => allowScripts[name])).toEqual([
      'bcrypt',
      'node',
    ]);
  });
});

describe('the packages that the gate runs on', () => {
  /** Each lets anybody use and pass on the gate under its own licence, and asks for no more than to be named. */
  const ALLOWED = [
    '0BSD',
    'Apache-2.0',
    'BSD-2-Clause',
    'BSD-3-Clause',
    'BlueOak-1.0.0',
    'ISC',
    'MIT',
    'Python-2.0',
  ];

  /** As the package says it, today or in the form of long ago. */
  function licenceOf(place: string): string {
    const { license, licenses } = json<{ license?: string; licenses?: { type: string }[] }>(
      join(place, 'package.json'),
    );
    return license ?? licenses?.map(({ type }) => type).join(' OR ') ?? 'none';
  }

  it('are all under licences that ask for no more than to be named', () => {
    const others = shipped
      .map(({ place }) => `${place}: ${licenceOf(place)}`)
      .filter((line) => !ALLOWED.includes(line.slice(line.indexOf(': ') + 2)));

    expect(others).toEqual([]);
  });
});

describe('npm run sbom', () => {
  interface Component {
    'bom-ref': string;
    name: string;
    version: string;
    purl: string;
    type: string;
    licenses: { license: { id: string } }[];
    hashes: { alg: string; content: string }[];
    externalReferences: { type: string; url: string }[];
  }
  interface Document {
    bomFormat: string;
    specVersion: string;
    serialNumber: string;
    metadata: { component: Component };
    components: Component[];
    dependencies: { ref: string; dependsOn: string[] }[];
  }
  let text: string;
  let document: Document;

  beforeAll(async () => {
    const HOME = freshFolder('sbom');
    const file = join(HOME, 'sbom.json');
    await succeed(process.execPath, [join(ROOT, 'scripts/sbom.mjs'), file], { env: { HOME } });
    text = readFileSync(file, 'utf8');
    document = JSON.parse(text) as Document;
  });

  it('writes CycloneDX about the gate', () => {
    expect(document).toMatchObject({ bomFormat: 'CycloneDX', specVersion: '1.5' });
    expect(document.serialNumber).toMatch(/^urn:uuid:[\da-f-]{36}$/);
    expect(document.metadata.component).toMatchObject({
      type: 'application',
      name: 'tidegate',
      licenses: [{ license: { id: 'MIT' } }],
    });
  });

  it('lists every package that the gate runs on, and none besides', () => {
    const wanted = new Set(shipped.map(({ name, version }) => `${name}@${version}`));

    expect(document.components.map((each) => each['bom-ref']).toSorted()).toEqual(
      [...wanted].toSorted(),
    );
  });

  it('says of each what it is called everywhere, its licence, and the hash of the lockfile', () => {
    const hashes = new Map(
      shipped.map(({ name, version, integrity }) => [
        `${name}@${version}`,
        Buffer.from(integrity!.slice('sha512-'.length), 'base64').toString('hex'),
      ]),
    );
    const wrong = document.components.filter((each) => {
      const purl = `pkg:npm/${each.name.replace('@', '%40')}@${each.version}`;
      return (
        each.purl !== purl ||
        each.licenses.length === 0 ||
        each.hashes[0]?.content !== hashes.get(each['bom-ref'])
      );
    });

    expect(wrong).toEqual([]);
  });

  it('says what needs what, from the gate down to each', () => {
    const edges = new Map(document.dependencies.map(({ ref, dependsOn }) => [ref, dependsOn]));
    const reached = new Set<string>();
    const walk = (ref: string) => {
      if (reached.has(ref)) return;
      reached.add(ref);
      for (const next of edges.get(ref)!) walk(next);
    };
    walk(document.metadata.component['bom-ref']);

    expect(document.components.filter((each) => !reached.has(each['bom-ref']))).toEqual([]);
  });

  it('names neither this machine nor where the packages were downloaded from', () => {
    const kinds = document.components.flatMap((each) =>
      each.externalReferences.map(({ type }) => type),
    );

    expect(new Set(kinds)).not.toContain('distribution');
    expect(text).not.toContain(ROOT);
    expect(text).not.toContain('registry.npmjs.org');
  });
});

describe('npm run audit', () => {
  type Advisories = Record<string, { severity: string }[]>;

  /** A package registry that answers what npm asks with these advisories, or with a status. */
  async function registry(answer: Advisories | number) {
    const asked: string[][] = [];
    const server = createServer(async (request, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      if (request.method !== 'POST' || typeof answer === 'number') {
        response.writeHead(typeof answer === 'number' ? answer : 404).end('{}');
        return;
      }
      const body = Buffer.concat(chunks);
      const zipped = request.headers['content-encoding'] === 'gzip';
      asked.push(Object.keys(JSON.parse(String(zipped ? gunzipSync(body) : body)) as object));
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    atTheEnd(() => server.close());
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    return { asked, url };
  }

  const advisory = (severity: string) => ({
    id: 1,
    url: 'https://advisories.example/1',
    title: 'lets strangers in',
    severity,
    vulnerable_versions: '*',
  });

  /** With nothing remembered: npm keeps an advisory by its number. */
  const audit = (url: string) => {
    const env = { HOME: freshFolder('npm'), npm_config_registry: url };
    return run(process.execPath, [join(ROOT, 'scripts/audit.mjs')], { env });
  };

  it('is content with a registry that knows of nothing', async () => {
    const { url, asked } = await registry({});

    const ended = await audit(url);

    expect(ended).toMatchObject({ code: 0, stderr: '' });
    expect(ended.stdout).toMatch(/^Audit: 0 packages/);
    // What only builds and tests is not asked about.
    expect(asked[0]).toContain('bcrypt');
    expect(asked[0]).not.toContain('jest');
  });

  it.each(['moderate', 'critical'])('fails for what is %s, and names it', async (severity) => {
    const { url } = await registry({ bcrypt: [advisory(severity)] });

    const { code, stdout } = await audit(url);

    expect(code).toBe(1);
    expect(stdout).toContain(
      `Audit: bcrypt: ${severity}: lets strangers in https://advisories.example/1\n`,
    );
  });

  it('tells of what is low, and does not fail for it', async () => {
    const { url } = await registry({ bcrypt: [advisory('low')] });

    const { code, stdout } = await audit(url);

    expect(code).toBe(0);
    expect(stdout).toContain('Audit: bcrypt: low');
  });

  it.each([405, 404, 500])(
    'says plainly that a registry answers %i, and goes on',
    async (status) => {
      const { url } = await registry(status);

      const { code, stdout } = await audit(url);

      expect(code).toBe(0);
      expect(stdout).toMatch(
        new RegExp(`^Audit: the package registry does not say \\(${status} .+\\)\\. Nothing was`),
      );
    },
  );

  it('goes on where there is no registry to be reached', async () => {
    const { code, stdout } = await audit('http://127.0.0.1:1/');

    expect(code).toBe(0);
    expect(stdout).toMatch(/^Audit: the package registry does not say \(.*ECONNREFUSED/);
  });
});
