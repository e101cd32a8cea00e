"""Many clients ask at once for one blob that nobody holds: how often the upstream is asked, time, memory."""

import argparse
import statistics

from results import Results
from rig import Rig, add_options as add_rig_options, conditions, megabytes_per_second, number, usage
from run_folder import GIB, MIB
from trouble import Trouble

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
    add_rig_options(parser, rounds=5)
    parser.add_argument("--clients", type=number(1, 1000), default=32, help="(%(default)s)")
    parser.add_argument("--blob-mib", type=number(1, 4096), default=64, help="size of the blob (%(default)s)")


def run(options: argparse.Namespace) -> int:
    """1 when something was not served, or wrongly."""
    if options.clients * options.blob_mib * MIB > _MOST:
        raise Trouble(f"that is more than {_MOST // GIB} GiB a round; take fewer clients or a smaller blob")
    rig = Rig(options, "perf/herd", options.blob_mib * MIB)
    if not options.no_verify:
        rig.verify(options.clients)
    results = Results(options.tag or "herd", conditions(rig, options.clients))
    for round_, server in rig.turns():
        cpu, memory, asked = server.cpu(), server.memory_mb(), rig.asked()
        result = rig.pull(server, options.clients)
        used = usage(server, cpu, memory)
        first = statistics.median(result.first_bytes) * 1000 if result.first_bytes else None
        results.add(
            server=server.name,
            round=round_,
            upstream_gets=asked.gets(),
            served=len(result.totals),
            first_byte_ms=first,
            total_s=max(result.totals, default=None),
            mb_per_s=megabytes_per_second(result),
            **used,
        )
    results.table("server", _COLUMNS)
    return 1 if rig.failures else 0
