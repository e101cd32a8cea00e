"""What pulls are measured on: the upstream with its access log, the servers, and which CPU each runs on."""

import argparse
import os
import time
from collections.abc import Callable, Iterator

import fixtures
import peers
import run_folder
from client import Pull, pull
from fixtures import Blob
from run_folder import GIB, MIB
from server import Server, program
from trouble import Trouble


_WARMING = 8


def add_options(parser: argparse.ArgumentParser, rounds: int) -> None:
    """The options that all measures of servers have."""
    names = ", ".join(peers.SERVERS)
    parser.add_argument("--servers", help=f"which, separated by commas: {names} (all)")
    parser.add_argument("--rounds", type=number(1, 50), default=rounds, help="(%(default)s)")
    parser.add_argument("--unpinned", action="store_true", help="let everything run on every CPU")
    parser.add_argument(
        "--warmed",
        action="store_true",
        help=f"pull {_WARMING} other blobs of 1 MiB first, as a server that has run for a while",
    )
    parser.add_argument("--no-verify", action="store_true", help="do not check the bytes beforehand")
    parser.add_argument("--tag", help="name of the result's files (the measure's)")


def number(least: int, most: int) -> Callable[[str], int]:
    """An argparse type: a whole number within bounds, so that no load is without one."""

    def read(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"a whole number from {least} to {most}")
        return int(text)

    return read


class Rig:
    """The upstream with one blob, and the servers before it, none of them started."""

    def __init__(self, options: argparse.Namespace, repository: str, size: int) -> None:
        run_folder.claim()
        # The upstream's copy, a server's two (what is written and what is kept), and room for the rest.
        run_folder.require_room(3 * size + GIB // 2)
        self.rounds: int = options.rounds
        server_cpus, other_cpus = _halves(options.unpinned)
        self.pinned = server_cpus is not None
        if not program("docker-registry"):
            raise Trouble("the upstream is docker-registry; install it (Debian: apt-get install docker-registry)")
        self.upstream = peers.upstream(other_cpus)
        self.servers = [make(self.upstream.port, server_cpus) for make in _chosen(options.servers)]
        if other_cpus:
            os.sched_setaffinity(0, other_cpus)
        self.upstream.start()
        self.blob: Blob = fixtures.push(self.upstream.port, repository, size)
        self.warming = [
            fixtures.push(self.upstream.port, "perf/warming", MIB, str(index))
            for index in range(_WARMING if options.warmed else 0)
        ]
        self.failures = 0

    def turns(self) -> Iterator[tuple[int, Server]]:
        """Each server in each round, started with nothing held and at rest; ended afterwards."""
        for round_ in range(self.rounds):
            for server in self.servers:
                print(f"round {round_ + 1} of {self.rounds}: {server.name}", flush=True)
                server.cold_start()
                for blob in self.warming:
                    self.pull(server, blob=blob)
                server.headers(self.blob.repository)
                server.settle()
                server.forget_peak()
                yield round_, server
                server.clear()

    def pull(
        self, server: Server, clients: int = 1, *, hashing: bool = False, blob: Blob | None = None
    ) -> Pull:
        """All clients GET the blob, or another one, at once; what went wrong is told and counted."""
        blob = blob or self.blob
        headers = server.headers(blob.repository)
        result = pull(server.port, blob.path, headers, clients=clients, hashing=hashing)
        wrong = {got: count for got, count in result.digests.items() if got != blob.digest}
        faults = result.errors + [f"{count} × {got} in place of {blob.digest}" for got, count in wrong.items()]
        if faults:
            self.failures += 1
            print(f"  {server.name}: {len(faults)} faults, the first: {faults[0]}", flush=True)
        return result

    def verify(self, clients: int = 1) -> None:
        """Outside of the timed rounds: every client of a cold server, and one after them, gets the right bytes."""
        for server in self.servers:
            server.cold_start()
            first = self.pull(server, clients, hashing=True)
            second = self.pull(server, hashing=True)
            right = first.digests[self.blob.digest] + second.digests[self.blob.digest]
            print(f"verified {server.name}: {right} of {clients + 1} digests right", flush=True)
            server.clear()

    def asked(self) -> "Asked":
        """Counts what the upstream is asked for the blob from here on."""
        return Asked(self.upstream, self.blob)


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


def usage(server: Server, cpu_before: float | None, memory_before: float | None) -> dict[str, float | None]:
    """CPU seconds and memory of a pull, once the server is at rest again. None where there is no server."""
    server.settle()
    cpu, peak = server.cpu(), server.peak_mb()
    return {
        "cpu_s": None if cpu is None or cpu_before is None else cpu - cpu_before,
        "peak_mb": peak,
        "above_idle_mb": None if peak is None or memory_before is None else peak - memory_before,
    }


def megabytes_per_second(result: Pull) -> float:
    """Of all clients together; a megabyte is 10^6 bytes."""
    return result.bytes / result.seconds / 1e6


def conditions(rig: Rig, clients: int) -> dict[str, object]:
    """What a table must say of how it came about."""
    return {
        "blob_mib": rig.blob.size // MIB,
        "clients": clients,
        "rounds": rig.rounds,
        "pinned": "yes" if rig.pinned else "no",
        "warmed": "yes" if rig.warming else "no",
    }


def _chosen(names: str | None) -> Iterator[Callable[[int, set[int] | None], Server]]:
    for name in names.split(",") if names else peers.SERVERS:
        if name not in peers.SERVERS:
            raise Trouble(f"there is no server {name}; there are {', '.join(peers.SERVERS)}")
        needed, make = peers.SERVERS[name]
        if needed and not program(needed):
            print(f"left out: {name} ({needed} is not installed)", flush=True)
            continue
        yield make


def _halves(unpinned: bool) -> tuple[set[int] | None, set[int] | None]:
    """The CPU of the server, and the one of all else; None where nothing is pinned."""
    cpus = sorted(os.sched_getaffinity(0))
    if unpinned or len(cpus) < 2:
        return None, None
    return {cpus[0]}, {cpus[1]}
