#!/usr/bin/env bash
# Installs the real registry and the real clients that the tests use, from Debian's packages.
# Quick when all are there; safe to run again. Needs root and apt.
set -euo pipefail

# program:package
tools=(
  docker-registry:docker-registry
  skopeo:skopeo
  podman:podman
  buildah:buildah
  docker:docker.io
  dockerd:docker.io
  containerd:docker.io
  ctr:docker.io
  htpasswd:apache2-utils
  openssl:openssl
  script:bsdutils
  unshare:util-linux
  nsenter:util-linux
  ip:iproute2
  curl:curl
  nginx:nginx-light
  caddy:caddy
  systemd-analyze:systemd
  kubectl:kubernetes-client
  python3:python3
)

PATH="$PATH:/usr/sbin:/sbin"
packages=()
for tool in "${tools[@]}"; do
  command -v "${tool%%:*}" >/dev/null || packages+=("${tool##*:}")
done
if [ ${#packages[@]} -eq 0 ]; then
  echo "All clients and registries that the tests use are installed."
  exit 0
fi
mapfile -t packages < <(printf '%s\n' "${packages[@]}" | sort -u)

if ! command -v apt-get >/dev/null; then
  echo "apt-get is not on this machine. Install these by its own means, then run the tests: ${packages[*]}" >&2
  exit 1
fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    as_root=(sudo -n)
  else
    echo "Installing packages needs root. Type: sudo npm run test:setup" >&2
    exit 1
  fi
fi

echo "Installing ${packages[*]} …"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# A package's service would stand in the way of the tests' own, and a container has no init to start it with.
install() {
  "${as_root[@]}" apt-get update -q &&
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
      apt-get install -q -y --no-install-recommends "${packages[@]}"
}
if ! install >"$log" 2>&1; then
  tail -n 40 "$log" >&2
  echo "apt-get could not install them; the lines above say why." >&2
  exit 1
fi
echo "Installed."
