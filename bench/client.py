"""The clients: one thread and one epoll for all of them, so that they cost next to nothing beside what is measured."""

import hashlib
import http.client
import selectors
import socket
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from run_folder import HOST, MIB

_HEAD_LIMIT = 16 * 1024


def request(
    port: int,
    method: str,
    path: str,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
) -> tuple[int, http.client.HTTPMessage, bytes]:
    """One small request: status, headers, body."""
    connection = http.client.HTTPConnection(HOST, port, timeout=30)
    try:
        connection.request(method, path, body, dict(headers or {}))
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


@dataclass
class Pull:
    """What the clients of one pull saw. Times are in seconds, and begin when the requests are sent."""

    seconds: float = 0.0
    bytes: int = 0
    first_bytes: list[float] = field(default_factory=list)
    totals: list[float] = field(default_factory=list)
    #: How many clients got which sha256; empty unless the bodies were hashed.
    digests: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)


def pull(
    port: int,
    path: str,
    headers: Mapping[str, str],
    *,
    clients: int = 1,
    hashing: bool = False,
    patience: float = 300,
) -> Pull:
    """GETs one path with all clients at once, over connections that stand before the clock starts.

    The kernel drops the bodies (MSG_TRUNC), unless they are hashed. What has not come after `patience` seconds
    is given up, and shows as an error.
    """
    lines = [f"GET {path} HTTP/1.1", f"Host: {HOST}:{port}", *(f"{k}: {v}" for k, v in headers.items())]
    question = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
    buffer = bytearray(MIB)
    result = Pull()
    transfers = [_Transfer(port, buffer, hashing) for _ in range(clients)]
    try:
        with selectors.DefaultSelector() as selector:
            for transfer in transfers:
                selector.register(transfer.socket, selectors.EVENT_READ, transfer)
            started = time.perf_counter()
            for transfer in transfers:
                transfer.socket.send(question)
            left = clients
            while left and time.perf_counter() < started + patience:
                for key, _ in selector.select(1):
                    if key.data.read():
                        selector.unregister(key.fileobj)
                        left -= 1
            result.seconds = time.perf_counter() - started
    finally:
        for transfer in transfers:
            transfer.socket.close()
    for transfer in transfers:
        transfer.tell(result, started)
    return result


class _Transfer:
    """One client: a request that is on its way, and its answer as it comes."""

    def __init__(self, port: int, buffer: bytearray, hashing: bool) -> None:
        self.socket = socket.create_connection((HOST, port), 30)
        self.socket.setblocking(False)
        self._buffer = buffer
        self._hash = hashlib.sha256() if hashing else None
        self._head = b""
        self._received = 0
        self._expected: int | None = None
        self._first: float | None = None
        self._last: float | None = None
        self._error: str | None = None

    def read(self) -> bool:
        """Takes what has come; true when there is nothing more to wait for."""
        try:
            if self._expected is None:
                self._read_head()
            else:
                self._read_body(self._expected)
        except BlockingIOError:
            return False
        except (OSError, ValueError) as error:
            self._error = f"{error} after {self._received} bytes"
        if self._received == self._expected:
            self._last = time.perf_counter()
        return self._last is not None or self._error is not None

    def tell(self, result: Pull, started: float) -> None:
        """Adds what this client saw."""
        result.bytes += self._received
        if self._first is not None:
            result.first_bytes.append(self._first - started)
        if self._last is None:
            result.errors.append(self._error or f"given up after {self._received} bytes")
            return
        result.totals.append(self._last - started)
        if self._hash:
            result.digests["sha256:" + self._hash.hexdigest()] += 1

    def _read_head(self) -> None:
        data = self.socket.recv(_HEAD_LIMIT)
        if not data:
            raise ValueError("closed without an answer")
        self._head += data
        end = self._head.find(b"\r\n\r\n")
        if end < 0:
            if len(self._head) > _HEAD_LIMIT:
                raise ValueError("a head without an end")
            return
        first, *fields = self._head[:end].decode("latin-1").split("\r\n")
        status = first.split(" ", 2)[1]
        if status != "200":
            raise ValueError(f"status {status}: {self._head[end + 4 :][:200]!r}")
        length = [line.split(":", 1)[1] for line in fields if line.lower().startswith("content-length:")]
        if not length:
            raise ValueError("no Content-Length")
        self._expected = int(length[0])
        self._take(self._head[end + 4 :])

    def _read_body(self, expected: int) -> None:
        wanted = min(expected - self._received, len(self._buffer))
        flags = 0 if self._hash else socket.MSG_TRUNC
        count = self.socket.recv_into(self._buffer, wanted, flags)
        if count == 0:
            raise ValueError("closed")
        self._take(memoryview(self._buffer)[:count])

    def _take(self, data: bytes | memoryview) -> None:
        if len(data) == 0:
            return
        # The first byte of the body: a head that is sent early carries nothing that a client waits for.
        if self._first is None:
            self._first = time.perf_counter()
        self._received += len(data)
        if self._hash:
            self._hash.update(data)
