/** docs/clients.md, with what a gate at https://gate.example.com says of itself. */
import { RegistryTable, type Registry } from '../src/config/registry-table';
import { clientSetups } from '../src/help/clients';
import { parseGateAddress } from '../src/help/gate-address';
import { viewOf } from '../src/help/gate-view';
import { sectionOf } from '../src/help/markdown';

const INTRODUCTION = `# Clients

A running gate says how clients are set up for it, with its own address and registries in every line:

\`\`\`sh
curl https://gate.example.com/help/clients
curl -H 'Accept: application/json' https://gate.example.com/help/clients
node dist/cli.js clients --url https://gate.example.com --client docker
\`\`\`

It needs no login: it names the registries and the gate's own addresses, the URLs of registries that everybody knows, and
nothing else. Behind a proxy, \`PUBLIC_URL\` or \`TRUST_PROXY\` make the address right. The command reads the settings of the
folder that it runs in; without \`--url\` it takes \`PUBLIC_URL\`, and without \`--client\` it prints all.

## Four ways to name an image

| way | the image | for |
|---|---|---|
| default | \`gate.example.com/library/nginx\` | whoever names the gate alone: the default registry is meant |
| path | \`gate.example.com/ghcr.io/org/app\` | whoever names the registry, too; podman's mirrors |
| host | \`ghcr.example.com/org/app\` | a registry that has a host of its own at the gate |
| \`?ns=\` | \`ghcr.io/org/app\`, the usual name | containerd, BuildKit and k3s, which add it to each request |

All four end in one name, \`ghcr.io/org/app\`, so that rights and what is held are the same whichever way a client goes. By
path goes every registry whose name has no port.

## Logins

An account of the gate, or in \`AUTH_MODE=relay\` the login at the registry. Who shows it where:

| client | shows the gate, as a mirror | when the gate does not serve the image |
|---|---|---|
| docker engine | nothing, which [some modes](modes.md#without-a-login-in-the-other-modes) must be told to allow | asks Docker Hub |
| podman, buildah, skopeo | the login for the gate | asks the registry, with the login for that |
| CRI-O | the login for the gate in its \`global_auth_file\` | asks the registry, with the pull secret |
| containerd's \`ctr\` | the login of \`--user\` | asks the registry, with the same login |
| Kubernetes on containerd | the pull secret, else the login for the gate in \`config.toml\` | asks the registry, with the pull secret |
| BuildKit | the login for the gate | asks the registry, with the login for that |
| k3s | the login for the gate under \`configs\` | asks the registry |

\`TRUSTED_NETWORKS\` looks at the address that connects. One that is forwarded counts only when it comes through a proxy that
\`TRUST_PROXY\` names: a gate behind a proxy needs both, else it sees the proxy alone.

## Without TLS

The files of a gate at \`http://\` say so to each client; docker needs no telling at loopback addresses. For a gate with a
certificate of your own making, [tls.md](tls.md) shows how clients come to trust it.

## What a gate says

These are the files for a gate at \`https://gate.example.com\` with Docker Hub as its default registry, and ghcr.io, which has
the host \`ghcr.example.com\` there.
`;

/** The text of docs/clients.md. */
export function clientsDocument(): string {
  const address = parseGateAddress('https://gate.example.com');
  if (!address) throw new Error('the address of the example is none');
  const table = new RegistryTable([
    builtIn('docker.io', 'https://registry-1.docker.io', []),
    builtIn('ghcr.io', 'https://ghcr.io', ['ghcr.example.com']),
  ]);
  const setups = clientSetups(viewOf(address, table, undefined));
  return `${[INTRODUCTION.trimEnd(), ...setups.map((setup) => sectionOf(setup, '###'))].join('\n\n')}\n`;
}

function builtIn(name: string, url: string, hosts: readonly string[]): Registry {
  return {
    name,
    url: new URL(url),
    hosts,
    credentials: [],
    mirrors: [],
    library: name === 'docker.io',
    redirects: 'follow',
    redirectHosts: [],
    authHosts: [],
    builtIn: true,
  };
}
