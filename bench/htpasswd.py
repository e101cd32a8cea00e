"""The account of the servers that know accounts by an htpasswd file: bcrypt at cost 10, as their manuals have it."""

import base64
import functools
import secrets
import subprocess
from pathlib import Path

from run_folder import CONFIGURATIONS
from server import PATH, Server, program
from trouble import Trouble

_COST = "10"
_NAME = "bench"


def basic(username: str, password: str) -> str:
    """The Authorization header's value."""
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


@functools.cache
def account() -> tuple[Path, str]:
    """The file, and the Authorization header of the account in it. The password is made anew with each run."""
    path, password = CONFIGURATIONS / "htpasswd", secrets.token_urlsafe(16)
    path.write_text(f"{_NAME}:{hashed(password)}\n")
    return path, basic(_NAME, password)


def hashed(password: str) -> str:
    """The password's hash, as it stands in such a file."""
    htpasswd = program("htpasswd")
    if not htpasswd:
        raise Trouble("passwords are hashed by htpasswd; install it (Debian: apt-get install apache2-utils)")
    command = [htpasswd, "-niBC", _COST, _NAME]
    ran = subprocess.run(
        command, input=password, capture_output=True, text=True, env={"PATH": PATH}, timeout=30, check=False
    )
    if ran.returncode:
        raise Trouble(f"htpasswd made no account: {ran.stderr.strip()}")
    return ran.stdout.strip().partition(":")[2]


class HtpasswdServer(Server):
    """A server that asks for the password with every request."""

    def headers(self, repository: str, actions: str = "pull") -> dict[str, str]:
        del repository, actions
        return {"Authorization": account()[1]}
