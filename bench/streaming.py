"""What the measures of bodies share: clients that pull one body after the other, at 1, 4 and 16 at a time."""

import argparse
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from figures import Better, Figure
from fixtures import Blob
from results import Results
from rig import Rig, Usage, each, megabytes_per_second, number, numbers
from run_folder import GIB
from server import Server

#: What a load shows in.
FIGURES = (
    Figure("mb_per_s", "MB/s", Better.HIGHER),
    Figure("cpu_s_per_gib", "CPU seconds per GiB", Better.LOWER),
    Figure("first_byte_ms", "first byte, ms", Better.LOWER),
    Figure("peak_mb", "peak, MiB", Better.LOWER),
)


@dataclass(frozen=True)
class Load:
    """So many clients that pull these blobs."""

    name: str
    blobs: Sequence[Blob]
    clients: int


def add_options(parser: argparse.ArgumentParser) -> None:
    """What can be chosen of a load."""
    parser.add_argument("--seconds", type=number(1, 60), default=2, help="of each load (%(default)s)")
    parser.add_argument(
        "--clients", type=numbers(1, 1000), default=[1, 4, 16], help="several, separated by commas (1,4,16)"
    )
    parser.add_argument("--blob-mib", type=number(1, 4096), default=512, help="size of the blob (%(default)s)")


def loads(blobs: Mapping[str, Sequence[Blob]], clients: Sequence[int]) -> list[Load]:
    """Every number of clients for each of the named sets of blobs."""
    return [Load(f"{name} × {count}", several, count) for name, several in blobs.items() for count in clients]


def rows(rig: Rig, server: Server, several: Sequence[Load], seconds: float) -> Iterator[dict[str, object]]:
    """What the server does under each load in turn."""
    for load in several:
        # A login is no part of a body.
        for blob in load.blobs:
            server.headers(blob.repository)
        server.settle()
        usage = Usage(server)
        result = rig.stream(server, load.blobs, load.clients, seconds)
        used = usage.found()
        yield {
            "load": load.name,
            "mb_per_s": megabytes_per_second(result),
            "cpu_s_per_gib": each(used["cpu_s"], result.bytes, GIB),
            "first_byte_ms": statistics.median(result.first_bytes) * 1000 if result.first_bytes else None,
            "answers": len(result.totals),
            **used,
        }


def tell(results: Results, title: str, own: str) -> None:
    """The tables, the ratios of the first figure, and its picture."""
    for figure in FIGURES:
        results.table_across("server", "load", figure.field, figure.heading)
    results.table_of_ratios("server", "mb_per_s", own, "MB/s", across="load")
    results.picture("server", "mb_per_s", f"{title}, MB/s (longer is better)", across="load")
