/** The Kubernetes manifests: by the types of Kubernetes' own API description, by kubectl, and by what they promise. */
import { writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import ts from 'typescript';
import { parse, parseAllDocuments } from 'yaml';
import { succeed } from '../support/processes';
import { freshFolder } from '../support/lifecycle';
import { describeWith } from '../support/tools';
import { KUBERNETES, kubernetesEnvironment, manifest, sample, type Manifest } from './samples';

const ROOT = resolve(__dirname, '../..');
/** The types of Kubernetes' API, made from its own description. */
const MODELS = dirname(require.resolve('kubernetes-models/package.json'));

interface Kustomization {
  readonly namespace: string;
  readonly resources: readonly string[];
}

const kustomization = (variant: string) =>
  parse(sample(`kubernetes/${variant}/kustomization.yaml`)) as Kustomization;

/** Where the type of each kind is. */
const TYPES: Readonly<Record<string, string>> = {
  Deployment: 'apps/v1',
  Ingress: 'networking.k8s.io/v1',
  NetworkPolicy: 'networking.k8s.io/v1',
  PersistentVolumeClaim: 'v1',
  Secret: 'v1',
  Service: 'v1',
};

/** What the compiler says of manifests as values of their types: a key that is unknown or missing, a wrong type. */
function faultsOf(manifests: readonly Manifest[]): string[] {
  const file = join(freshFolder('manifests'), 'manifests.ts');
  const lines = manifests.flatMap((each, index) => {
    const module = join(MODELS, TYPES[each.kind] ?? '', each.kind);
    return [
      `import type { I${each.kind} as Type${index} } from ${JSON.stringify(module)};`,
      `export const manifest${index}: Type${index} = ${JSON.stringify(each)};`,
    ];
  });
  writeFileSync(file, lines.join('\n'));
  const { CommonJS } = ts.ModuleKind;
  const program = ts.createProgram([file], {
    noEmit: true,
    strict: true,
    skipLibCheck: true,
    types: [],
    module: CommonJS,
  });
  return ts
    .getPreEmitDiagnostics(program)
    .map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'));
}

describe.each(KUBERNETES)('the Kubernetes manifests for %s', (variant) => {
  const { resources } = kustomization(variant);
  const manifests = resources.map((file) => manifest(`${variant}/${file}`));
  const deployment = manifest(`${variant}/deployment.yaml`);
  const pod = deployment.spec?.template?.spec;

  it('have no key and no type that the API does not know', () => {
    expect(faultsOf(manifests)).toEqual([]);
  });

  it('run not as root, on a read-only file system, without capabilities', () => {
    expect(pod).toMatchObject({
      automountServiceAccountToken: false,
      securityContext: { runAsNonRoot: true, runAsUser: 1000 },
      containers: [
        {
          securityContext: {
            allowPrivilegeEscalation: false,
            readOnlyRootFilesystem: true,
            capabilities: { drop: ['ALL'] },
          },
        },
      ],
    });
  });

  it('ask the gate whether it lives and whether it is ready', () => {
    expect(pod?.containers[0]).toMatchObject({
      livenessProbe: { httpGet: { path: '/health/live' } },
      readinessProbe: { httpGet: { path: '/health/ready' } },
    });
  });

  it('let bodies of any size through', () => {
    expect(manifest(`${variant}/ingress.yaml`).metadata.annotations).toMatchObject({
      'nginx.ingress.kubernetes.io/proxy-body-size': '0',
      'nginx.ingress.kubernetes.io/proxy-request-buffering': 'off',
    });
  });
});

describe('the two variants', () => {
  it('of a gate with accounts never has two gates on one data folder', () => {
    const { spec } = manifest('accounts/deployment.yaml');

    expect([spec?.replicas, spec?.strategy?.type]).toEqual([1, 'Recreate']);
  });

  it('of a relay has several, each with a folder of its own, and one secret for all', () => {
    const { spec } = manifest('relay/deployment.yaml');

    expect(spec?.replicas).toBe(3);
    expect(spec?.template?.spec.volumes).toContainEqual({
      name: 'data',
      emptyDir: { sizeLimit: '20Gi' },
    });
    expect(kubernetesEnvironment('relay')).toMatchObject({
      AUTH_MODE: 'relay',
      TOKEN_SECRET: expect.any(String) as string,
    });
  });

  it.each(['service.yaml', 'ingress.yaml', 'networkpolicy.yaml'])(
    'have one and the same %s',
    (file) => {
      expect(sample(`kubernetes/relay/${file}`)).toBe(sample(`kubernetes/accounts/${file}`));
    },
  );
});

it('a manifest with a key that Kubernetes does not know is seen', () => {
  const text = sample('kubernetes/relay/deployment.yaml');

  expect(faultsOf([parse(text.replace('httpGet', 'httpget')) as Manifest])).not.toEqual([]);
  expect(faultsOf([parse(text.replace('replicas: 3', "replicas: '3'")) as Manifest])).not.toEqual(
    [],
  );
});

describeWith(['kubectl'], 'kubectl', () => {
  it.each(KUBERNETES)('puts the manifests for %s together', async (variant) => {
    const { namespace, resources } = kustomization(variant);

    const text = await succeed('kubectl', ['kustomize', join(ROOT, 'deploy/kubernetes', variant)]);

    const built = parseAllDocuments(text).map((each) => each.toJS() as Manifest);
    expect(built).toHaveLength(resources.length);
    for (const { metadata } of built) expect(metadata).toMatchObject({ namespace });
  });
});
