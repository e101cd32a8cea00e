"""Layers of one image of 256 KiB each: a pull of all of it over one connection, cold and held; CPU, memory."""

import argparse
import http.client
import time
from collections.abc import Sequence

import fixtures
from client import connection
from curve import Cost, Curve
from fixtures import Image
from results import Results
from rig import Rig, Usage
from run_folder import GIB
from server import Server
from tidegate import VARIANTS

_LAYER = 256 * 1024


def _measure(options: argparse.Namespace, curve: Curve, counts: Sequence[int], results: Results) -> None:
    """In each turn every image once, and once more; the gate holds nothing of the next one."""
    rig = Rig(options, [VARIANTS["tidegate"].make], room=4 * sum(counts) * _LAYER + GIB // 2)
    images = {count: fixtures.push_image(rig.upstream, f"perf/layers-{count}", _LAYER, count) for count in counts}
    warming = fixtures.push_image(rig.upstream, "perf/warming", _LAYER, 10)
    for round_, server in rig.turns(lambda each: _pull(rig, each, warming)):
        for count, image in images.items():
            server.headers(image.repository)
            server.settle()
            usage = Usage(server)
            cold = _pull(rig, server, image)
            used = usage.found()
            held = _pull(rig, server, image)
            results.add(**{curve.counted: count}, round=round_, cold_ms=cold, held_ms=held, **used)
    rig.end(results)


def _pull(rig: Rig, server: Server, image: Image) -> float | None:
    """Milliseconds until manifest, config and all layers are there."""
    headers = {"Accept": fixtures.MANIFEST, **server.headers(image.repository)}
    asking = connection(server.port)
    began = time.perf_counter()
    try:
        for path in [image.by_tag, *(blob.path for blob in image.blobs)]:
            asking.request("GET", path, headers=headers)
            answer = asking.getresponse()
            answer.read()
            if answer.status != 200:
                rig.fault(server, [f"status {answer.status} for {path}"])
                return None
        return (time.perf_counter() - began) * 1000
    except (OSError, http.client.HTTPException) as error:
        rig.fault(server, [repr(error)])
        return None
    finally:
        asking.close()


CURVE = Curve(
    counted="layers",
    counts=(1, 3, 10, 30, 100),
    costs=(
        Cost("cold_ms", "cold, ms"),
        Cost("held_ms", "held, ms"),
        Cost("peak_mb", "peak, MiB"),
    ),
    columns={"cpu_s": "CPU of the cold pull, s"},
    measure=_measure,
)
