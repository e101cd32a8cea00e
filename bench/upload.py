"""The client that pushes: the body goes from the file into the socket by sendfile, so that it costs next to nothing."""

import http.client
import time
from dataclasses import dataclass

from client import connection, request
from fixtures import File, finishing, upload_path
from server import Server

_LONGEST = 300


@dataclass(frozen=True)
class Upload:
    """How long a push took, in seconds: the body's request alone, and all of it."""

    body: float
    total: float


class Refused(Exception):
    """A push that a server did not take: what it answered, and to what."""


def upload(server: Server, repository: str, file: File) -> Upload:
    """POST, PATCH with the whole body, PUT with the digest. Raises Refused, or OSError when the connection breaks."""
    headers = server.headers(repository, "pull,push")
    empty = {**headers, "Content-Length": "0"}
    started = time.perf_counter()
    status, answered, body = request(server.port, "POST", f"/v2/{repository}/blobs/uploads/", empty)
    _expect("POST", status, 202, body)
    began = time.perf_counter()
    path = _send(server, upload_path(answered), headers, file)
    sent = time.perf_counter()
    status, _, body = request(server.port, "PUT", finishing(path, file.digest), empty)
    _expect("PUT", status, 201, body)
    return Upload(sent - began, time.perf_counter() - started)


def _send(server: Server, path: str, headers: dict[str, str], file: File) -> str:
    """PATCHes the body; the path at which the upload goes on."""
    pushing = connection(server.port, patience=_LONGEST)
    try:
        pushing.putrequest("PATCH", path, skip_accept_encoding=True)
        fields = {"Content-Type": "application/octet-stream", "Content-Length": str(file.size)}
        for name, value in {**headers, **fields}.items():
            pushing.putheader(name, value)
        pushing.endheaders()
        with open(file.path, "rb") as source:
            pushing.sock.sendfile(source)
        answer = pushing.getresponse()
        body = answer.read()
        _expect("PATCH", answer.status, 202, body)
        return upload_path(answer.headers)
    except http.client.HTTPException as error:
        raise Refused(f"no answer to PATCH that can be read: {error!r}") from error
    finally:
        pushing.close()


def _expect(method: str, status: int, wanted: int, body: bytes) -> None:
    if status != wanted:
        raise Refused(f"{status} to {method}, not {wanted}: {body[:200]!r}")
