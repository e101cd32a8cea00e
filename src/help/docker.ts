/** The docker engine. https://docs.docker.com/reference/cli/dockerd/#daemon-configuration-file */
import type { ClientSetup } from './client-setup';
import type { GateAddress } from './gate-address';
import { addresses, beginnings, type GateView } from './gate-view';

const HUB = 'docker.io';

export function docker(view: GateView): ClientSetup {
  const { address, registries } = view;
  const mirror = mirrorOf(view);
  const insecure = addresses(view)
    .filter(needsLeave)
    .map(({ host }) => host);
  const config = {
    ...(mirror ? { 'registry-mirrors': [mirror.origin] } : {}),
    ...(insecure.length > 0 ? { 'insecure-registries': insecure } : {}),
  };
  const content = `${JSON.stringify(config, undefined, 2)}\n`;
  const files =
    Object.keys(config).length > 0 ? [{ path: '/etc/docker/daemon.json', content }] : [];
  const pulls = registries.flatMap((registry) =>
    beginnings(registry).map((begin) => `docker pull ${begin}/${registry.example}`),
  );
  return {
    name: 'docker',
    title: 'docker',
    files,
    commands: [
      ...files.map(() => 'sudo systemctl reload docker'),
      `docker login ${address.host}`,
      ...pulls,
    ],
    notes: notesOf(mirror),
  };
}

/** A mirror of docker's is asked for Docker Hub's images alone, by their bare names: its root must mean docker.io. */
function mirrorOf({ registries }: GateView): Pick<GateAddress, 'origin'> | undefined {
  const hub = registries.find(({ name }) => name === HUB);
  return hub?.root ?? hub?.hosts[0];
}

/** Docker speaks plain HTTP to its own machine, and to nobody else without leave. */
function needsLeave({ plainHttp, loopback }: GateAddress): boolean {
  return plainHttp && !loopback;
}

function notesOf(mirror: unknown): string[] {
  const everywhere =
    'With the gate in its name, an image comes through the gate with the login of `docker login`, and is pushed there.';
  if (!mirror) {
    return [
      everywhere,
      'There is no `registry-mirrors` here: docker has mirrors for docker.io alone, at their root, and no address of this gate means docker.io alone. Make docker.io the default registry, or give it a host of its own.',
    ];
  }
  return [
    '`registry-mirrors` is for images of Docker Hub alone, by their usual names: `docker pull nginx`. The engine shows no login to a mirror, not even one that it has: with `AUTH_MODE=accounts`, and with `relay` and `ACCOUNTS`, the gate must let it pull without, by `ANONYMOUS_ACCESS=pull` or by `TRUSTED_NETWORKS`. Refused there, the engine goes to Docker Hub by itself, without a word.',
    everywhere,
    'Merge the file with the one that is there. A reload is enough for both settings; containers go on.',
  ];
}
