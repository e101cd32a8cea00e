/** k3s, and RKE2, whose file has the same form. https://docs.k3s.io/installation/private-registry */
import { fileOf, quoted, YOUR_NAME, YOUR_PASSWORD, type ClientSetup } from './client-setup';
import { mirrored, type GateView } from './gate-view';

const FILE = '/etc/rancher/k3s/registries.yaml';

export function k3s(view: GateView): ClientSetup {
  const { origin, host } = view.address;
  const mirrors = mirrored(view).flatMap(({ name }) => [
    `  ${quoted(name)}:`,
    '    endpoint:',
    `      - ${quoted(origin)}`,
  ]);
  const login = [
    'configs:',
    `  ${quoted(host)}:`,
    '    auth:',
    `      username: ${quoted(YOUR_NAME)}`,
    `      password: ${quoted(YOUR_PASSWORD)}`,
  ];
  return {
    name: 'k3s',
    title: 'k3s and RKE2',
    files: fileOf(FILE, [...(mirrors.length > 0 ? ['mirrors:', ...mirrors] : []), ...login]),
    commands: [`sudo chmod 600 ${FILE}`, 'sudo systemctl restart k3s'],
    notes: [
      'On each node, agents too (there the service is `k3s-agent`); for RKE2 the file is `/etc/rancher/rke2/registries.yaml`. Put an account of the gate into `auth`, best one that may pull and no more.',
      'Images keep their usual names, and no `rewrite` is needed: containerd tells the gate by `?ns=` which registry is meant.',
      'When the gate has no such image or is away, k3s asks the registry itself, and its error is then that of the registry. `--disable-default-registry-endpoint` leaves the gate alone.',
    ],
  };
}
