"""Manifests of 100 images by tag and by digest, over 64 connections: requests a second, p50, p99, CPU."""

import argparse
import hashlib
from collections.abc import Iterator, Sequence

import fixtures
import peers
import wrk
from client import Question, request
from figures import Better, Figure
from fixtures import Image
from peers import Make
from results import Results
from rig import Rig, Usage, add_options as add_rig_options, conditions, each, number
from run_folder import GIB
from server import Server

SERVERS = ("tidegate", "distribution", "distribution-plain", "nginx-cache", "varnish")
FIGURES = (
    Figure("requests_per_s", "requests a second", Better.HIGHER),
    Figure("p50_ms", "p50, ms", Better.LOWER),
    Figure("p99_ms", "p99, ms", Better.LOWER),
    Figure("cpu_s_per_10k", "CPU seconds per 10,000", Better.LOWER),
    Figure("peak_mb", "peak, MiB", Better.LOWER),
)
_LAYER = 16 * 1024


def add_options(parser: argparse.ArgumentParser) -> None:
    """What can be chosen."""
    add_rig_options(parser, SERVERS, rounds=5)
    parser.add_argument("--seconds", type=number(1, 60), default=4, help="of each load (%(default)s)")
    parser.add_argument("--connections", type=number(1, 1000), default=64, help="(%(default)s)")
    parser.add_argument("--images", type=number(1, 1000), default=100, help="(%(default)s)")


def run(options: argparse.Namespace) -> int:
    """1 when something was not served, or wrongly."""
    results = measure(options, peers.chosen(options.servers, SERVERS))
    for figure in FIGURES:
        results.table_across("server", "load", figure.field, figure.heading)
    results.table_of_ratios("server", "requests_per_s", "tidegate", "Requests a second", across="load")
    results.picture("server", "requests_per_s", "Manifests, requests a second (longer is better)", across="load")
    return results.code


def measure(options: argparse.Namespace, fleet: Sequence[Make]) -> Results:
    """Every server holds the manifests; each image is asked for with a token of its own, as its clients have."""
    wrk.require()
    rig = Rig(options, fleet, room=GIB)
    images = [
        fixtures.push_image(rig.upstream, f"perf/small-{each:03d}", _LAYER) for each in range(options.images)
    ]
    told = conditions(rig, connections=options.connections, images=options.images, seconds=options.seconds)
    results = Results(options.tag or "small", told)

    def hold(server: Server) -> None:
        if not options.no_verify:
            rig.fault(server, list(_wrong(server, images)))
        for questions in _questions(server, images).values():
            wrk.requests(server, questions, connections=options.connections, seconds=1)

    for round_, server in rig.turns(hold):
        for load, questions in _questions(server, images).items():
            server.settle()
            usage = Usage(server)
            found = wrk.requests(server, questions, connections=options.connections, seconds=options.seconds)
            used = usage.found()
            rig.fault(server, found.faults)
            results.add(
                server=server.name,
                round=round_,
                load=load,
                requests_per_s=found.per_second,
                p50_ms=found.p50_ms,
                p99_ms=found.p99_ms,
                cpu_s_per_10k=each(used["cpu_s"], found.count, 10_000),
                **used,
            )
    return rig.end(results)


def _questions(server: Server, images: Sequence[Image]) -> dict[str, list[Question]]:
    def asked(image: Image, path: str) -> Question:
        return Question(path, {"Accept": fixtures.MANIFEST, **server.headers(image.repository)})

    return {
        "by tag": [asked(image, image.by_tag) for image in images],
        "by digest": [asked(image, image.by_digest) for image in images],
    }


def _wrong(server: Server, images: Sequence[Image]) -> Iterator[str]:
    """What a server answers that is not the manifest."""
    for questions in _questions(server, images).values():
        for image, question in zip(images, questions, strict=True):
            status, _, body = request(server.port, "GET", question.path, question.headers)
            if status != 200 or f"sha256:{hashlib.sha256(body).hexdigest()}" != image.digest:
                yield f"status {status} and {len(body)} bytes for {question.path}"
