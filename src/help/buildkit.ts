/** BuildKit. https://github.com/moby/buildkit/blob/master/docs/buildkitd.toml.md */
import { fileOf, quoted, type ClientSetup } from './client-setup';
import { mirrored, type GateView } from './gate-view';

const FILE = '/etc/buildkit/buildkitd.toml';

export function buildkit(view: GateView): ClientSetup {
  const host = quoted(view.address.host);
  const mirrors = mirrored(view).map(({ name }) => [
    `[registry.${quoted(name)}]`,
    `  mirrors = [${host}]`,
  ]);
  const plain = view.address.plainHttp ? [`[registry.${host}]`, '  http = true'] : [];
  return {
    name: 'buildkit',
    title: 'BuildKit and docker buildx',
    files: fileOf(FILE, ...mirrors, plain),
    commands: [
      `docker buildx create --use --name tidegate --buildkitd-config ${FILE}`,
      `docker login ${view.address.host}`,
    ],
    notes: [
      'The names in a Dockerfile stay as they are. BuildKit tells the gate by `?ns=` which registry is meant; the login is that of the client that builds, for the gate.',
      'This is for builders in a container and for a `buildkitd` of its own. `docker build` on the engine itself goes by its `daemon.json`.',
      'A builder in a container has a loopback of its own: a gate on the same machine needs another address there.',
    ],
  };
}
