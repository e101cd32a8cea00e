"""Whole images by real clients, docker and skopeo: 20 layers of 5 MiB and one of 512 MiB, cold and held; seconds."""

import argparse
import time
from collections.abc import Iterator, Sequence

import fixtures
import image_clients
import peers
from figures import Better, Figure
from fixtures import Image
from image_clients import CLIENTS, Failed, ImageClient
from peers import Make
from results import Results
from rig import Rig, Usage, add_options as add_rig_options, conditions, number
from run_folder import GIB, MIB
from server import Server

SERVERS = ("direct", "tidegate", "distribution")
FIGURES = (
    Figure("total_s", "total, s", Better.LOWER),
    Figure("cpu_s", "CPU, s", Better.LOWER),
    Figure("peak_mb", "peak, MiB", Better.LOWER),
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """What can be chosen."""
    add_rig_options(parser, SERVERS, rounds=5)
    usual = ",".join(CLIENTS)
    parser.add_argument("--clients", default=usual, help="which, separated by commas; docker needs root (%(default)s)")
    parser.add_argument("--layers", type=number(1, 100), default=20, help="of the one image (%(default)s)")
    parser.add_argument("--layer-mib", type=number(1, 1024), default=5, help="size of each (%(default)s)")
    parser.add_argument("--blob-mib", type=number(1, 4096), default=512, help="the other's only layer (%(default)s)")


def run(options: argparse.Namespace) -> int:
    """1 when an image was not pulled."""
    results = measure(options, peers.chosen(options.servers, SERVERS))
    for figure in FIGURES:
        results.table_across("load", "server", figure.field, figure.heading)
    results.table_of_ratios("server", "total_s", "tidegate", "Total time", across="load")
    results.picture("server", "total_s", "Whole images, seconds (shorter is better)", across="load")
    return results.code


def measure(options: argparse.Namespace, fleet: Sequence[Make]) -> Results:
    """In each turn an image is pulled from a server that holds nothing, dropped, and pulled once more."""
    clients = image_clients.chosen(options.clients.split(","))
    largest = max(options.layers * options.layer_mib, options.blob_mib) * MIB
    # The upstream has both images; a server writes and keeps, and so does the client.
    rig = Rig(options, fleet, room=6 * largest + GIB // 2)
    images = {
        f"{options.layers} × {options.layer_mib} MiB": _push(rig, "perf/layers", options.layer_mib, options.layers),
        f"1 × {options.blob_mib} MiB": _push(rig, "perf/layer", options.blob_mib, 1),
    }
    told = conditions(rig, clients=" ".join(client.name for client in clients))
    results = Results(options.tag or "docker", told)
    for client in clients:
        client.start()
        for name, image in images.items():
            print(f"{client.name}, {name}", flush=True)
            # What is slower about the very first pull is the client's own.
            client.log_in(rig.upstream)
            _pull(rig, client, rig.upstream, image)
            for round_, server in rig.turns(client.log_in):
                for state, row in _rows(rig, client, server, image):
                    results.add(server=server.name, round=round_, load=f"{client.name}, {name}, {state}", **row)
        client.stop()
    return rig.end(results)


def _push(rig: Rig, repository: str, layer_mib: int, layers: int) -> Image:
    return fixtures.push_image(rig.upstream, repository, layer_mib * MIB, layers)


def _rows(rig: Rig, client: ImageClient, server: Server, image: Image) -> Iterator[tuple[str, dict[str, object]]]:
    for state in ("cold", "held"):
        usage = Usage(server)
        seconds = _pull(rig, client, server, image)
        yield state, {"total_s": seconds, **usage.found()}


def _pull(rig: Rig, client: ImageClient, server: Server, image: Image) -> float | None:
    """Seconds from the start of the client to its end; afterwards it has nothing of the image."""
    started = time.perf_counter()
    try:
        client.pull(server, image)
        seconds = time.perf_counter() - started
        client.forget(server, image)
        return seconds
    except Failed as error:
        rig.fault(server, [str(error)])
        return None
