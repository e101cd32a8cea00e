"""A body through a gate that keeps nothing, 512 MiB for 1, 4 and 16 clients: MB/s, CPU, first byte, memory."""

import argparse
from collections.abc import Sequence

import peers
import streaming
from peers import Make
from results import Results
from rig import Rig, add_options as add_rig_options, add_upstream_tls, conditions, name_of, over_tls
from run_folder import GIB, MIB

SERVERS = ("direct", "tidegate-uncached", "nginx-pass", "caddy")
FIGURES = streaming.FIGURES


def add_options(parser: argparse.ArgumentParser) -> None:
    """What can be chosen."""
    add_rig_options(parser, SERVERS, rounds=5)
    add_upstream_tls(parser)
    streaming.add_options(parser)


def run(options: argparse.Namespace) -> int:
    """1 when something was not served, or wrongly."""
    results = measure(options, peers.chosen(options.servers, SERVERS, upstream_tls=options.upstream_tls))
    streaming.tell(results, f"Relayed bodies{over_tls(options)}", own="tidegate-uncached")
    return results.code


def measure(options: argparse.Namespace, fleet: Sequence[Make]) -> Results:
    """The upstream answers from memory, and has been asked before."""
    size = options.blob_mib * MIB
    # A server that is chosen may hold, after all.
    rig = Rig(options, fleet, room=3 * size + GIB // 2)
    blob = rig.push("perf/blob", size)
    if not options.no_verify:
        rig.verify([blob])
    told = conditions(rig, blob_mib=options.blob_mib, seconds=options.seconds)
    results = Results(name_of(options, "relay"), told)
    several = streaming.loads({f"{options.blob_mib} MiB": [blob]}, options.clients)
    for round_, server in rig.turns(lambda each: rig.stream(each, [blob], 4, 1)):
        for row in streaming.rows(rig, server, several, options.seconds):
            results.add(server=server.name, round=round_, **row)
    return rig.end(results)
