"""From the start of the process to its first answer, with nothing there and again with all there; CPU, idle memory."""

import argparse
import http.client
import time
from collections.abc import Sequence

import peers
from client import request
from figures import Better, Figure
from peers import Make
from results import Results
from rig import Rig, add_options as add_rig_options, conditions
from run_folder import GIB
from server import Server
from trouble import Trouble

SERVERS = ("tidegate", "distribution", "nginx-cache", "varnish", "caddy")
FIGURES = (
    Figure("first_answer_ms", "first answer, ms", Better.LOWER),
    Figure("cpu_s", "CPU until it is at rest, s", Better.LOWER),
    Figure("idle_mb", "idle, MiB", Better.LOWER),
)
_LONGEST = 120
# So often that it does not show in what is measured.
_PAUSE = 0.002


def add_options(parser: argparse.ArgumentParser) -> None:
    """What can be chosen."""
    add_rig_options(parser, SERVERS, rounds=10)


def run(options: argparse.Namespace) -> int:
    """1 when a server did not answer."""
    results = measure(options, peers.chosen(options.servers, SERVERS))
    for figure in FIGURES:
        results.table_across("server", "load", figure.field, figure.heading)
    results.table_of_ratios("server", "first_answer_ms", "tidegate", "First answer", across="load")
    results.picture("server", "first_answer_ms", "Start to first answer, ms (shorter is better)", across="load")
    return results.code


def measure(options: argparse.Namespace, fleet: Sequence[Make]) -> Results:
    """Each server in turn: once with nothing, ended, and once more with what the first start left."""
    rig = Rig(options, fleet, room=GIB // 4)
    results = Results(options.tag or "start", conditions(rig))
    for round_ in range(rig.rounds):
        for server in rig.servers[::-1] if round_ % 2 else rig.servers:
            print(f"round {round_ + 1} of {rig.rounds}: {server.name}", flush=True)
            server.clear()
            for load in ("first start", "later start"):
                started = time.perf_counter()
                server.launch()
                first_answer(server)
                elapsed = time.perf_counter() - started
                server.settle()
                results.add(
                    server=server.name,
                    round=round_,
                    load=load,
                    first_answer_ms=elapsed * 1000,
                    cpu_s=server.cpu(),
                    idle_mb=server.memory_mb(),
                )
                server.stop()
            server.clear()
    return rig.end(results)


def first_answer(server: Server) -> None:
    """Returns with the first answer, whatever it says: that of a gate to a stranger is 401."""
    deadline = time.monotonic() + _LONGEST
    while time.monotonic() < deadline and server.is_running:
        try:
            request(server.port, "GET", "/v2/", tls=server.tls)
            return
        except (OSError, http.client.HTTPException):
            time.sleep(_PAUSE)
    raise Trouble(f"{server.name} gave no answer in {_LONGEST} seconds; {server.log} says why")
