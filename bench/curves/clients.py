"""Clients that pull one held blob at the same time: how long until each has a GiB, first byte, CPU, memory."""

import argparse
from collections.abc import Sequence

import streaming
from curve import Cost, Curve
from results import Results
from rig import Rig
from run_folder import GIB, MIB
from server import Server
from tidegate import VARIANTS

_BLOB = 64 * MIB


def _measure(options: argparse.Namespace, curve: Curve, counts: Sequence[int], results: Results) -> None:
    """As `hot` does, in one process from the fewest clients to the most."""
    rig = Rig(options, [VARIANTS["tidegate"].make], room=4 * _BLOB + GIB // 2)
    blob = rig.push("perf/blob", _BLOB)
    loads = streaming.loads({curve.counted: [blob]}, counts)

    def hold(server: Server) -> None:
        rig.pull(server, blob)
        server.settle()
        rig.stream(server, [blob], 4, 1)

    for round_, server in rig.turns(hold):
        for count, row in zip(counts, streaming.rows(rig, server, loads, options.seconds), strict=True):
            rate = row["mb_per_s"]
            each = count * GIB / 1e6 / rate if rate else None
            results.add(**{curve.counted: count}, round=round_, each_has_s=each, **row)
    rig.end(results)


CURVE = Curve(
    counted="clients",
    counts=(1, 10, 100, 1000),
    costs=(
        Cost("each_has_s", "until each has a GiB, s"),
        Cost("cpu_s_per_gib", "CPU seconds per GiB"),
        Cost("first_byte_ms", "first byte, ms"),
        Cost("peak_mb", "peak, MiB"),
    ),
    columns={"mb_per_s": "MB/s of all", "above_idle_mb": "above idle, MiB"},
    measure=_measure,
)
