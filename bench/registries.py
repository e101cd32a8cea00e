"""CNCF distribution in the ways in which it is run: the upstream of all, a pull-through cache, a plain registry."""

from pathlib import Path

from certificate import Certificate, certificate
from htpasswd import HtpasswdServer, account
from run_folder import CONFIGURATIONS, HOST, subfolder
from server import Cpus, Server, free_port, program

_STORE = "store"


def upstream(cpus: Cpus, *, over_tls: bool = False) -> Server:
    """The registry behind all; its access log tells what it was asked."""
    port, store = free_port(), subfolder(_STORE)
    tls = certificate() if over_tls else None
    command = _serve("upstream", port, store, tls=tls, access_log=True)
    return Server("upstream", command, port, cpus=cpus, holds=store, tls=tls.trust if tls else None)


def pull_through(upstream: Server, cpus: Cpus) -> Server:
    """A pull-through cache."""
    holds, port = subfolder("held", "distribution"), free_port()
    command = _serve("distribution", port, holds, behind=upstream)
    return Server("distribution", command, port, cpus=cpus, holds=holds, env=_trust(upstream))


def pull_through_tls(upstream: Server, cpus: Cpus) -> Server:
    """The same, over TLS."""
    holds, port = subfolder("held", "distribution-tls"), free_port()
    command = _serve("distribution-tls", port, holds, behind=upstream, tls=certificate())
    env = _trust(upstream)
    return Server("distribution-tls", command, port, cpus=cpus, holds=holds, env=env, tls=certificate().trust)


def plain(_upstream: Server, cpus: Cpus) -> Server:
    """A registry with nothing behind it, on the upstream's own store: what a pull costs without any gate."""
    port = free_port()
    return Server("distribution-plain", _serve("distribution-plain", port, subfolder(_STORE)), port, cpus=cpus)


def with_htpasswd(_upstream: Server, cpus: Cpus) -> Server:
    """A registry with nothing behind it that asks for a login."""
    port = free_port()
    command = _serve("distribution-htpasswd", port, subfolder(_STORE), htpasswd=account()[0])
    return HtpasswdServer("distribution-htpasswd", command, port, cpus=cpus)


def _trust(upstream: Server) -> dict[str, str]:
    """The variable by which it trusts the upstream's certificate."""
    return {"SSL_CERT_FILE": str(certificate().chain)} if upstream.tls else {}


def _serve(
    name: str,
    port: int,
    store: Path,
    *,
    behind: Server | None = None,
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
        lines.append(f"proxy: {{remoteurl: '{behind.origin}'}}")
    if htpasswd:
        lines.append(f"auth: {{htpasswd: {{realm: bench, path: '{htpasswd}'}}}}")
    path.write_text("\n".join(lines) + "\n")
    return [program("docker-registry"), "serve", path]
