"""Blobs that cannot be compressed and images of them, made from a seed, and put into the upstream registry."""

import hashlib
import http.client
import json
import random
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from client import connection, request
from run_folder import MIB
from server import Server
from trouble import Trouble

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"
_TAR_HEAD = tarfile.BLOCKSIZE
_TAR_END = 2 * tarfile.BLOCKSIZE


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


@dataclass(frozen=True)
class Image:
    """An image that the upstream holds, under the tag v1."""

    repository: str
    digest: str
    #: Its config and its layers.
    blobs: Sequence[Blob]

    @property
    def by_tag(self) -> str:
        """Where its manifest is asked for by tag."""
        return f"/v2/{self.repository}/manifests/v1"

    @property
    def by_digest(self) -> str:
        """Where its manifest is asked for by digest."""
        return f"/v2/{self.repository}/manifests/{self.digest}"


@dataclass(frozen=True)
class File:
    """Something to be pushed."""

    path: Path
    digest: str
    size: int


def chunks(seed: str, size: int) -> Iterator[bytes]:
    """`size` bytes, the same ones for the same seed."""
    source = random.Random(seed)
    for at in range(0, size, MIB):
        yield source.randbytes(min(MIB, size - at))


def write(path: Path, seed: str, size: int) -> File:
    """Writes a file of such bytes."""
    hash_ = hashlib.sha256()
    with open(path, "wb") as output:
        for chunk in chunks(seed, size):
            hash_.update(chunk)
            output.write(chunk)
    return File(path, f"sha256:{hash_.hexdigest()}", size)


def push(upstream: Server, repository: str, size: int, seed: str = "") -> Blob:
    """Makes a blob and pushes it. Another seed, another blob."""
    return _push(upstream, repository, size, chunks(repository + seed, size))


def push_image(upstream: Server, repository: str, layer_size: int, layers: int = 1) -> Image:
    """Makes an image of so many layers, no two alike, and pushes it with the tag v1."""
    seeds = [f"{repository}{each}" for each in range(layers)]
    pushed = [_push(upstream, repository, layer_size, _layer(seed, layer_size)) for seed in seeds]
    root = {"type": "layers", "diff_ids": [layer.digest for layer in pushed]}
    config_bytes = json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": root}).encode()
    config = _push(upstream, repository, len(config_bytes), iter([config_bytes]))
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": _CONFIG, "digest": config.digest, "size": config.size},
        "layers": [{"mediaType": _LAYER, "digest": layer.digest, "size": layer.size} for layer in pushed],
    }
    body = json.dumps(manifest).encode()
    image = Image(repository, f"sha256:{hashlib.sha256(body).hexdigest()}", [config, *pushed])
    status, _, _ = request(upstream.port, "PUT", image.by_tag, {"Content-Type": MANIFEST}, body, upstream.tls)
    _expect(status, 201)
    return image


def _layer(seed: str, size: int) -> Iterator[bytes]:
    """A tar of just this size, which must be a multiple of its blocks: one file of random bytes, not compressed."""
    file = tarfile.TarInfo(f"file-{hashlib.sha256(seed.encode()).hexdigest()}")
    file.size = size - _TAR_HEAD - _TAR_END
    yield file.tobuf(tarfile.USTAR_FORMAT)
    yield from chunks(seed, file.size)
    yield bytes(_TAR_END)


def _push(upstream: Server, repository: str, size: int, body: Iterator[bytes]) -> Blob:
    """POST, PATCH with the whole body, PUT with the digest."""
    empty = {"Content-Length": "0"}
    status, headers, _ = request(
        upstream.port, "POST", f"/v2/{repository}/blobs/uploads/", empty, tls=upstream.tls
    )
    _expect(status, 202)
    hash_ = hashlib.sha256()

    def hashed() -> Iterator[bytes]:
        for chunk in body:
            hash_.update(chunk)
            yield chunk

    pushing = connection(upstream.port, upstream.tls, patience=120)
    try:
        fields = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        pushing.request("PATCH", upload_path(headers), hashed(), fields)
        answer = pushing.getresponse()
        answer.read()
        _expect(answer.status, 202)
        path = upload_path(answer.headers)
    finally:
        pushing.close()
    digest = f"sha256:{hash_.hexdigest()}"
    status, _, _ = request(upstream.port, "PUT", finishing(path, digest), empty, tls=upstream.tls)
    _expect(status, 201)
    return Blob(repository, digest, size)


def upload_path(headers: http.client.HTTPMessage) -> str:
    """Where an upload goes on, by the answer's Location."""
    location = headers["Location"]
    return location[location.index("/v2/") :]


def finishing(path: str, digest: str) -> str:
    """The path by which an upload is finished."""
    return f"{path}{'&' if '?' in path else '?'}digest={digest}"


def _expect(status: int, wanted: int) -> None:
    if status != wanted:
        raise Trouble(f"the upstream answered {status} to a push, not {wanted}")
