"""The clients: one thread and one epoll for all of them, so that they cost next to nothing beside what is measured."""

import contextlib
import hashlib
import http.client
import selectors
import socket
import ssl
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from run_folder import HOST, MIB

_HEAD_LIMIT = 16 * 1024


def connection(port: int, tls: ssl.SSLContext | None = None, patience: float = 30) -> http.client.HTTPConnection:
    """A connection for small requests, not yet open; over TLS where there is a context for it."""
    if tls:
        return http.client.HTTPSConnection(HOST, port, timeout=patience, context=tls)
    return http.client.HTTPConnection(HOST, port, timeout=patience)


def request(
    port: int,
    method: str,
    path: str,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    tls: ssl.SSLContext | None = None,
) -> tuple[int, http.client.HTTPMessage, bytes]:
    """One small request: status, headers, body."""
    asking = connection(port, tls)
    try:
        asking.request(method, path, body, dict(headers or {}))
        answer = asking.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        asking.close()


@dataclass(frozen=True)
class Question:
    """What is asked for, and what the request carries."""

    path: str
    headers: Mapping[str, str]


@dataclass
class Pull:
    """What the clients saw. Times are in seconds, and begin when the request is sent."""

    seconds: float = 0.0
    bytes: int = 0
    first_bytes: list[float] = field(default_factory=list)
    totals: list[float] = field(default_factory=list)
    #: How many clients got which sha256; empty unless the bodies were hashed.
    digests: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)


def pull(
    port: int,
    question: Question,
    *,
    clients: int = 1,
    hashing: bool = False,
    tls: ssl.SSLContext | None = None,
    patience: float = 300,
) -> Pull:
    """Asks the same of all clients at once, over connections that stand before the clock starts.

    The kernel drops the bodies (MSG_TRUNC), unless they are hashed or encrypted. What has not come after `patience`
    seconds is given up, and shows as an error.
    """
    return _run(port, [question], clients=clients, hashing=hashing, tls=tls, patience=patience, again=False)


def stream(
    port: int,
    questions: Sequence[Question],
    *,
    clients: int,
    seconds: float,
    tls: ssl.SSLContext | None = None,
) -> Pull:
    """For so many seconds each client asks one thing after the other over its one connection, and begins again.

    The clients begin at different questions. What is under way at the end counts by the bytes that came.
    """
    result = _run(port, questions, clients=clients, hashing=False, tls=tls, patience=seconds, again=True)
    if not result.bytes and not result.errors:
        result.errors.append(f"not a byte in {seconds} seconds")
    return result


def _run(
    port: int,
    questions: Sequence[Question],
    *,
    clients: int,
    hashing: bool,
    tls: ssl.SSLContext | None,
    patience: float,
    again: bool,
) -> Pull:
    asked = [_words(port, question) for question in questions]
    buffer = bytearray(MIB)
    result = Pull()
    transfers: list[_Transfer] = []
    try:
        with selectors.DefaultSelector() as selector:
            for at in range(clients):
                transfers.append(_Transfer(_connected(port, tls), buffer, hashing, at))
                selector.register(transfers[-1].socket, selectors.EVENT_READ, transfers[-1])
            started = time.perf_counter()
            until = started + patience
            for transfer in transfers:
                transfer.ask(asked)
            left = clients
            while left and (rest := until - time.perf_counter()) > 0:
                for key, _ in selector.select(min(rest, 1)):
                    transfer = key.data
                    if not transfer.read():
                        continue
                    transfer.tell(result)
                    if again and not transfer.error:
                        transfer.ask(asked)
                    else:
                        selector.unregister(key.fileobj)
                        left -= 1
            result.seconds = time.perf_counter() - started
    finally:
        for transfer in transfers:
            transfer.socket.close()
    for transfer in transfers:
        if transfer.is_open:
            transfer.give_up(result, is_fault=not again)
    return result


def _words(port: int, question: Question) -> bytes:
    fields = [f"{name}: {value}" for name, value in question.headers.items()]
    lines = [f"GET {question.path} HTTP/1.1", f"Host: {HOST}:{port}", *fields]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _connected(port: int, tls: ssl.SSLContext | None) -> socket.socket:
    plain = socket.create_connection((HOST, port), 30)
    # As clients have it: else a question right after a handshake waits 40 ms for the acknowledgement of that.
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    made = tls.wrap_socket(plain, server_hostname=HOST) if tls else plain
    made.setblocking(False)
    return made


class _Transfer:
    """One client: a request that is on its way, and its answer as it comes."""

    def __init__(self, connected: socket.socket, buffer: bytearray, hashing: bool, at: int) -> None:
        self.socket = connected
        self.error: str | None = None
        #: True from a request until its answer has been told of.
        self.is_open = False
        self._next = at
        self._buffer = buffer
        self._hashing = hashing
        # The kernel cannot drop what it cannot read.
        self._flags = 0 if hashing or isinstance(connected, ssl.SSLSocket) else socket.MSG_TRUNC

    def ask(self, questions: Sequence[bytes]) -> None:
        """Sends this client's next request, the last one being answered."""
        question = questions[self._next % len(questions)]
        self._next += 1
        self._hash = hashlib.sha256() if self._hashing else None
        self._head = b""
        self._received = 0
        self._expected: int | None = None
        self._first: float | None = None
        self._last: float | None = None
        self.is_open = True
        self._asked = time.perf_counter()
        # That the server has closed the connection shows when the answer is read.
        with contextlib.suppress(OSError):
            self.socket.send(question)

    def read(self) -> bool:
        """Takes what has come; true when there is nothing more to wait for."""
        try:
            self._read_some()
            # What TLS has decrypted already does not show at the socket.
            while isinstance(self.socket, ssl.SSLSocket) and self.socket.pending() and not self._is_whole():
                self._read_some()
        except (BlockingIOError, ssl.SSLWantReadError):
            return False
        except (OSError, ValueError) as error:
            self.error = f"{error} after {self._received} bytes"
        if self._is_whole():
            self._last = time.perf_counter()
        return self._last is not None or self.error is not None

    def tell(self, result: Pull) -> None:
        """Adds what this client saw of its last request."""
        self.is_open = False
        result.bytes += self._received
        if self._first is not None:
            result.first_bytes.append(self._first - self._asked)
        if self._last is None:
            result.errors.append(self.error or f"given up after {self._received} bytes")
            return
        result.totals.append(self._last - self._asked)
        if self._hash:
            result.digests["sha256:" + self._hash.hexdigest()] += 1

    def give_up(self, result: Pull, is_fault: bool) -> None:
        """The same of a request whose answer has not ended; that is a fault where there was no deadline to meet."""
        if is_fault:
            self.tell(result)
            return
        result.bytes += self._received
        if self._first is not None:
            result.first_bytes.append(self._first - self._asked)

    def _is_whole(self) -> bool:
        return self._received == self._expected

    def _read_some(self) -> None:
        if self._expected is None:
            self._read_head()
        else:
            self._read_body(self._expected)

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
        count = self.socket.recv_into(self._buffer, wanted, self._flags)
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
