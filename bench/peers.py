"""The servers that are compared: how each is configured and started. A new one is a function here and a line in SERVERS."""

import os
from collections.abc import Callable
from pathlib import Path

from run_folder import CONFIGURATIONS, HOST, RUN, subfolder
from server import Server, free_port, program
from tidegate import Tidegate

Cpus = set[int] | None


class Direct(Server):
    """No gate: the upstream itself, which is what every other figure is held against."""

    def __init__(self, upstream_port: int) -> None:
        super().__init__("direct", [], upstream_port)

    def start(self, patience: float = 30) -> None:
        """It runs already."""

    def cpu(self) -> float | None:
        return None

    def peak_mb(self) -> float | None:
        return None

    def memory_mb(self) -> float | None:
        return None


def upstream(cpus: Cpus) -> Server:
    """CNCF distribution with a store of its own; its access log tells what it was asked."""
    store = subfolder("store")
    port = free_port()
    configuration = _registry("upstream", port, store, access_log=True)
    return Server("upstream", [program("docker-registry"), "serve", configuration], port, cpus=cpus)


def distribution(upstream_port: int, cpus: Cpus) -> Server:
    """CNCF distribution as a pull-through cache."""
    holds = subfolder("held", "distribution")
    port = free_port()
    configuration = _registry("distribution", port, holds, behind=upstream_port)
    command = [program("docker-registry"), "serve", configuration]
    return Server("distribution", command, port, cpus=cpus, holds=holds)


def nginx_cache(upstream_port: int, cpus: Cpus) -> Server:
    """nginx with proxy_cache; its lock lets one request fetch while the others wait until all has come."""
    holds = subfolder("held", "nginx-cache")
    port = free_port()
    command = [program("nginx"), "-c", _nginx(port, upstream_port, holds)]
    return Server("nginx-cache", command, port, cpus=cpus, holds=holds)


def varnish(upstream_port: int, cpus: Cpus) -> Server:
    """Varnish, which holds in memory and verifies nothing."""
    port = free_port()
    state = subfolder("held", "varnish")
    listen = ["-F", "-a", f"{HOST}:{port}", "-b", f"{HOST}:{upstream_port}"]
    command = [program("varnishd"), *listen, "-j", "none", "-s", "malloc,4g", "-n", state]
    return Server("varnish", command, port, cpus=cpus, holds=state)


def caddy(upstream_port: int, cpus: Cpus) -> Server:
    """Caddy, which relays and holds nothing."""
    port = free_port()
    site = f"http://{HOST}:{port} {{\n bind {HOST}\n reverse_proxy {HOST}:{upstream_port}\n}}\n"
    path = _write("Caddyfile", f"{{\n admin off\n auto_https off\n}}\n{site}")
    command = [program("caddy"), "run", "--config", path, "--adapter", "caddyfile"]
    env = {"XDG_DATA_HOME": str(RUN), "XDG_CONFIG_HOME": str(RUN)}
    return Server("caddy", command, port, cpus=cpus, env=env)


# By name: the program that must be installed (None: nothing), and what makes the server.
SERVERS: dict[str, tuple[str | None, Callable[[int, Cpus], Server]]] = {
    "direct": (None, lambda upstream_port, cpus: Direct(upstream_port)),
    "tidegate": (None, Tidegate),
    "distribution": ("docker-registry", distribution),
    "nginx-cache": ("nginx", nginx_cache),
    "varnish": ("varnishd", varnish),
    "caddy": ("caddy", caddy),
}


def _write(name: str, text: str) -> Path:
    path = CONFIGURATIONS / name
    path.write_text(text)
    return path


def _registry(
    name: str, port: int, store: Path, *, behind: int | None = None, access_log: bool = False
) -> Path:
    proxy = f"proxy: {{remoteurl: 'http://{HOST}:{behind}'}}\n" if behind else ""
    return _write(
        f"{name}.yml",
        f"""version: 0.1
log: {{accesslog: {{disabled: {str(not access_log).lower()}}}, level: error}}
storage:
  cache: {{blobdescriptor: inmemory}}
  filesystem: {{rootdirectory: '{store}'}}
  delete: {{enabled: true}}
  maintenance: {{uploadpurging: {{enabled: false}}}}
http: {{addr: '{HOST}:{port}'}}
{proxy}""",
    )


def _nginx(port: int, upstream_port: int, holds: Path) -> Path:
    temporary = subfolder("nginx")
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    folders = "\n  ".join(f'{kind}_temp_path "{temporary}/{kind}";' for kind in kinds)
    # As root, workers would run as somebody who may not read the run's folder.
    user = "user root;" if os.geteuid() == 0 else ""
    return _write(
        "nginx.conf",
        f"""daemon off; {user} worker_processes 1; pid "{temporary}/pid"; error_log stderr error;
events {{ worker_connections 4096; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000;
  {folders}
  proxy_cache_path "{holds}" levels=1:2 keys_zone=blobs:50m max_size=8g inactive=7d use_temp_path=off;
  upstream registry {{ server {HOST}:{upstream_port}; keepalive 64; }}
  server {{
    listen {HOST}:{port};
    location /v2/ {{
      proxy_pass http://registry; proxy_http_version 1.1;
      proxy_set_header Connection ""; proxy_set_header Host $http_host;
      proxy_buffers 16 64k; proxy_busy_buffers_size 128k; proxy_buffer_size 64k;
      proxy_cache blobs; proxy_cache_key $uri; proxy_cache_valid 200 1h;
      proxy_cache_lock on; proxy_cache_lock_timeout 300s; proxy_cache_lock_age 300s;
    }}
  }}
}}
""",
    )
