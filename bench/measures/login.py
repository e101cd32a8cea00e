"""Logins with name and password, bcrypt at cost 10, over 16 connections: logins a second, p50, p99, CPU."""

import argparse
from collections.abc import Sequence

import peers
import wrk
from client import Question, request
from figures import Better, Figure
from peers import Make
from results import Results
from rig import Rig, Usage, add_options as add_rig_options, conditions, each, number
from run_folder import GIB
from server import Server

SERVERS = ("tidegate", "distribution-htpasswd", "nginx-htpasswd")
FIGURES = (
    Figure("logins_per_s", "logins a second", Better.HIGHER),
    Figure("p50_ms", "p50, ms", Better.LOWER),
    Figure("p99_ms", "p99, ms", Better.LOWER),
    Figure("cpu_s_per_1k", "CPU seconds per 1,000", Better.LOWER),
    Figure("peak_mb", "peak, MiB", Better.LOWER),
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """What can be chosen."""
    add_rig_options(parser, SERVERS, rounds=5)
    parser.add_argument("--seconds", type=number(1, 60), default=4, help="(%(default)s)")
    parser.add_argument("--connections", type=number(1, 1000), default=16, help="(%(default)s)")


def run(options: argparse.Namespace) -> int:
    """1 when a login was refused."""
    results = measure(options, peers.chosen(options.servers, SERVERS))
    results.table("server", {figure.field: figure.heading for figure in FIGURES})
    results.table_of_ratios("server", "logins_per_s", "tidegate", "Logins a second")
    results.picture("server", "logins_per_s", "Logins a second (longer is better)")
    return results.code


def measure(options: argparse.Namespace, fleet: Sequence[Make]) -> Results:
    """One account logs in again and again: at the token endpoint where there is one, else with each request."""
    wrk.require()
    rig = Rig(options, fleet, room=GIB // 4)
    told = conditions(rig, connections=options.connections, seconds=options.seconds)
    results = Results(options.tag or "login", told)

    def log_in(server: Server, seconds: int) -> wrk.Requests:
        asked = [Question(*server.login())]
        found = wrk.requests(server, asked, connections=options.connections, seconds=seconds)
        rig.fault(server, found.faults)
        return found

    def ready(server: Server) -> None:
        path, headers = server.login()
        status, _, _ = request(server.port, "GET", path, headers)
        rig.fault(server, [] if status == 200 else [f"status {status} to a login"])
        log_in(server, 1)

    for round_, server in rig.turns(ready):
        usage = Usage(server)
        found = log_in(server, options.seconds)
        used = usage.found()
        results.add(
            server=server.name,
            round=round_,
            logins_per_s=found.per_second,
            p50_ms=found.p50_ms,
            p99_ms=found.p99_ms,
            cpu_s_per_1k=each(used["cpu_s"], found.count, 1000),
            **used,
        )
    return rig.end(results)
