"""CNCF distribution in the ways in which it is run: the upstream of all, a pull-through cache, a plain registry."""

from pathlib import Path

from certificate import Certificate, certificate
from htpasswd import HtpasswdServer, account
from run_folder import CONFIGURATIONS, HOST, subfolder
from server import Cpus, Server, free_port, program

_STORE = "store"


def upstream(cpus: Cpus) -> Server:
    """The registry behind all; its access log tells what it was asked."""
    port, store = free_port(), subfolder(_STORE)
    return Server("upstream", _serve("upstream", port, store, access_log=True), port, cpus=cpus, holds=store)


def pull_through(upstream_port: int, cpus: Cpus) -> Server:
    """A pull-through cache."""
    holds, port = subfolder("held", "distribution"), free_port()
    command = _serve("distribution", port, holds, behind=upstream_port)
    return Server("distribution", command, port, cpus=cpus, holds=holds)


def pull_through_tls(upstream_port: int, cpus: Cpus) -> Server:
    """The same, over TLS."""
    holds, port = subfolder("held", "distribution-tls"), free_port()
    command = _serve("distribution-tls", port, holds, behind=upstream_port, tls=certificate())
    return Server("distribution-tls", command, port, cpus=cpus, holds=holds, tls=certificate().trust)


def plain(_upstream_port: int, cpus: Cpus) -> Server:
    """A registry with nothing behind it, on the upstream's own store: what a pull costs without any gate."""
    port = free_port()
    return Server("distribution-plain", _serve("distribution-plain", port, subfolder(_STORE)), port, cpus=cpus)


def with_htpasswd(_upstream_port: int, cpus: Cpus) -> Server:
    """A registry with nothing behind it that asks for a login."""
    port = free_port()
    command = _serve("distribution-htpasswd", port, subfolder(_STORE), htpasswd=account()[0])
    return HtpasswdServer("distribution-htpasswd", command, port, cpus=cpus)


def _serve(
    name: str,
    port: int,
    store: Path,
    *,
    behind: int | None = None,
    htpasswd: Path | None = None,
    tls: Certificate | None = None,
    access_log: bool = False,
) -> list[object]:
    """The command, its configuration being written."""
    path = CONFIGURATIONS / f"{name}.yml"
    files = f", tls: {{certificate: '{tls.chain}', key: '{tls.key}'}}" if tls else ""
    lines = [
        "version: 0.1",
        f"log: {{accesslog: {{disabled: {str(not access_log).lower()}}}, level: error}}",
        "storage:",
        "  cache: {blobdescriptor: inmemory}",
        f"  filesystem: {{rootdirectory: '{store}'}}",
        "  delete: {enabled: true}",
        "  maintenance: {uploadpurging: {enabled: false}}",
        f"http: {{addr: '{HOST}:{port}'{files}}}",
    ]
    if behind:
        lines.append(f"proxy: {{remoteurl: 'http://{HOST}:{behind}'}}")
    if htpasswd:
        lines.append(f"auth: {{htpasswd: {{realm: bench, path: '{htpasswd}'}}}}")
    path.write_text("\n".join(lines) + "\n")
    return [program("docker-registry"), "serve", path]
