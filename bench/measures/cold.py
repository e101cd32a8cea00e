"""One client pulls a 512 MiB blob through an empty cache: time to the first byte, in all, CPU, memory."""

import argparse

from results import Results
from rig import Rig, add_options as add_rig_options, conditions, megabytes_per_second, number, usage
from run_folder import MIB

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
    add_rig_options(parser, rounds=5)
    parser.add_argument("--blob-mib", type=number(1, 4096), default=512, help="size of the blob (%(default)s)")


def run(options: argparse.Namespace) -> int:
    """1 when something was not served, or wrongly."""
    rig = Rig(options, "perf/cold", options.blob_mib * MIB)
    if not options.no_verify:
        rig.verify()
    results = Results(options.tag or "cold", conditions(rig, clients=1))
    direct: dict[int, float] = {}
    for round_, server in rig.turns():
        cpu, memory, asked = server.cpu(), server.memory_mb(), rig.asked()
        result = rig.pull(server)
        used = usage(server, cpu, memory)
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
    results.table("server", _COLUMNS)
    return 1 if rig.failures else 0
