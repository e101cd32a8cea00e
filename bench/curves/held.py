"""Held blobs: the start of the gate, what it takes at rest, the index's look-ups and evictions."""

import argparse
import json
import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from curve import Cost, Curve
from measures.start import first_answer
from results import Results
from rig import Rig
from run_folder import GIB
from tidegate import ROOT, VARIANTS, node
from trouble import Trouble

_SCRIPT = Path(__file__).resolve().parent.parent / "index-growth.mjs"
_LONGEST = 3600
# Of the index, and of a name in a folder.
_ROOM_EACH = 4096
_PATIENCE = 600


def _measure(options: argparse.Namespace, curve: Curve, counts: Sequence[int], results: Results) -> None:
    """The files of the blobs are there by name and size: the gate reads none before it is asked for it."""
    rig = Rig(options, [VARIANTS["tidegate"].make], room=max(counts) * _ROOM_EACH + GIB // 2)
    (server,) = rig.servers
    for count in counts:
        print(f"{count} {curve.counted}", flush=True)
        server.clear()
        results.add(**{curve.counted: count}, round=0, **_fill(server.holds, count))
        # The first start makes secrets and an account.
        server.start(_PATIENCE)
        server.stop()
        for round_ in range(rig.rounds):
            started = time.perf_counter()
            server.launch()
            first_answer(server)
            answered = time.perf_counter()
            server.settle(_PATIENCE)
            results.add(
                **{curve.counted: count},
                round=round_,
                start_ms=(answered - started) * 1000,
                rest_s=time.perf_counter() - started,
                cpu_s=server.cpu(),
                idle_mb=server.memory_mb(),
                peak_mb=server.peak_mb(),
            )
            server.stop()
    rig.end(results)


def _fill(folder: Path, count: int) -> dict[str, float]:
    """Puts so many into the index and the cache of a gate that is not running; the index's own figures."""
    command = [node(), _SCRIPT, str(count), "--into", folder]
    env = {**os.environ, "TIDEGATE_ROOT": str(ROOT)}
    try:
        ran = subprocess.run(command, env=env, stdout=subprocess.PIPE, timeout=_LONGEST, check=False)
    except subprocess.TimeoutExpired:
        raise Trouble(f"{count} blobs were not in the index after {_LONGEST} seconds") from None
    if ran.returncode:
        raise Trouble(f"{_SCRIPT.name} ended with {ran.returncode}")
    return json.loads(ran.stdout)


CURVE = Curve(
    counted="held blobs",
    counts=(1000, 10_000, 100_000, 1_000_000),
    costs=(
        Cost("start_ms", "start, ms", most=5000),
        Cost("rest_s", "at rest after, s"),
        Cost("idle_mb", "idle, MiB"),
        Cost("look_up_us", "look-up, µs"),
        Cost("evict_us", "eviction, µs"),
        Cost("file_mb", "index, MB"),
    ),
    columns={
        "cpu_s": "CPU until then, s",
        "peak_mb": "peak, MiB",
        "look_up_p99_us": "look-up p99, µs",
        "evict_p99_us": "eviction p99, µs",
        "fill_us": "put in, µs each",
    },
    measure=_measure,
)
