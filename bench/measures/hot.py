"""Bodies that are held: a blob of 512 MiB, and layers of 1 MiB, for 1, 4 and 16 clients: MB/s, CPU, memory."""

import argparse
from collections.abc import Sequence

import peers
import streaming
from fixtures import Blob
from peers import Make
from results import Results
from rig import Rig, add_options as add_rig_options, conditions
from run_folder import GIB, MIB
from server import Server

SERVERS = ("tidegate", "distribution", "distribution-plain", "nginx-cache", "varnish", "caddy")
FIGURES = streaming.FIGURES
_LAYERS = 20


def add_options(parser: argparse.ArgumentParser) -> None:
    """What can be chosen."""
    add_rig_options(parser, SERVERS, rounds=5)
    streaming.add_options(parser)


def run(options: argparse.Namespace) -> int:
    """1 when something was not served, or wrongly."""
    results = measure(options, peers.chosen(options.servers, SERVERS))
    streaming.tell(results, "Held bodies", own="tidegate")
    return results.code


def measure(options: argparse.Namespace, fleet: Sequence[Make]) -> Results:
    """Every server holds what is asked for, and has served it for a while."""
    size = options.blob_mib * MIB
    rig = Rig(options, fleet, room=3 * (size + _LAYERS * MIB) + GIB // 2)
    blob = rig.push("perf/blob", size)
    layers = [rig.push("perf/layers", MIB, str(each)) for each in range(_LAYERS)]
    held = {f"{options.blob_mib} MiB": [blob], "1 MiB layers": layers}
    if not options.no_verify:
        rig.verify([blob, *layers])
    told = conditions(rig, blob_mib=options.blob_mib, layers=_LAYERS, seconds=options.seconds)
    results = Results(options.tag or "hot", told)
    several = streaming.loads(held, options.clients)
    for round_, server in rig.turns(lambda each: _hold(rig, each, list(held.values()))):
        for row in streaming.rows(rig, server, several, options.seconds):
            results.add(server=server.name, round=round_, **row)
    return rig.end(results)


def _hold(rig: Rig, server: Server, held: Sequence[Sequence[Blob]]) -> None:
    for blobs in held:
        for blob in blobs:
            rig.pull(server, blob)
        # The fetch may end a moment after its last byte; and code that has run for a second has been compiled.
        server.settle()
        rig.stream(server, blobs, 4, 1)
