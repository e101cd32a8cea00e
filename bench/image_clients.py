"""The clients that pull whole images, as people run them: docker with an engine of the run's own, and skopeo."""

import abc
import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from fixtures import Image
from run_folder import CONFIGURATIONS, HOST, subfolder, wipe
from server import PATH, Server, program
from trouble import Trouble

_LONGEST = 300
_SAID = 500


class Failed(Exception):
    """A client that did not get what it was to get, in its own words."""


class ImageClient(abc.ABC):
    """A client with logins and images of its own: none of the machine's are seen or touched."""

    #: By which it is chosen.
    name: str
    #: The programs that must be installed for it.
    needs: Sequence[str]
    needs_root = False

    def __init__(self) -> None:
        self._folder = subfolder("clients", self.name)
        # docker and skopeo keep logins in the same form.
        self._logins = self._folder / "config.json"
        self._env = {"PATH": PATH, "HOME": str(self._folder), "LC_ALL": "C"}

    def start(self) -> None:
        """What has to run before it can pull."""

    def stop(self) -> None:
        """Ends that."""

    def log_in(self, server: Server) -> None:
        """Makes the client know the server's account, where it asks for one."""
        _, headers = server.login()
        words = headers.get("Authorization", "").split()
        auths = {f"{HOST}:{server.port}": {"auth": words[1]}} if words else {}
        self._logins.write_text(json.dumps({"auths": auths}))

    @abc.abstractmethod
    def pull(self, server: Server, image: Image) -> None:
        """Pulls the whole image; the digests are checked by the client. Raises Failed."""

    @abc.abstractmethod
    def forget(self, server: Server, image: Image) -> None:
        """Removes the image with its layers, so that the next pull asks for all of them."""

    def _run(self, *command: object) -> str:
        """What the program says; nothing of the environment reaches it, such as a proxy."""
        words = [str(word) for word in command]
        try:
            ran = subprocess.run(words, capture_output=True, text=True, env=self._env, timeout=_LONGEST, check=False)
        except subprocess.TimeoutExpired:
            raise Failed(f"{self.name} was not done after {_LONGEST} seconds") from None
        if ran.returncode:
            raise Failed(f"{self.name} ended with {ran.returncode}: {(ran.stderr or ran.stdout).strip()[-_SAID:]}")
        return ran.stdout


class Docker(ImageClient):
    """`docker pull`; the engine unpacks the layers, too. Its data lie in the run's folder."""

    name = "docker"
    needs = ("docker", "dockerd")
    needs_root = True

    def __init__(self) -> None:
        super().__init__()
        socket = f"unix://{self._folder}/docker.sock"
        self._env |= {"DOCKER_HOST": socket, "DOCKER_CONFIG": str(self._folder)}
        self._engine = _Engine(self._folder, socket, self._env)

    def start(self) -> None:
        self._engine.start()

    def stop(self) -> None:
        self._engine.stop()

    def pull(self, server: Server, image: Image) -> None:
        self._run("docker", "pull", "--quiet", _reference(server, image))

    def forget(self, server: Server, image: Image) -> None:
        self._run("docker", "image", "rm", "--force", _reference(server, image))
        self._run("docker", "image", "prune", "--all", "--force")


class _Engine(Server):
    """dockerd, without a network for containers: it only pulls. Registries on loopback need no TLS there."""

    def __init__(self, folder: Path, socket: str, client_env: Mapping[str, str]) -> None:
        settings = {
            "data-root": str(folder / "data"),
            "exec-root": str(folder / "exec"),
            "pidfile": str(folder / "docker.pid"),
            "hosts": [socket],
            "iptables": False,
            "ip6tables": False,
            "ip-forward": False,
            "bridge": "none",
        }
        path = CONFIGURATIONS / "dockerd.json"
        path.write_text(json.dumps(settings, indent=2))
        self._client_env = client_env
        super().__init__("dockerd", [program("dockerd"), "--config-file", path], 0)

    def _is_ready(self) -> bool:
        asking = ["docker", "version"]
        return not subprocess.run(asking, capture_output=True, env=self._client_env, timeout=30, check=False).returncode


class Skopeo(ImageClient):
    """`skopeo copy` into a folder, which unpacks nothing."""

    name = "skopeo"
    needs = ("skopeo",)

    def __init__(self) -> None:
        super().__init__()
        self._env["REGISTRY_AUTH_FILE"] = str(self._logins)
        self._image = self._folder / "image"

    def pull(self, server: Server, image: Image) -> None:
        source, target = f"docker://{_reference(server, image)}", f"dir:{self._image}"
        self._run("skopeo", "--insecure-policy", "copy", "--quiet", "--src-tls-verify=false", source, target)

    def forget(self, server: Server, image: Image) -> None:
        wipe(self._image)


CLIENTS: Mapping[str, type[ImageClient]] = {client.name: client for client in (Docker, Skopeo)}


def chosen(names: Sequence[str]) -> list[ImageClient]:
    """Those of them that can be used here; one that cannot is left out, and told."""
    clients = list(_made(names))
    if not clients:
        raise Trouble("none of these clients can be used here (Debian: apt-get install docker.io skopeo)")
    return clients


def _made(names: Sequence[str]) -> Iterator[ImageClient]:
    for name in names:
        if name not in CLIENTS:
            raise Trouble(f"there is no client {name}; there are {', '.join(CLIENTS)}")
        client = CLIENTS[name]
        missing = [needed for needed in client.needs if not program(needed)]
        if missing:
            print(f"left out: {name} ({', '.join(missing)} not installed)", flush=True)
        elif client.needs_root and os.geteuid() != 0:
            print(f"left out: {name} (its engine needs root)", flush=True)
        else:
            yield client()


def _reference(server: Server, image: Image) -> str:
    return f"{HOST}:{server.port}/{image.repository}:v1"
