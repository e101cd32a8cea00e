/**
 * Who may import whom: the table of docs/architecture.md, held by `npm run check`. A request walks down the stairs, and
 * nothing calls back up. To let a folder import another, change the table there and here, and say why.
 */
const MAY_IMPORT = {
  oci: [],
  config: ['oci'],
  journal: ['oci', 'config'],
  edge: ['oci', 'config', 'journal'],
  throttling: ['oci', 'config', 'journal', 'edge'],
  auth: ['oci', 'config', 'journal', 'edge'],
  upstream: ['oci', 'config', 'journal'],
  cdn: ['oci', 'config', 'journal', 'upstream'],
  registry: ['oci', 'config', 'journal', 'edge', 'cdn', 'upstream'],
  admin: ['oci', 'config', 'journal', 'edge', 'auth', 'cdn', 'upstream'],
  health: ['oci', 'config', 'journal', 'edge', 'cdn', 'upstream'],
  help: ['oci', 'config', 'journal', 'edge'],
  cli: ['oci', 'config', 'journal', 'auth', 'help'],
};

const FOLDERS = Object.keys(MAY_IMPORT).join('|');
const SPEC = String.raw`\.spec\.ts$`;

const rooms = Object.entries(MAY_IMPORT).map(([room, others]) => ({
  name: `${room}-imports-only-what-it-may`,
  comment: `src/${room} may import: ${others.join(', ') || 'nothing'}.`,
  severity: 'error',
  from: { path: `^src/${room}/`, pathNot: SPEC },
  to: { path: '^src/', pathNot: `^src/(?:${[room, ...others].join('|')})/` },
}));

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    ...rooms,
    {
      name: 'every-folder-is-in-the-table',
      comment: 'A new folder under src needs a line in the table, else no rule would hold it.',
      severity: 'error',
      from: { path: '^src/[^/]+/', pathNot: `^src/(?:${FOLDERS})/` },
      to: {},
    },
    {
      name: 'oci-is-pure',
      comment:
        'The words of the specification: no framework, no input or output, only node:crypto.',
      severity: 'error',
      from: { path: '^src/oci/', pathNot: SPEC },
      to: { pathNot: '^(?:src/oci/|(?:node:)?crypto$|(?:node:)?http$)' },
    },
    {
      name: 'oci-knows-http-by-its-types-alone',
      severity: 'error',
      from: { path: '^src/oci/', pathNot: SPEC },
      to: { path: '^(?:node:)?http$', dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'no-cycles',
      comment: 'Types may name each other within a folder; code may not.',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'nobody-imports-the-entries',
      severity: 'error',
      from: {},
      to: { path: String.raw`^src/(?:main|cli|health-check)\.ts$` },
    },
    {
      name: 'only-the-gate-imports-the-app',
      comment:
        'gate.ts opens and closes what the application stands on; main.ts and tests open gates.',
      severity: 'error',
      from: { path: '^src/', pathNot: [String.raw`^src/gate\.ts$`, SPEC] },
      to: { path: String.raw`^src/app\.module\.ts$` },
    },
    {
      name: 'nobody-imports-a-spec',
      severity: 'error',
      from: {},
      to: { path: SPEC },
    },
    {
      name: 'src-imports-neither-tests-nor-scripts',
      severity: 'error',
      from: { path: '^src/', pathNot: SPEC },
      to: { path: '^(?:test|scripts)/' },
    },
    {
      name: 'src-lives-on-production-dependencies',
      comment: 'The image holds no devDependencies. A package for its types alone may be one.',
      severity: 'error',
      from: { path: '^src/', pathNot: SPEC },
      to: { dependencyTypes: ['npm-dev'], dependencyTypesNot: ['type-only', 'npm'] },
    },
    {
      name: 'every-package-is-in-package-json',
      severity: 'error',
      from: {},
      to: { dependencyTypes: ['npm-no-pkg', 'npm-unknown', 'npm-optional'] },
    },
    {
      name: 'everything-resolves',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
    {
      name: 'no-deprecated-node-module',
      severity: 'error',
      from: {},
      to: { dependencyTypes: ['core'], path: '^(?:node:)?(?:domain|punycode|sys|querystring)$' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^(?:dist|coverage|data)/' },
    tsConfig: { fileName: 'tsconfig.json' },
    // Types count as imports too: a room that names another's types depends on it.
    tsPreCompilationDeps: true,
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['node', 'require', 'import', 'default', 'types'],
      extensions: ['.ts', '.js', '.mjs', '.cjs', '.json'],
    },
  },
};
