"""One client pulls a 512 MiB blob through an empty cache: time to the first byte, in all, CPU, memory."""

import argparse
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

SERVERS = ("direct", "tidegate", "distribution", "nginx-cache", "varnish", "caddy")
FIGURES = (
    Figure("first_byte_ms", "first byte, ms", Better.LOWER),
    Figure("total_s", "total, s", Better.LOWER),
    Figure("cpu_s", "CPU, s", Better.LOWER),
    Figure("peak_mb", "peak, MiB", Better.LOWER),
)
_COLUMNS = {
    "first_byte_ms": "first byte, ms",
    "beyond_direct_ms": "beyond direct, ms",
    "total_s": "total, s",
    "mb_per_s": "MB/s",
    "cpu_s": "CPU, s",
    "peak_mb": "peak, MiB",
    "upstream_gets": "upstream GETs",
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """What can be chosen."""
    add_rig_options(parser, SERVERS, rounds=5)
    add_upstream_tls(parser)
    add_warmed(parser)
    parser.add_argument("--blob-mib", type=number(1, 4096), default=512, help="size of the blob (%(default)s)")


def run(options: argparse.Namespace) -> int:
    """1 when something was not served, or wrongly."""
    results = measure(options, peers.chosen(options.servers, SERVERS, upstream_tls=options.upstream_tls))
    results.table("server", _COLUMNS)
    results.table_of_ratios("server", "first_byte_ms", "tidegate", "Time to the first byte")
    results.table_of_ratios("server", "total_s", "tidegate", "Total time")
    title = f"A cold pull of {options.blob_mib} MiB{over_tls(options)}"
    results.picture("server", "total_s", f"{title}, seconds (shorter is better)")
    return results.code


def measure(options: argparse.Namespace, fleet: Sequence[Make]) -> Results:
    """One pull in each turn."""
    size = options.blob_mib * MIB
    # The upstream's copy, a server's two (what is written and what is kept), and room for the rest.
    rig = Rig(options, fleet, room=3 * size + GIB // 2)
    blob = rig.push("perf/cold", size)
    if options.warmed:
        rig.prepare_warming()
    if not options.no_verify:
        rig.verify([blob])
    warmed = "yes" if options.warmed else "no"
    results = Results(name_of(options, "cold"), conditions(rig, blob_mib=options.blob_mib, clients=1, warmed=warmed))
    direct: dict[int, float] = {}
    for round_, server in rig.turns(lambda each: rig.warm(each, blob)):
        usage, asked = Usage(server), rig.asked(blob)
        result = rig.pull(server, blob)
        used = usage.found()
        first = result.first_bytes[0] * 1000 if result.first_bytes else None
        if server.name == "direct" and first is not None:
            direct[round_] = first
        beside = None if first is None or round_ not in direct else first - direct[round_]
        results.add(
            server=server.name,
            round=round_,
            first_byte_ms=first,
            beyond_direct_ms=beside,
            total_s=result.totals[0] if result.totals else None,
            mb_per_s=megabytes_per_second(result),
            upstream_gets=asked.gets(),
            **used,
        )
    return rig.end(results)
