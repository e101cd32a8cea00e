/** containerd. https://github.com/containerd/containerd/blob/main/docs/hosts.md */
import { fileOf, quoted, YOUR_NAME, type ClientSetup, type SetupFile } from './client-setup';
import { mirrored, type GateView, type RegistryView } from './gate-view';

const FOLDER = '/etc/containerd/certs.d';

/** Read by 1.x and by 2.x, which have different names for the same section. */
const CONFIG = fileOf(
  '/etc/containerd/config.toml',
  ['version = 2'],
  ['[plugins."io.containerd.grpc.v1.cri".registry]', `  config_path = ${quoted(FOLDER)}`],
);

export function containerd(view: GateView): ClientSetup {
  const registries = mirrored(view);
  return {
    name: 'containerd',
    title: 'containerd, nerdctl and Kubernetes on containerd',
    files: [...CONFIG, ...registries.flatMap((registry) => hostsToml(view, registry))],
    commands: registries.map(
      ({ name, example }) =>
        `sudo ctr images pull --hosts-dir ${FOLDER} --user ${YOUR_NAME} ${name}/${example}`,
    ),
    notes: [
      'Images keep their usual names. containerd tells the gate by `?ns=` which registry is meant, so that one address serves all of them.',
      'containerd reads `hosts.toml` anew with each pull, and is to be restarted for `config.toml` alone. `ctr` needs no `config.toml`, and nerdctl none either. Where `config.toml` says `version = 3` already, the section is `[plugins."io.containerd.cri.v1.images".registry]`.',
      `Kubernetes' login for the gate alone goes into \`config.toml\`, too: \`username\` and \`password\` in the section \`[plugins."io.containerd.grpc.v1.cri".registry.configs.${quoted(view.address.host)}.auth]\`. A pull secret is shown to gate and registry alike, for containerd does not ask whose it is.`,
      '`ctr` asks for the password, and shows the login to whichever host wants one: when the gate has no such image, to the registry itself.',
      `Should the gate alone be asked, and never the registry itself, then make the gate the \`server\` of each file, too: \`server = ${quoted(view.address.origin)}\`. No login gets to anybody else then.`,
    ],
  };
}

function hostsToml({ address }: GateView, { name, url }: RegistryView): SetupFile[] {
  return fileOf(
    `${FOLDER}/${name}/hosts.toml`,
    url === undefined ? [] : [`server = ${quoted(url)}`],
    [`[host.${quoted(address.origin)}]`, '  capabilities = ["pull", "resolve"]'],
  );
}
