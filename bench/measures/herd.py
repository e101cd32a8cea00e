"""Many clients ask at once for one blob that nobody holds: how often the upstream is asked, time, memory."""

import argparse
import statistics
from collections.abc import Sequence

import peers
from figures import Better, Figure
from peers import Make
from results import Results
from rig import (
    Rig,
    Usage,
    add_options as add_rig_options,
    add_upstream_tls,
    add_warmed,
    conditions,
    megabytes_per_second,
    name_of,
    number,
    over_tls,
)
from run_folder import GIB, MIB
from trouble import Trouble

SERVERS = ("direct", "tidegate", "distribution", "nginx-cache", "varnish", "caddy")
FIGURES = (
    Figure("upstream_gets", "upstream GETs", Better.LOWER),
    Figure("first_byte_ms", "first byte, ms", Better.LOWER),
    Figure("total_s", "last byte, s", Better.LOWER),
    Figure("cpu_s", "CPU, s", Better.LOWER),
    Figure("above_idle_mb", "above idle, MiB", Better.LOWER),
)
_COLUMNS = {
    "upstream_gets": "upstream GETs",
    "served": "served",
    "first_byte_ms": "first byte, ms",
    "total_s": "last byte, s",
    "mb_per_s": "MB/s",
    "cpu_s": "CPU, s",
    "peak_mb": "peak, MiB",
    "above_idle_mb": "above idle, MiB",
}
_MOST = 64 * GIB


def add_options(parser: argparse.ArgumentParser) -> None:
    """What can be chosen."""
    add_rig_options(parser, SERVERS, rounds=5)
    add_upstream_tls(parser)
    add_warmed(parser)
    parser.add_argument("--clients", type=number(1, 1000), default=32, help="(%(default)s)")
    parser.add_argument("--blob-mib", type=number(1, 4096), default=64, help="size of the blob (%(default)s)")


def run(options: argparse.Namespace) -> int:
    """1 when something was not served, or wrongly."""
    results = measure(options, peers.chosen(options.servers, SERVERS, upstream_tls=options.upstream_tls))
    results.table("server", _COLUMNS)
    results.table_of_ratios("server", "total_s", "tidegate", "Time to the last byte")
    title = f"{options.clients} clients, one cold blob of {options.blob_mib} MiB{over_tls(options)}"
    results.picture("server", "total_s", f"{title}, seconds to the last byte (shorter is better)")
    return results.code


def measure(options: argparse.Namespace, fleet: Sequence[Make]) -> Results:
    """One herd in each turn."""
    size = options.blob_mib * MIB
    if options.clients * size > _MOST:
        raise Trouble(f"that is more than {_MOST // GIB} GiB a round; take fewer clients or a smaller blob")
    rig = Rig(options, fleet, room=3 * size + GIB // 2)
    blob = rig.push("perf/herd", size)
    if options.warmed:
        rig.prepare_warming()
    if not options.no_verify:
        rig.verify([blob], options.clients)
    told = conditions(
        rig, blob_mib=options.blob_mib, clients=options.clients, warmed="yes" if options.warmed else "no"
    )
    results = Results(name_of(options, "herd"), told)
    for round_, server in rig.turns(lambda each: rig.warm(each, blob)):
        usage, asked = Usage(server), rig.asked(blob)
        result = rig.pull(server, blob, options.clients)
        used = usage.found()
        results.add(
            server=server.name,
            round=round_,
            upstream_gets=asked.gets(),
            served=len(result.totals),
            first_byte_ms=statistics.median(result.first_bytes) * 1000 if result.first_bytes else None,
            total_s=max(result.totals, default=None),
            mb_per_s=megabytes_per_second(result),
            **used,
        )
    return rig.end(results)
