/**
 * Real clients and registries that the tests use. One that is missing skips just the tests that need it, and their
 * names say so; with CI=true it is a failure.
 */
import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';

/** All programs that some test needs; `npm run test:setup` installs them. */
export const TOOLS = [
  'docker-registry',
  'docker',
  'dockerd',
  'containerd',
  'ctr',
  'podman',
  'buildah',
  'skopeo',
  'htpasswd',
  'openssl',
  'script',
  'unshare',
  'nsenter',
  'ip',
  'curl',
  'nginx',
  'caddy',
  'systemd-analyze',
  'kubectl',
  'python3',
] as const;
export type Tool = (typeof TOOLS)[number];

/** These run as root only. */
const AS_ROOT: readonly string[] = ['dockerd', 'containerd', 'unshare', 'nsenter'];

/** True for a user who may do everything, whatever modes files have. */
export function isRoot(): boolean {
  return process.getuid?.() === 0;
}

function installed(tool: string): boolean {
  const folders = [...(process.env['PATH'] ?? '').split(':'), '/usr/sbin', '/sbin'];
  return folders.some((folder) => {
    try {
      accessSync(join(folder, tool), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** Which of these cannot be used here. */
export function missingTools(tools: readonly Tool[]): string[] {
  return tools.flatMap((tool) => {
    if (!installed(tool)) return [tool];
    return AS_ROOT.includes(tool) && !isRoot() ? [`${tool} (as root)`] : [];
  });
}

/** Like `describe`, for tests that need these programs. */
export function describeWith(tools: readonly Tool[], name: string, tests: () => void): void {
  const missing = missingTools(tools);
  if (missing.length === 0) {
    describe(name, tests);
    return;
  }
  const reason = `needs ${missing.join(', ')}; type: npm run test:setup`;
  if (process.env['CI'] === 'true') {
    describe(name, () => {
      it('finds the real clients and registries that it needs', () => {
        throw new Error(reason);
      });
    });
    return;
  }
  describe.skip(`${name} (${reason})`, tests);
}
