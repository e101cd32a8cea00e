#!/usr/bin/env python3
"""Where the gate's time, or its memory, goes under one of the loads: a profile that Chrome's developer tools open.

The load is that of a measure, on the gate alone and once; what follows the measure's name is the measure's own. The
profiles lie in bench/results/profiles; of the one of the load the costliest functions are told.
"""

import argparse
import json
import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

sys.dont_write_bytecode = True

import run_folder  # noqa: E402 (nothing is left behind in the tree)
from bench import MEASURES  # noqa: E402
from results import FOLDER, head, line  # noqa: E402
from tidegate import ROOT, VARIANTS  # noqa: E402
from trouble import Trouble, heed_termination  # noqa: E402

_PROFILES = FOLDER / "profiles"
_LEFT_OUT = ("limits", "index", "growth")
# How Node is told to write a profile when it ends, and how the file's name then ends.
_KINDS = {"cpu": ("--cpu-prof", ".cpuprofile"), "heap": ("--heap-prof", ".heapprofile")}
_SHOWN = 30


def main() -> int:
    """Runs the load and tells what it cost; 1 when it was not served, or left no profile."""
    heed_termination()
    parser = argparse.ArgumentParser(prog="npm run profile --", description=__doc__)
    commands = parser.add_subparsers(dest="measure", required=True)
    for name, module in MEASURES.items():
        if name in _LEFT_OUT:
            continue
        command = commands.add_parser(name, help=(module.__doc__ or "").strip().splitlines()[0])
        command.add_argument("--of", choices=_KINDS, default="cpu", help="(%(default)s)")
        module.add_options(command)
        command.set_defaults(servers=_gate_of(module.SERVERS), rounds=1)
    options = parser.parse_args()
    flag, ending = _KINDS[options.of]
    options.tag = options.tag or f"profile-{options.measure}"
    shutil.rmtree(_PROFILES, ignore_errors=True)
    os.environ["TIDEGATE_NODE_FLAGS"] = f"{flag} {flag}-dir={_PROFILES}"
    try:
        run_folder.claim()
        code = MEASURES[options.measure].run(options)
        _tell(_largest(ending), options.of)
        return code
    except Trouble as trouble:
        print(f"profile: {trouble}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _gate_of(servers: tuple[str, ...]) -> str:
    """The way in which the measure runs the gate."""
    return next(name for name in servers if name in VARIANTS)


def _largest(ending: str) -> Path:
    """The profile of the load: every start of the gate leaves one, and a thread's is small."""
    files = sorted(_PROFILES.glob(f"*{ending}"), key=lambda file: file.stat().st_size)
    if not files:
        raise Trouble(f"the gate left no profile in {_PROFILES}; its log says why")
    return files[-1]


def _tell(file: Path, kind: str) -> None:
    costs = Counter(dict(_cpu_costs(file) if kind == "cpu" else _heap_costs(file)))
    whole = costs.total() - costs["(idle)"]
    unit = "ms" if kind == "cpu" else "KiB"
    lines = head(["function", unit, "%"])
    for function, cost in costs.most_common(_SHOWN):
        if function != "(idle)":
            lines.append(line([function, f"{cost:,.0f}", f"{100 * cost / whole:.1f}"]))
    print("\n".join(["", *lines, "", str(file)]))


def _cpu_costs(file: Path) -> dict[str, float]:
    """Each function's own milliseconds."""
    profile = json.loads(file.read_text())
    names = {node["id"]: _name(node["callFrame"]) for node in profile["nodes"]}
    costs: Counter[str] = Counter()
    for node, microseconds in zip(profile["samples"], profile["timeDeltas"], strict=True):
        costs[names[node]] += microseconds / 1000
    return costs


def _heap_costs(file: Path) -> dict[str, float]:
    """What each function itself allocated and is still alive, in KiB, as sampled."""

    def nodes(node: dict) -> Iterator[dict]:
        yield node
        for child in node["children"]:
            yield from nodes(child)

    costs: Counter[str] = Counter()
    for node in nodes(json.loads(file.read_text())["head"]):
        costs[_name(node["callFrame"])] += node["selfSize"] / 1024
    return costs


def _name(frame: dict) -> str:
    """A function with its place; those of V8 itself have none."""
    function = frame["functionName"] or "(anonymous)"
    url = frame["url"].removeprefix("file://").removeprefix(f"{ROOT}/")
    return f"{function} {url}:{frame['lineNumber'] + 1}" if url else function


if __name__ == "__main__":
    sys.exit(main())
