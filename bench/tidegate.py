"""Tidegate as its users run it: `node dist/main.js` with its own Node, accounts, tokens, throttling and its cache."""

import base64
import json
import os
import secrets
from pathlib import Path
from urllib.parse import quote

from client import request
from run_folder import HOST, subfolder
from server import Server, free_port, program
from trouble import Trouble

#: The checkout that is measured; it must be built.
ROOT = Path(os.environ.get("TIDEGATE_ROOT") or Path(__file__).resolve().parent.parent).resolve()


def node() -> str:
    """The project's own Node, else the one that is installed."""
    own = ROOT / "node_modules" / "node" / "bin" / "node"
    found = str(own) if own.is_file() else program("node")
    if not found:
        raise Trouble("there is no Node; type: npm ci")
    return found


class Tidegate(Server):
    """The gate before the upstream, with one account, whose token every request carries."""

    def __init__(self, upstream_port: int, cpus: set[int] | None) -> None:
        main = ROOT / "dist" / "main.js"
        if not main.is_file():
            raise Trouble(f"{main} is not there; type: npm run build")
        port = free_port()
        # Secrets, accounts, index and cache: all is made anew with each cold start.
        holds = subfolder("held", "tidegate")
        self._admin_password = secrets.token_urlsafe(16)
        self._password = secrets.token_urlsafe(16)
        self._tokens: dict[str, str] = {}
        super().__init__(
            "tidegate",
            [node(), main],
            port,
            cpus=cpus,
            holds=holds,
            # Not the checkout, whose .env would count.
            cwd=subfolder("empty"),
            env={
                "HOST": HOST,
                "PORT": str(port),
                "DATA_DIR": str(holds),
                "ADMIN_PASSWORD": self._admin_password,
                "UPSTREAM_REGISTRY": f"http://{HOST}:{upstream_port}",
                # Throttling works, and never trips.
                "RATE_LIMIT": "1000000/s",
                "RATE_BURST": "10000000",
                "MAX_CONNECTIONS": "100000",
                **_chosen_settings(),
            },
        )

    def start(self, patience: float = 30) -> None:
        """Starts the gate, and makes the account over REST."""
        super().start(patience)
        self._tokens.clear()
        account = {"username": "bench", "password": self._password}
        headers = {
            "Content-Type": "application/json",
            "Authorization": _basic("admin", self._admin_password),
        }
        status, _, body = request(self.port, "POST", "/admin/users", headers, json.dumps(account).encode())
        if status not in (201, 409):
            raise Trouble(f"tidegate answered {status} to a new account: {body[:200]!r}")

    def headers(self, repository: str) -> dict[str, str]:
        """A token for the repository, fetched once after each start."""
        if repository not in self._tokens:
            scope = quote(f"repository:{repository}:pull")
            headers = {"Authorization": _basic("bench", self._password)}
            path = f"/v2/auth?service=tidegate&scope={scope}"
            status, _, body = request(self.port, "GET", path, headers)
            if status != 200:
                raise Trouble(f"tidegate answered {status} to a login: {body[:200]!r}")
            self._tokens[repository] = json.loads(body)["token"]
        return {"Authorization": f"Bearer {self._tokens[repository]}"}

    def _is_ready(self) -> bool:
        try:
            return request(self.port, "GET", "/health/ready")[0] == 200
        except OSError:
            return False


def _basic(username: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


def _chosen_settings() -> dict[str, str]:
    """TIDEGATE_SETTINGS: settings to try, as `NAME=value NAME=value`."""
    words = os.environ.get("TIDEGATE_SETTINGS", "").split()
    return dict(word.split("=", 1) for word in words)
