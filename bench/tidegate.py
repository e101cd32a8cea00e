"""Tidegate as its users run it: `node dist/main.js` with its own Node, accounts, tokens, throttling and its cache."""

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from certificate import certificate
from client import request
from htpasswd import basic
from run_folder import CONFIGURATIONS, HOST, subfolder
from server import Cpus, Server, free_port, program
from trouble import Trouble

#: The checkout that is measured; it must be built.
ROOT = Path(os.environ.get("TIDEGATE_ROOT") or Path(__file__).resolve().parent.parent).resolve()

# What the accounts of the runs may do; a new account may pull, so one that pulls needs no list.
_PUSHING = [{"repository": "**", "actions": ["pull", "push"]}]


def node(root: Path = ROOT) -> str:
    """A checkout's own Node, else the one that is installed."""
    own = root / "node_modules" / "node" / "bin" / "node"
    found = str(own) if own.is_file() else program("node")
    if not found:
        raise Trouble("there is no Node; type: npm ci")
    return found


@dataclass(frozen=True)
class Variant:
    """One way of running the gate."""

    name: str
    settings: Mapping[str, str] = field(default_factory=dict)
    tls: bool = False

    def make(self, upstream: Server, cpus: Cpus, *, name: str | None = None, root: Path = ROOT) -> Server:
        """The gate of a checkout, under another name when there are several."""
        return Tidegate(name or self.name, root, upstream, cpus, self)


VARIANTS = {
    variant.name: variant
    for variant in (
        Variant("tidegate"),
        Variant("tidegate-uncached", {"CACHE": "off"}),
        Variant("tidegate-tls", tls=True),
    )
}


class Tidegate(Server):
    """The gate before the upstream, with an account whose token every request carries."""

    def __init__(self, name: str, root: Path, upstream: Server, cpus: Cpus, variant: Variant) -> None:
        main = root / "dist" / "main.js"
        if not main.is_file():
            raise Trouble(f"{main} is not there; type: npm run build")
        port = free_port()
        # Secrets, accounts, index and cache: all is made anew with each cold start.
        holds = subfolder("held", name)
        self._admin_password = secrets.token_urlsafe(16)
        self._passwords: dict[str, str] = {}
        self._tokens: dict[tuple[str, str], dict[str, str]] = {}
        files = certificate() if variant.tls else None
        super().__init__(
            name,
            [node(root), *_node_flags(), main],
            port,
            cpus=cpus,
            holds=holds,
            # Not the checkout, whose .env would count.
            cwd=subfolder("empty"),
            tls=files.trust if files else None,
            env={
                "HOST": HOST,
                "PORT": str(port),
                "DATA_DIR": str(holds),
                "ADMIN_PASSWORD": self._admin_password,
                "UPSTREAM_REGISTRY": upstream.origin,
                # Throttling works, and never trips.
                "RATE_LIMIT": "1000000/s",
                "RATE_BURST": "10000000",
                "MAX_CONNECTIONS": "100000",
                **(_trust(upstream) if upstream.tls else {}),
                **({"TLS_CERT_FILE": str(files.chain), "TLS_KEY_FILE": str(files.key)} if files else {}),
                **variant.settings,
                **_chosen_settings(),
            },
        )

    def launch(self) -> None:
        """Starts the process; what was known of accounts and tokens is forgotten, for they may be gone."""
        self._passwords.clear()
        self._tokens.clear()
        super().launch()

    def make_account(self, username: str, access: object = None) -> str:
        """Makes an account over REST; its password, which is new."""
        password = secrets.token_urlsafe(16)
        account = {"username": username, "password": password, **({"access": access} if access else {})}
        headers = {
            "Content-Type": "application/json",
            "Authorization": basic("admin", self._admin_password),
        }
        status, _, body = self._ask("POST", "/admin/users", headers, json.dumps(account).encode())
        if status != 201:
            raise Trouble(f"{self.name} answered {status} to a new account: {body[:200]!r}")
        return password

    def token(self, path: str, headers: dict[str, str]) -> dict[str, str]:
        """What requests carry after such a login."""
        status, _, body = self._ask("GET", path, headers)
        if status != 200:
            raise Trouble(f"{self.name} answered {status} to a login: {body[:200]!r}")
        return {"Authorization": f"Bearer {json.loads(body)['token']}"}

    def headers(self, repository: str, actions: str = "pull") -> dict[str, str]:
        """A token for the repository, fetched once after each start."""
        key = repository, actions
        if key not in self._tokens:
            self._tokens[key] = self.token(*self._login(repository, actions))
        return self._tokens[key]

    def login(self) -> tuple[str, dict[str, str]]:
        """At the token endpoint, for a repository."""
        return self._login("perf/login", "pull")

    def _login(self, repository: str, actions: str) -> tuple[str, dict[str, str]]:
        username = "pusher" if "push" in actions else "bench"
        if username not in self._passwords:
            self._passwords[username] = self.make_account(username, _PUSHING if "push" in actions else None)
        return login_of(username, self._passwords[username], repository, actions)

    def _ask(
        self, method: str, path: str, headers: dict[str, str] | None = None, body: bytes | None = None
    ) -> tuple[int, object, bytes]:
        return request(self.port, method, path, headers, body, self.tls)

    def _is_ready(self) -> bool:
        try:
            return self._ask("GET", "/health/ready")[0] == 200
        except OSError:
            return False


def login_of(username: str, password: str, repository: str, actions: str = "pull") -> tuple[str, dict[str, str]]:
    """The path and the headers of a login at the token endpoint, for a repository."""
    scope = quote(f"repository:{repository}:{actions}")
    return f"/v2/auth?service=tidegate&scope={scope}", {"Authorization": basic(username, password)}


def _trust(upstream: Server) -> dict[str, str]:
    """The setting by which it trusts the upstream's certificate."""
    file = CONFIGURATIONS / "tidegate.yaml"
    chain = json.dumps(str(certificate().chain))
    file.write_text(f"registries:\n  - name: {HOST}:{upstream.port}\n    ca_file: {chain}\n")
    return {"CONFIG_FILE": str(file)}


def _chosen_settings() -> dict[str, str]:
    """TIDEGATE_SETTINGS: settings to try, as `NAME=value NAME=value`."""
    words = os.environ.get("TIDEGATE_SETTINGS", "").split()
    return dict(word.split("=", 1) for word in words)


def _node_flags() -> list[str]:
    """TIDEGATE_NODE_FLAGS: what Node itself is told, as a profile is asked for."""
    return os.environ.get("TIDEGATE_NODE_FLAGS", "").split()
