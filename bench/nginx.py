"""nginx before the registry in the ways in which it is run: with a cache, without one, asking for a password."""

import os
from pathlib import Path

from certificate import Certificate, certificate
from htpasswd import HtpasswdServer, account
from run_folder import CONFIGURATIONS, HOST, subfolder
from server import Cpus, Server, free_port, program

# What keeps nothing lets bodies through as they come, up and down, of any size.
_PASS = """proxy_request_buffering off; proxy_max_temp_file_size 0;"""
_CACHE = """proxy_cache blobs; proxy_cache_key $uri; proxy_cache_valid 200 1h;
      proxy_cache_lock on; proxy_cache_lock_timeout 300s; proxy_cache_lock_age 300s;"""


def cache(upstream: Server, cpus: Cpus) -> Server:
    """proxy_cache; its lock lets one request fetch while the others wait until all has come."""
    holds, port = subfolder("held", "nginx-cache"), free_port()
    command = _serve("nginx-cache", port, upstream, _CACHE, holds=holds)
    return Server("nginx-cache", command, port, cpus=cpus, holds=holds)


def cache_tls(upstream: Server, cpus: Cpus) -> Server:
    """The same, over TLS."""
    holds, port = subfolder("held", "nginx-tls"), free_port()
    command = _serve("nginx-tls", port, upstream, _CACHE, holds=holds, tls=certificate())
    return Server("nginx-tls", command, port, cpus=cpus, holds=holds, tls=certificate().trust)


def relay(upstream: Server, cpus: Cpus) -> Server:
    """proxy_pass, which keeps nothing."""
    port = free_port()
    return Server("nginx-pass", _serve("nginx-pass", port, upstream, _PASS), port, cpus=cpus)


def with_htpasswd(upstream: Server, cpus: Cpus) -> Server:
    """proxy_pass behind auth_basic; the registry does not get to see the password."""
    port = free_port()
    login = f"""auth_basic bench; auth_basic_user_file "{account()[0]}"; proxy_set_header Authorization "";"""
    command = _serve("nginx-htpasswd", port, upstream, f"{_PASS} {login}")
    return HtpasswdServer("nginx-htpasswd", command, port, cpus=cpus)


def _serve(
    name: str,
    port: int,
    upstream: Server,
    location: str,
    *,
    holds: Path | None = None,
    tls: Certificate | None = None,
) -> list[object]:
    """The command, its configuration being written."""
    path = CONFIGURATIONS / f"{name}.conf"
    temporary = subfolder("nginx", name)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    folders = "\n  ".join(f'{kind}_temp_path "{temporary}/{kind}";' for kind in kinds)
    # As root, workers would run as somebody who may not read the run's folder.
    user = "user root;" if os.geteuid() == 0 else ""
    zone = "levels=1:2 keys_zone=blobs:50m max_size=8g inactive=7d use_temp_path=off"
    held = f'proxy_cache_path "{holds}" {zone};' if holds else ""
    files = f'ssl_certificate "{tls.chain}"; ssl_certificate_key "{tls.key}"; ssl_protocols TLSv1.3;' if tls else ""
    scheme, trust = ("https", _trust()) if upstream.tls else ("http", "")
    path.write_text(f"""daemon off; {user} worker_processes 1; pid "{temporary}/pid"; error_log stderr error;
events {{ worker_connections 4096; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000; client_max_body_size 0;
  {folders}
  {held}
  upstream registry {{ server {HOST}:{upstream.port}; keepalive 64; keepalive_requests 1000000; }}
  server {{
    listen {HOST}:{port}{" ssl" if tls else ""}; {files}
    location /v2/ {{
      proxy_pass {scheme}://registry; {trust} proxy_http_version 1.1;
      proxy_set_header Connection ""; proxy_set_header Host $http_host;
      proxy_buffers 16 64k; proxy_busy_buffers_size 128k; proxy_buffer_size 64k;
      {location}
    }}
  }}
}}
""")
    return [program("nginx"), "-c", path]


def _trust() -> str:
    """Checks the upstream's certificate, by a name, for nginx finds no address in one; TLS 1.3 is not its default."""
    checked = f'proxy_ssl_trusted_certificate "{certificate().chain}"; proxy_ssl_verify on; proxy_ssl_name localhost;'
    return f"{checked} proxy_ssl_protocols TLSv1.3;"
