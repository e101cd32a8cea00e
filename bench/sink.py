"""An upstream that swallows uploads at no cost, for what a proxy can take by itself: python3 sink.py <port>.

It answers as a registry would, and the kernel drops the bodies (MSG_TRUNC).
"""

import socket
import sys
import threading

from run_folder import HOST, MIB

_HEAD_LIMIT = 64 * 1024


def main() -> None:
    """Serves until it is ended."""
    with socket.create_server((HOST, int(sys.argv[1])), backlog=64) as listener:
        while True:
            client, _ = listener.accept()
            threading.Thread(target=_serve, args=(client,), daemon=True).start()


class _Ended(Exception):
    """The client has closed the connection."""


class _Incoming:
    """What comes over a connection: to be read up to a mark, or dropped."""

    def __init__(self, client: socket.socket) -> None:
        self._client = client
        self._held = b""
        self._buffer = bytearray(MIB)

    def until(self, mark: bytes) -> bytes:
        """What stands before the mark; both are taken."""
        while mark not in self._held:
            if len(self._held) > _HEAD_LIMIT:
                raise ValueError("a line or a head without an end")
            data = self._client.recv(16 * 1024)
            if not data:
                raise _Ended
            self._held += data
        found, _, self._held = self._held.partition(mark)
        return found

    def drop(self, count: int) -> None:
        """Takes so many bytes, and looks at none."""
        held = min(count, len(self._held))
        self._held = self._held[held:]
        count -= held
        while count > 0:
            dropped = self._client.recv_into(self._buffer, min(count, MIB), socket.MSG_TRUNC)
            if dropped == 0:
                raise _Ended
            count -= dropped


def _serve(client: socket.socket) -> None:
    incoming = _Incoming(client)
    try:
        while True:
            first, *lines = incoming.until(b"\r\n\r\n").decode("latin-1").split("\r\n")
            method, path = first.split(" ")[:2]
            fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            if fields.get("expect", "").lower() == "100-continue":
                client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            if fields.get("transfer-encoding", "").lower() == "chunked":
                _drop_chunks(incoming)
            else:
                incoming.drop(int(fields.get("content-length", "0")))
            client.sendall(_answer(method, path))
    except (_Ended, OSError, ValueError):
        pass
    finally:
        client.close()


def _drop_chunks(incoming: _Incoming) -> None:
    while size := int(incoming.until(b"\r\n").split(b";")[0], 16):
        incoming.drop(size + 2)
    while incoming.until(b"\r\n"):
        pass


def _answer(method: str, path: str) -> bytes:
    """What a registry that takes everything and has nothing would say."""
    where, _, query = path.partition("?")
    fields = ["Docker-Distribution-API-Version: registry/2.0"]
    if where == "/v2/":
        status = "200 OK"
    elif method == "PUT":
        digest = query.rpartition("digest=")[2].replace("%3A", ":").replace("%3a", ":")
        repository = where.partition("/blobs/")[0]
        status = "201 Created"
        fields += [f"Location: {repository}/blobs/{digest}", f"Docker-Content-Digest: {digest}"]
    elif method in ("POST", "PATCH"):
        upload = where if method == "PATCH" else f"{where.rstrip('/')}/1"
        status = "202 Accepted"
        fields += [f"Location: {upload}", "Docker-Upload-UUID: 1", "Range: 0-0"]
    else:
        status = "404 Not Found"
    return "\r\n".join([f"HTTP/1.1 {status}", *fields, "Content-Length: 0", "", ""]).encode("latin-1")


if __name__ == "__main__":
    main()
