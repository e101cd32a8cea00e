"""The servers that are compared: how each is started. A new one is a function and a line in SERVERS."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import nginx
import registries
import tidegate
from certificate import certificate
from run_folder import CONFIGURATIONS, HOST, RUN, subfolder
from server import Cpus, Server, free_port, program
from trouble import Trouble

#: Makes a server from the upstream and the CPUs that it may run on.
Make = Callable[[Server, Cpus], Server]


@dataclass(frozen=True)
class Peer:
    """A server that can be chosen: the programs that must be installed for it, and what makes it."""

    needs: tuple[str, ...]
    make: Make
    #: Whether it can ask an upstream over TLS.
    asks_tls: bool = True


class Direct(Server):
    """No gate: the upstream itself, which is what every other figure is held against."""

    def __init__(self, upstream: Server, _cpus: Cpus) -> None:
        super().__init__("direct", [], upstream.port, tls=upstream.tls)

    def start(self, patience: float = 60) -> None:
        """It runs already."""

    def cpu(self) -> float | None:
        return None

    def peak_mb(self) -> float | None:
        return None

    def memory_mb(self) -> float | None:
        return None


def varnish(upstream: Server, cpus: Cpus) -> Server:
    """Varnish, which holds in memory and verifies nothing."""
    port = free_port()
    state = subfolder("held", "varnish")
    listen = ["-F", "-a", f"{HOST}:{port}", "-b", f"{HOST}:{upstream.port}"]
    command = [program("varnishd"), *listen, "-j", "none", "-s", "malloc,4g", "-n", state]
    return Server("varnish", command, port, cpus=cpus, holds=state)


def caddy(upstream: Server, cpus: Cpus) -> Server:
    """Caddy, which relays and holds nothing."""
    return _caddy("caddy", upstream, cpus, "http")


def caddy_tls(upstream: Server, cpus: Cpus) -> Server:
    """The same, over TLS."""
    return _caddy("caddy-tls", upstream, cpus, "https")


def _caddy(name: str, upstream: Server, cpus: Cpus, scheme: str) -> Server:
    port, trust, files = free_port(), None, ""
    if scheme == "https":
        trust, files = certificate().trust, f" tls {certificate().chain} {certificate().key}\n"
    trusting = f" {{\n transport http {{\n tls_trusted_ca_certs {certificate().chain}\n }}\n }}" if upstream.tls else ""
    site = f"{scheme}://{HOST}:{port} {{\n bind {HOST}\n{files} reverse_proxy {upstream.origin}{trusting}\n}}\n"
    path = CONFIGURATIONS / f"{name}.caddyfile"
    path.write_text(f"{{\n admin off\n auto_https off\n}}\n{site}")
    command = [program("caddy"), "run", "--config", path, "--adapter", "caddyfile"]
    env = {"XDG_DATA_HOME": str(RUN), "XDG_CONFIG_HOME": str(RUN)}
    return Server(name, command, port, cpus=cpus, env=env, tls=trust)


SERVERS: Mapping[str, Peer] = {
    "direct": Peer((), Direct),
    **{name: Peer((), variant.make) for name, variant in tidegate.VARIANTS.items()},
    "distribution": Peer(("docker-registry",), registries.pull_through),
    "distribution-plain": Peer(("docker-registry",), registries.plain),
    "distribution-htpasswd": Peer(("docker-registry", "htpasswd"), registries.with_htpasswd),
    "distribution-tls": Peer(("docker-registry", "openssl"), registries.pull_through_tls),
    "nginx-cache": Peer(("nginx",), nginx.cache),
    "nginx-pass": Peer(("nginx",), nginx.relay),
    "nginx-htpasswd": Peer(("nginx", "htpasswd"), nginx.with_htpasswd),
    "nginx-tls": Peer(("nginx", "openssl"), nginx.cache_tls),
    "varnish": Peer(("varnishd",), varnish, asks_tls=False),
    "caddy": Peer(("caddy",), caddy),
    "caddy-tls": Peer(("caddy", "openssl"), caddy_tls),
}


def chosen(names: str | None, usual: Sequence[str], *, upstream_tls: bool = False) -> list[Make]:
    """Those that are named, else the usual ones; one that cannot be measured is left out, and told."""
    return list(_made(names.split(",") if names else usual, upstream_tls))


def _made(names: Sequence[str], upstream_tls: bool) -> Iterator[Make]:
    for name in names:
        if name not in SERVERS:
            raise Trouble(f"there is no server {name}; there are {', '.join(SERVERS)}")
        missing = [needed for needed in SERVERS[name].needs if not program(needed)]
        if missing:
            print(f"left out: {name} ({', '.join(missing)} not installed)", flush=True)
        elif upstream_tls and not SERVERS[name].asks_tls:
            print(f"left out: {name} (it asks no upstream over TLS)", flush=True)
        else:
            yield SERVERS[name].make
