"""Blobs that cannot be compressed, made from a seed, and put into the upstream registry."""

import hashlib
import http.client
import random
from collections.abc import Iterator
from dataclasses import dataclass

from client import request
from run_folder import HOST, MIB
from trouble import Trouble


@dataclass(frozen=True)
class Blob:
    """A blob that the upstream holds."""

    repository: str
    digest: str
    size: int

    @property
    def path(self) -> str:
        """Where it is asked for, at every server alike."""
        return f"/v2/{self.repository}/blobs/{self.digest}"


def chunks(seed: str, size: int) -> Iterator[bytes]:
    """`size` bytes, the same ones for the same seed."""
    source = random.Random(seed)
    for at in range(0, size, MIB):
        yield source.randbytes(min(MIB, size - at))


def push(port: int, repository: str, size: int, seed: str = "") -> Blob:
    """Makes a blob and pushes it: POST, PATCH with the whole body, PUT with the digest. Another seed, another blob."""
    status, headers, _ = request(port, "POST", f"/v2/{repository}/blobs/uploads/", {"Content-Length": "0"})
    _expect(status, 202)
    hash_ = hashlib.sha256()

    def body() -> Iterator[bytes]:
        for chunk in chunks(repository + seed, size):
            hash_.update(chunk)
            yield chunk

    connection = http.client.HTTPConnection(HOST, port, timeout=120)
    try:
        fields = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        connection.request("PATCH", _upload_path(headers), body(), fields)
        answer = connection.getresponse()
        answer.read()
        _expect(answer.status, 202)
        path = _upload_path(answer.headers)
    finally:
        connection.close()
    digest = f"sha256:{hash_.hexdigest()}"
    separator = "&" if "?" in path else "?"
    status, _, _ = request(port, "PUT", f"{path}{separator}digest={digest}", {"Content-Length": "0"})
    _expect(status, 201)
    return Blob(repository, digest, size)


def _upload_path(headers: http.client.HTTPMessage) -> str:
    location = headers["Location"]
    return location[location.index("/v2/") :]


def _expect(status: int, wanted: int) -> None:
    if status != wanted:
        raise Trouble(f"the upstream answered {status} to a push, not {wanted}")
