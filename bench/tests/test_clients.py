"""The clients see what is wrong with an answer; the sink takes whatever is pushed."""

import contextlib
import hashlib
import http.client
import socket
import subprocess
import sys
import threading
import time
import unittest
from collections.abc import Iterator
from pathlib import Path

from client import Question, pull, stream
from run_folder import HOST
from server import free_port

BODY = b"0123456789" * 1000
SINK = Path(__file__).resolve().parent.parent / "sink.py"


@contextlib.contextmanager
def answering(*answers: bytes) -> Iterator[int]:
    """A server that gives these answers in turn, to each connection anew, and closes after the last; its port."""

    def serve(client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            for answer in answers:
                asked = b""
                while b"\r\n\r\n" not in asked:
                    if not (more := client.recv(65536)):
                        return
                    asked += more
                client.sendall(answer)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server((HOST, 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def whole(body: bytes = BODY, status: str = "200 OK", length: int | None = None) -> bytes:
    """An answer as it goes over the wire."""
    announced = len(body) if length is None else length
    return f"HTTP/1.1 {status}\r\nContent-Length: {announced}\r\n\r\n".encode() + body


QUESTION = Question("/v2/", {})


class PullTest(unittest.TestCase):
    """One question of all clients."""

    def test_every_client_gets_the_bytes(self) -> None:
        """And their sha256 shows that they did."""
        with answering(whole()) as port:
            found = pull(port, QUESTION, clients=3, hashing=True)
        self.assertEqual(found.errors, [])
        self.assertEqual(dict(found.digests), {"sha256:" + hashlib.sha256(BODY).hexdigest(): 3})
        self.assertEqual((found.bytes, len(found.totals), len(found.first_bytes)), (3 * len(BODY), 3, 3))

    def test_bytes_that_nobody_looks_at_count_too(self) -> None:
        """The kernel drops them."""
        with answering(whole()) as port:
            found = pull(port, QUESTION)
        self.assertEqual((found.errors, found.bytes, dict(found.digests)), ([], len(BODY), {}))

    def test_what_is_no_whole_answer_is_a_fault(self) -> None:
        """Another status, a body that breaks off, no answer at all."""
        for answer, said in (
            (whole(b"no", "503 Service Unavailable"), "status 503"),
            (whole(length=len(BODY) + 1), f"closed after {len(BODY)} bytes"),
            (b"", "closed without an answer"),
            (b"HTTP/1.1 200 OK\r\n\r\n", "no Content-Length"),
        ):
            with self.subTest(said), answering(answer) as port:
                found = pull(port, QUESTION)
                self.assertEqual((len(found.errors), found.totals), (1, []))
                self.assertIn(said, found.errors[0])

    def test_what_does_not_come_is_given_up(self) -> None:
        """After the patience that was asked for."""
        with answering(whole(length=len(BODY) + 1), b"") as port:
            found = pull(port, QUESTION, patience=0.2)
        self.assertEqual(found.errors, [f"given up after {len(BODY)} bytes"])


class StreamTest(unittest.TestCase):
    """Questions over and over."""

    def test_a_client_asks_again_over_the_same_connection(self) -> None:
        """Until the time is up, which is no fault."""
        with answering(*[whole()] * 5, whole(length=2 * len(BODY)), b"") as port:
            found = stream(port, [QUESTION], clients=2, seconds=0.5)
        self.assertEqual(found.errors, [])
        self.assertEqual((len(found.totals), found.bytes), (10, 12 * len(BODY)))

    def test_a_connection_that_is_closed_between_answers_is_a_fault(self) -> None:
        """Whoever asks one thing after the other may count on it."""
        with answering(whole(), whole()) as port:
            found = stream(port, [QUESTION], clients=1, seconds=5)
        self.assertEqual(len(found.totals), 2)
        self.assertEqual(len(found.errors), 1)

    def test_silence_is_a_fault(self) -> None:
        """A time without a single byte is not a speed of nought."""
        with answering(b"HTTP/1.1 200 OK\r\n", b"") as port:
            found = stream(port, [QUESTION], clients=1, seconds=0.2)
        self.assertEqual(found.errors, ["not a byte in 0.2 seconds"])


class SinkTest(unittest.TestCase):
    """A push to the sink, as a process of its own."""

    def setUp(self) -> None:
        """Started, and listening."""
        port = free_port()
        process = subprocess.Popen([sys.executable, "-B", SINK, str(port)], stderr=subprocess.PIPE)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait, 10)
        self.addCleanup(process.terminate)
        deadline = time.monotonic() + 60
        while True:
            try:
                self.connection = http.client.HTTPConnection(HOST, port, timeout=60)
                self.connection.connect()
                break
            except ConnectionRefusedError:
                self.assertIsNone(process.poll(), "the sink has ended")
                self.assertLess(time.monotonic(), deadline, "the sink does not listen")
                time.sleep(0.05)
        self.addCleanup(self.connection.close)

    def asked(self, method: str, path: str, body: object = None, **options: object) -> tuple[int, dict[str, str]]:
        """Status and headers."""
        self.connection.request(method, path, body, **options)
        answer = self.connection.getresponse()
        answer.read()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}

    def test_a_push_goes_through_over_one_connection(self) -> None:
        """The body in one piece, then in chunks, and whatever is in it."""
        body = b"\r\n\r\n0\r\n\r\n" * 50_000
        status, headers = self.asked("POST", "/v2/perf/push/blobs/uploads/")
        self.assertEqual((status, headers["location"]), (202, "/v2/perf/push/blobs/uploads/1"))
        self.assertEqual(self.asked("PATCH", headers["location"], body)[0], 202)
        pieces = iter([body, b"x", body])
        self.assertEqual(self.asked("PATCH", headers["location"], pieces, encode_chunked=True)[0], 202)
        status, headers = self.asked("PUT", f"{headers['location']}?digest=sha256%3Aabc", b"")
        self.assertEqual((status, headers["docker-content-digest"]), (201, "sha256:abc"))

    def test_it_has_nothing(self) -> None:
        """And says so, as a registry does."""
        self.assertEqual(self.asked("GET", "/v2/")[0], 200)
        self.assertEqual(self.asked("HEAD", "/v2/perf/push/blobs/sha256:abc")[0], 404)


if __name__ == "__main__":
    unittest.main()
