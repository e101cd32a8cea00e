"""Held bodies over TLS 1.3, by the servers' own listeners, for 1, 4 and 16 clients: MB/s, CPU, memory."""

import argparse
from collections.abc import Sequence

import peers
import streaming
from peers import Make
from results import Results
from rig import Rig, add_options as add_rig_options, conditions
from run_folder import GIB, MIB
from server import Server

SERVERS = ("tidegate-tls", "distribution-tls", "nginx-tls", "caddy-tls")
FIGURES = streaming.FIGURES


def add_options(parser: argparse.ArgumentParser) -> None:
    """What can be chosen."""
    add_rig_options(parser, SERVERS, rounds=5)
    streaming.add_options(parser)


def run(options: argparse.Namespace) -> int:
    """1 when something was not served, or wrongly."""
    results = measure(options, peers.chosen(options.servers, SERVERS))
    streaming.tell(results, "Held bodies over TLS", own="tidegate-tls")
    return results.code


def measure(options: argparse.Namespace, fleet: Sequence[Make]) -> Results:
    """One blob that every server holds; the client decrypts, so it costs more than elsewhere."""
    size = options.blob_mib * MIB
    rig = Rig(options, fleet, room=3 * size + GIB // 2)
    blob = rig.push("perf/blob", size)
    if not options.no_verify:
        rig.verify([blob])
    told = conditions(rig, blob_mib=options.blob_mib, seconds=options.seconds)
    results = Results(options.tag or "tls", told)
    several = streaming.loads({f"{options.blob_mib} MiB": [blob]}, options.clients)

    def hold(server: Server) -> None:
        rig.pull(server, blob)
        server.settle()
        rig.stream(server, [blob], 4, 1)

    for round_, server in rig.turns(hold):
        for row in streaming.rows(rig, server, several, options.seconds):
            results.add(server=server.name, round=round_, **row)
    return rig.end(results)
