/**
 * `npm run sbom`: what the gate is made of, as CycloneDX in sbom.json (or in the file that is named): every package
 * that runs, with version, licence, hash and what needs it. What only builds and tests is left out, and so is Node
 * itself, which the image brings.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');
const [file = join(ROOT, 'sbom.json')] = process.argv.slice(2);

/**
 * All that is installed. npm's own `--omit dev` leaves out whatever any package anywhere calls a devDependency, too.
 */
function everything() {
  const { status, error, stdout, stderr } = spawnSync(
    'npm',
    ['sbom', '--sbom-format', 'cyclonedx'],
    {
      cwd: ROOT,
      encoding: 'utf8',
      maxBuffer: 64 * 1024 * 1024,
      shell: process.platform === 'win32',
    },
  );
  if (status === 0) return JSON.parse(stdout);
  process.stderr.write(`${stderr ?? ''}${error ? `${error.message}\n` : ''}`);
  process.stderr.write('npm cannot list what is installed; type: npm ci\n');
  process.exit(1);
}

const forDevelopment = ({ properties = [] }) =>
  properties.some(({ name }) => name === 'cdx:npm:package:development');

/**
 * Without where it was downloaded from: that is this machine's mirror of the package registry, and nobody else's
 * matter.
 */
const withoutMirror = ({ externalReferences = [], ...component }) => ({
  ...component,
  externalReferences: externalReferences.filter(({ type }) => type !== 'distribution'),
});

const { metadata, components, dependencies, ...head } = everything();
const { name } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
const shipped = components.filter((component) => !forDevelopment(component)).map(withoutMirror);
const root = metadata.component['bom-ref'];
const refs = new Set([root, ...shipped.map((component) => component['bom-ref'])]);

const document = {
  ...head,
  // npm names it after the folder.
  metadata: {
    ...metadata,
    component: { ...withoutMirror(metadata.component), type: 'application', name },
  },
  components: shipped,
  dependencies: dependencies
    .filter(({ ref }) => refs.has(ref))
    .map(({ ref, dependsOn }) => ({ ref, dependsOn: dependsOn.filter((each) => refs.has(each)) })),
};
writeFileSync(resolve(file), `${JSON.stringify(document, null, 2)}\n`);
process.stderr.write(`${file}: ${shipped.length} packages\n`);
