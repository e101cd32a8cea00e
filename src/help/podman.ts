/**
 * podman, skopeo, buildah and CRI-O, which share their files.
 * https://github.com/containers/image/blob/main/docs/containers-registries.conf.5.md
 */
import { fileOf, quoted, type ClientSetup } from './client-setup';
import type { GateAddress } from './gate-address';
import { addresses, mirrored, type GateView, type RegistryView } from './gate-view';

const FILE = '/etc/containers/registries.conf.d/tidegate.conf';

export function podman(view: GateView): ClientSetup {
  const { address } = view;
  const registries = mirrored(view).filter((registry) => locationOf(registry) !== undefined);
  const open = addresses(view).filter(({ plainHttp }) => plainHttp);
  return {
    name: 'podman',
    title: 'podman, buildah, skopeo and CRI-O',
    files: fileOf(FILE, ...open.map(plain), ...registries.flatMap((each) => mirror(view, each))),
    commands: [
      `podman login ${address.host}`,
      ...registries.map(({ name, example }) => `podman pull ${name}/${example}`),
      ...registries
        .slice(0, 1)
        .map(({ name, example }) => `skopeo inspect docker://${name}/${example}`),
    ],
    notes: [
      'Images keep their usual names. The gate is asked first, and with the login of `podman login`, which is for the gate alone; when it has no such image or is away, the registry itself is asked.',
      'Should the gate alone be asked, and never the registry itself, then write the location of the mirror as the `location` of the registry, and no mirror.',
      'CRI-O reads the same file. It shows a pull secret to the registry that the image names, and to no mirror: put the login for the gate into the file that its `global_auth_file` names.',
      'Mirrors are for pulls: a push names the gate in full.',
    ],
  };
}

/** By path, since these clients do not say `?ns=`; else where the registry is the only one that is meant. */
function locationOf({ path, root, hosts }: RegistryView): string | undefined {
  return path ?? root?.host ?? hosts[0]?.host;
}

/** So that logins, and images with the gate in their name, need no `--tls-verify=false`. */
function plain({ host }: GateAddress): string[] {
  return ['[[registry]]', `location = ${quoted(host)}`, 'insecure = true'];
}

function mirror({ address }: GateView, registry: RegistryView): string[][] {
  const location = locationOf(registry);
  if (location === undefined) return [];
  const name = quoted(registry.name);
  return [
    ['[[registry]]', `prefix = ${name}`, `location = ${name}`],
    [
      '[[registry.mirror]]',
      `location = ${quoted(location)}`,
      ...(address.plainHttp ? ['insecure = true'] : []),
    ],
  ];
}
