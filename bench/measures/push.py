"""A push of 512 MiB through a gate, to the registry or to a sink that costs nothing: MB/s, CPU, memory."""

import argparse
from collections.abc import Sequence

import fixtures
import peers
import run_folder
from figures import Better, Figure
from fixtures import File
from peers import Make
from results import Results
from rig import Rig, Usage, add_options as add_rig_options, conditions, each, number
from run_folder import GIB, MIB
from server import Server
from upload import Refused, Upload, upload

SERVERS = ("direct", "tidegate", "nginx-pass", "caddy")
FIGURES = (
    Figure("mb_per_s", "MB/s", Better.HIGHER),
    Figure("total_s", "total, s", Better.LOWER),
    Figure("cpu_s_per_gib", "CPU seconds per GiB", Better.LOWER),
    Figure("peak_mb", "peak, MiB", Better.LOWER),
)
_REPOSITORY = "perf/push"
_WARMING = 8


def add_options(parser: argparse.ArgumentParser) -> None:
    """What can be chosen."""
    add_rig_options(parser, SERVERS, rounds=5)
    parser.add_argument("--blob-mib", type=number(1, 4096), default=512, help="size of the blob (%(default)s)")
    parser.add_argument("--sink", action="store_true", help="to an upstream that only swallows")


def run(options: argparse.Namespace) -> int:
    """1 when a push was not taken."""
    results = measure(options, peers.chosen(options.servers, SERVERS))
    results.table("server", {figure.field: figure.heading for figure in FIGURES})
    results.table_of_ratios("server", "mb_per_s", "tidegate", "MB/s")
    title = "A push to a sink" if options.sink else "A push"
    results.picture("server", "mb_per_s", f"{title}, MB/s (longer is better)")
    return results.code


def measure(options: argparse.Namespace, fleet: Sequence[Make]) -> Results:
    """One push in each turn, after some small ones."""
    size = options.blob_mib * MIB
    # The file, what the upstream has, what it is being sent, and what a gate may keep of it.
    rig = Rig(options, fleet, room=4 * size + GIB // 2, sink=options.sink)
    folder = run_folder.subfolder("push")
    file = fixtures.write(folder / "blob", _REPOSITORY, size)
    small = fixtures.write(folder / "small", "perf/small", MIB)
    told = conditions(rig, blob_mib=options.blob_mib, to="a sink" if options.sink else "a registry")
    results = Results(options.tag or ("push-sink" if options.sink else "push"), told)

    def warm(server: Server) -> None:
        for _ in range(_WARMING):
            _push(rig, server, small)

    for round_, server in rig.turns(warm):
        usage = Usage(server)
        pushed = _push(rig, server, file)
        used = usage.found()
        results.add(
            server=server.name,
            round=round_,
            mb_per_s=size / pushed.body / 1e6 if pushed else None,
            total_s=pushed.total if pushed else None,
            cpu_s_per_gib=each(used["cpu_s"], size, GIB),
            **used,
        )
    return rig.end(results)


def _push(rig: Rig, server: Server, file: File) -> Upload | None:
    try:
        return upload(server, _REPOSITORY, file)
    except (Refused, OSError) as error:
        rig.fault(server, [str(error)])
        return None
