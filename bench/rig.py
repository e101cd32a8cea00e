"""What measures of servers share: the upstream with its access log, the servers, their turns, and who runs where."""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import fixtures
import peers
import registries
import run_folder
from client import Pull, Question, pull, stream
from fixtures import Blob
from peers import Make
from results import Results
from run_folder import MIB
from server import Cpus, Server, free_port, program
from trouble import Trouble

# Those of the whole run: a rig takes all but one away from the process itself.
_CPUS = sorted(os.sched_getaffinity(0))
_WARMING = 8
_SINK = Path(__file__).resolve().parent / "sink.py"


def add_options(parser: argparse.ArgumentParser, servers: Sequence[str], rounds: int) -> None:
    """The options that all measures of servers have."""
    known = ", ".join(peers.SERVERS)
    parser.add_argument(
        "--servers", help=f"which, separated by commas, of {known} (here, as far as installed: {', '.join(servers)})"
    )
    parser.add_argument("--rounds", type=number(1, 50), default=rounds, help="(%(default)s)")
    parser.add_argument("--unpinned", action="store_true", help="let everything run on every CPU")
    parser.add_argument("--no-verify", action="store_true", help="do not check the answers beforehand")
    parser.add_argument("--tag", help="name of the result's files (the measure's)")


def add_warmed(parser: argparse.ArgumentParser) -> None:
    """The option of measures that begin with nothing held."""
    parser.add_argument(
        "--warmed",
        action="store_true",
        help=f"pull {_WARMING} other blobs of 1 MiB first, as a server that has run for a while",
    )


def add_upstream_tls(parser: argparse.ArgumentParser) -> None:
    """The option of measures in which bodies come from the upstream."""
    parser.add_argument(
        "--upstream-tls", action="store_true", help="the upstream speaks TLS, with a certificate that is checked"
    )


def name_of(options: argparse.Namespace, measure: str) -> str:
    """What the result's files are called."""
    return options.tag or (f"{measure}-upstream-tls" if options.upstream_tls else measure)


def over_tls(options: argparse.Namespace) -> str:
    """What a heading says of the upstream."""
    return " from an upstream with TLS" if options.upstream_tls else ""


def number(least: int, most: int) -> Callable[[str], int]:
    """An argparse type: a whole number within bounds, so that no load is without one."""

    def read(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"a whole number from {least} to {most}")
        return int(text)

    return read


def numbers(least: int, most: int) -> Callable[[str], list[int]]:
    """An argparse type: several of these, separated by commas."""
    one = number(least, most)
    return lambda text: [one(word) for word in text.split(",")]


class Rig:
    """The upstream, empty, and the servers before it, none of them started."""

    def __init__(self, options: argparse.Namespace, fleet: Sequence[Make], *, room: int, sink: bool = False) -> None:
        """`room` is what the run needs for its files; `sink` takes an upstream that swallows what is pushed.

        The upstream speaks TLS where the options have it, and say so.
        """
        run_folder.require_room(room)
        self.rounds: int = options.rounds
        self.failures = 0
        server_cpus, other_cpus = _halves(options.unpinned)
        self.pinned = server_cpus is not None
        over_tls = getattr(options, "upstream_tls", False)
        self.upstream = _sink(other_cpus) if sink else _upstream(other_cpus, over_tls)
        self.servers = [make(self.upstream, server_cpus) for make in fleet]
        os.sched_setaffinity(0, other_cpus or _CPUS)
        self.upstream.start()
        self.warming: list[Blob] = []

    def push(self, repository: str, size: int, seed: str = "") -> Blob:
        """Puts a blob into the upstream."""
        return fixtures.push(self.upstream, repository, size, seed)

    def turns(self, ready: Callable[[Server], None]) -> Iterator[tuple[int, Server]]:
        """Each server in each round, started with nothing held, made ready, and at rest; ended afterwards.

        Every other round goes through them backwards, so that none is always the one that comes after another.
        """
        for round_ in range(self.rounds):
            # What is said of another server beside `direct` in the same round needs its figure first.
            first = [server for server in self.servers if isinstance(server, peers.Direct)]
            others = [server for server in self.servers if server not in first]
            for server in first + (others[::-1] if round_ % 2 else others):
                print(f"round {round_ + 1} of {self.rounds}: {server.name}", flush=True)
                server.cold_start()
                ready(server)
                server.settle()
                server.forget_peak()
                yield round_, server
                server.clear()

    def warm(self, server: Server, wanted: Blob) -> None:
        """Pulls the small blobs that a server has served before, if there are any, and logs in for the wanted one."""
        for blob in self.warming:
            self.pull(server, blob)
        server.headers(wanted.repository)

    def prepare_warming(self) -> None:
        """Puts the small blobs into the upstream that warm() pulls."""
        self.warming = [self.push("perf/warming", MIB, str(each)) for each in range(_WARMING)]

    def pull(self, server: Server, blob: Blob, clients: int = 1, *, hashing: bool = False) -> Pull:
        """All clients GET the blob at once; what went wrong is told and counted."""
        result = pull(server.port, question(server, blob), clients=clients, hashing=hashing, tls=server.tls)
        wrong = {got: count for got, count in result.digests.items() if got != blob.digest}
        mistaken = [f"{count} × {got} in place of {blob.digest}" for got, count in wrong.items()]
        self.fault(server, result.errors + mistaken)
        return result

    def stream(self, server: Server, blobs: Sequence[Blob], clients: int, seconds: float) -> Pull:
        """All clients GET the blobs again and again for so many seconds; what went wrong is told and counted."""
        asked = [question(server, blob) for blob in blobs]
        result = stream(server.port, asked, clients=clients, seconds=seconds, tls=server.tls)
        self.fault(server, result.errors)
        return result

    def fault(self, server: Server, faults: Sequence[str]) -> None:
        """Tells and counts what went wrong, if anything did."""
        if faults:
            self.failures += 1
            print(f"  {server.name}: {len(faults)} faults, the first: {faults[0]}", flush=True)

    def verify(self, blobs: Sequence[Blob], clients: int = 1) -> None:
        """Outside of the timed rounds: every client of a cold server, and one after them, gets the right bytes."""
        for server in self.servers:
            server.cold_start()
            right = 0
            for blob in blobs:
                first = self.pull(server, blob, clients, hashing=True)
                second = self.pull(server, blob, hashing=True)
                right += first.digests[blob.digest] + second.digests[blob.digest]
            print(f"verified {server.name}: {right} of {(clients + 1) * len(blobs)} digests right", flush=True)
            server.clear()

    def asked(self, blob: Blob) -> "Asked":
        """Counts what the upstream is asked for the blob from here on."""
        return Asked(self.upstream, blob)

    def end(self, results: Results) -> Results:
        """Ends all; the results, with what went wrong."""
        for server in [*self.servers, self.upstream]:
            server.clear()
        results.failures = self.failures
        return results


class Asked:
    """The upstream's access log, read from where it ended when this was made."""

    def __init__(self, upstream: Server, blob: Blob) -> None:
        self._upstream = upstream
        self._wanted = f'"GET {blob.path} '
        self._from = upstream.log.stat().st_size

    def gets(self) -> int:
        """GETs of the blob. A line is written when its answer ends, so the log must have come to rest."""
        size = -1
        deadline = time.monotonic() + 10
        while (now := self._upstream.log.stat().st_size) != size and time.monotonic() < deadline:
            size = now
            time.sleep(0.3)
        with open(self._upstream.log, encoding="utf-8", errors="replace") as log:
            log.seek(self._from)
            return sum(self._wanted in line for line in log)


class Usage:
    """What a server uses from the moment at which this is made; it is to be at rest then."""

    def __init__(self, server: Server) -> None:
        server.forget_peak()
        self._server = server
        self._cpu = server.cpu()
        self._memory = server.memory_mb()

    def found(self) -> dict[str, float | None]:
        """CPU seconds and memory, once the server is at rest again. None where there is no server."""
        self._server.settle()
        cpu, peak = self._server.cpu(), self._server.peak_mb()
        return {
            "cpu_s": None if cpu is None or self._cpu is None else cpu - self._cpu,
            "peak_mb": peak,
            "above_idle_mb": None if peak is None or self._memory is None else peak - self._memory,
        }


def question(server: Server, blob: Blob) -> Question:
    """How a server is asked for a blob."""
    return Question(blob.path, server.headers(blob.repository))


def megabytes_per_second(result: Pull) -> float:
    """Of all clients together; a megabyte is 10^6 bytes."""
    return result.bytes / result.seconds / 1e6


def each(amount: float | None, count: float, unit: float) -> float | None:
    """How much of something goes with `unit` of what `count` tells; None where nothing is known."""
    return None if amount is None or not count else amount / count * unit


def conditions(rig: Rig, **more: object) -> dict[str, object]:
    """What a table must say of how it came about."""
    upstream = {"upstream": "over TLS"} if rig.upstream.tls else {}
    return {**more, **upstream, "rounds": rig.rounds, "pinned": "yes" if rig.pinned else "no"}


def _upstream(cpus: Cpus, over_tls: bool) -> Server:
    if not program("docker-registry"):
        raise Trouble("the upstream is docker-registry; install it (Debian: apt-get install docker-registry)")
    return registries.upstream(cpus, over_tls=over_tls)


def _sink(cpus: Cpus) -> Server:
    port = free_port()
    return Server("sink", [sys.executable, "-B", _SINK, port], port, cpus=cpus)


def _halves(unpinned: bool) -> tuple[Cpus, Cpus]:
    """The CPU of the server, and the one of all else; None where nothing is pinned."""
    if unpinned or len(_CPUS) < 2:
        return None, None
    return {_CPUS[0]}, {_CPUS[1]}
