import fc from 'fast-check';
import { registryAt } from '../../test/support/upstream-fixture';
import { RegistryTable } from '../config/registry-table';
import type { CanonicalName } from '../oci/repository-name';
import { compilePattern, completePattern } from './repository-pattern';

const hub = registryAt('https://registry-1.docker.io', { name: 'docker.io', library: true });
const local = registryAt('http://127.0.0.1:5000');
const dockerHub = new RegistryTable([hub]);
const named = new RegistryTable([registryAt('https://hub.example', { name: 'hub' })]);
const own = new RegistryTable([local, hub]);

describe('completePattern', () => {
  it.each([
    ['**', dockerHub, '**'],
    ['team/**', dockerHub, 'docker.io/team/**'],
    ['nginx', dockerHub, 'docker.io/library/nginx'],
    ['docker.io', dockerHub, 'docker.io/library/docker.io'],
    ['localhost/team/*', dockerHub, 'localhost/team/*'],
    ['hub/team/*', named, 'hub/team/*'],
    ['team/*', named, 'hub/team/*'],
    ['docker.io/nginx', dockerHub, 'docker.io/library/nginx'],
    ['docker.io/**', dockerHub, 'docker.io/**'],
    ['ghcr.io/org/*', dockerHub, 'ghcr.io/org/*'],
    ['localhost:5000/**', dockerHub, 'localhost:5000/**'],
    ['nginx', own, '127.0.0.1:5000/nginx'],
    ['team/*', own, '127.0.0.1:5000/team/*'],
    ['127.0.0.1:5000/team/*', own, '127.0.0.1:5000/team/*'],
    ['docker.io/nginx', own, 'docker.io/library/nginx'],
    ['docker.io/team/*', own, 'docker.io/team/*'],
  ])('%s before %j is %s', (pattern, table, complete) => {
    expect(completePattern(pattern, table)).toBe(complete);
  });
});

const matchesPattern = (pattern: string, name: CanonicalName) => compilePattern(pattern)(name);

describe('compilePattern', () => {
  it.each([
    ['**', 'docker.io/library/nginx', true],
    ['docker.io/team/**', 'docker.io/team/app', true],
    ['docker.io/team/**', 'docker.io/team/a/b/c', true],
    ['docker.io/team/**', 'docker.io/team', false],
    ['docker.io/team/**', 'docker.io/teamwork/app', false],
    ['docker.io/team/*', 'docker.io/team/app', true],
    ['docker.io/team/*', 'docker.io/team/a/b', false],
    ['docker.io/*/app', 'docker.io/team/app', true],
    ['docker.io/team/app-*', 'docker.io/team/app-', true],
    ['docker.io/**/app', 'docker.io/a/b/app', true],
    ['docker.io/team/app', 'docker.io/team/app2', false],
    ['docker.io/team/a.p', 'docker.io/team/axp', false],
    ['dockerXio/team/app', 'docker.io/team/app', false],
  ])('%s and %s: %s', (pattern, name, expected) => {
    expect(matchesPattern(pattern, name as CanonicalName)).toBe(expected);
  });

  it('agrees with the regular expression that the pattern means', () => {
    const pattern = fc
      .array(fc.constantFrom('a', 'b', '/', '*', '**', '.'), { maxLength: 7 })
      .map((parts) => parts.join(''));
    const name = fc
      .array(fc.constantFrom('a', 'b', '/', '.'), { maxLength: 8 })
      .map((parts) => parts.join(''));
    const meant = (text: string) =>
      new RegExp(
        `^${text.replace(/\*\*+|\*|\./g, (part) => (part === '.' ? '\\.' : part.length > 1 ? '.*' : '[^/]*'))}$`,
      );

    fc.assert(
      fc.property(
        pattern,
        name,
        (text, asked) => matchesPattern(text, asked as CanonicalName) === meant(text).test(asked),
      ),
      {
        numRuns: 2000,
      },
    );
  });
});
