/** All clients that the gate can describe. */
import { buildkit } from './buildkit';
import type { ClientSetup } from './client-setup';
import { containerd } from './containerd';
import { docker } from './docker';
import type { GateView } from './gate-view';
import { k3s } from './k3s';
import { podman } from './podman';

const CLIENTS = { docker, containerd, podman, buildkit, k3s } as const satisfies Readonly<
  Record<string, (view: GateView) => ClientSetup>
>;

export const CLIENT_NAMES: readonly string[] = Object.keys(CLIENTS);

/** How each client is set up for the gate as it is seen there. */
export function clientSetups(view: GateView): readonly ClientSetup[] {
  return Object.values(CLIENTS).map((client) => client(view));
}
