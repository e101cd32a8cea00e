"""Connections that are kept open after an answer and want nothing: memory for each of them."""

import argparse
import contextlib
import resource
import socket
import struct
from collections.abc import Iterator, Sequence

from curve import Cost, Curve
from results import Results
from rig import Rig
from run_folder import GIB, HOST
from server import Server
from tidegate import VARIANTS
from trouble import Trouble

# One address has 28,000 ports, and others use them, too.
_OF_ONE_ADDRESS = 1000
_REQUEST = f"GET /health/live HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()
# Closed like this, a connection leaves no port behind that waits for a minute.
_AT_ONCE = struct.pack("ii", 1, 0)


def _measure(options: argparse.Namespace, curve: Curve, counts: Sequence[int], results: Results) -> None:
    """Each count before a gate of its own, which has answered before."""
    _allow(max(counts))
    rig = Rig(options, [VARIANTS["tidegate"].make], room=GIB // 4)
    for count in counts:
        print(f"{count} {curve.counted}", flush=True)
        for round_, server in rig.turns(_touch):
            before = server.memory_mb()
            with _connections(server, count) as connections:
                server.settle()
                after, peak = server.memory_mb(), server.peak_mb()
                gone = sum(_is_closed(each) for each in connections)
            rig.fault(server, [f"{gone} of {count} connections were closed"] if gone else [])
            results.add(
                **{curve.counted: count},
                round=round_,
                idle_mb=after,
                peak_mb=peak,
                kib_each=(after - before) * 1024 / count,
            )
    rig.end(results)


def _allow(count: int) -> None:
    """Lets this process, and what it starts, have so many connections: of a gate's files they may be two thirds."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most != resource.RLIM_INFINITY and most < 2 * count:
        raise Trouble(f"{count} connections take {2 * count} open files; {most} are allowed (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _touch(server: Server) -> None:
    """What the first answers need is there afterwards."""
    with _connections(server, 100):
        server.settle()


@contextlib.contextmanager
def _connections(server: Server, count: int) -> Iterator[list[socket.socket]]:
    """So many of them, each of which has had one answer."""
    with contextlib.ExitStack() as all_:
        opened = []
        for each in range(count):
            source = f"127.0.0.{2 + each // _OF_ONE_ADDRESS}"
            made = socket.create_connection((HOST, server.port), 30, (source, 0))
            opened.append(all_.enter_context(made))
            made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
            made.sendall(_REQUEST)
            made.recv(4096)
        yield opened


def _is_closed(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


CURVE = Curve(
    counted="idle connections",
    counts=(100, 1000, 10_000),
    costs=(Cost("idle_mb", "memory, MiB"), Cost("peak_mb", "peak, MiB")),
    columns={"kib_each": "KiB each"},
    measure=_measure,
)
