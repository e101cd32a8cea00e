#!/usr/bin/env python3
"""Measures Tidegate beside other registry proxies; README.md says how. A measure is a module of `measures`."""

import argparse
import sys

sys.dont_write_bytecode = True

import run_folder  # noqa: E402 (nothing is left behind in the tree)
from measures import cold, docker, growth, herd, hot, index, limits, login, push, relay, small, start, tls  # noqa: E402
from trouble import Trouble, heed_termination  # noqa: E402

MEASURES = {
    "hot": hot,
    "cold": cold,
    "herd": herd,
    "relay": relay,
    "push": push,
    "small": small,
    "login": login,
    "tls": tls,
    "start": start,
    "docker": docker,
    "limits": limits,
    "index": index,
    "growth": growth,
}


def main() -> int:
    """Runs one measure; 1 when something could not be measured or was served wrongly."""
    heed_termination()
    parser = argparse.ArgumentParser(prog="npm run bench --", description=__doc__)
    commands = parser.add_subparsers(dest="measure", required=True)
    for name, module in MEASURES.items():
        text = (module.__doc__ or "").strip()
        command = commands.add_parser(name, help=text.splitlines()[0], description=text)
        module.add_options(command)
    options = parser.parse_args()
    try:
        run_folder.claim()
        return MEASURES[options.measure].run(options)
    except Trouble as trouble:
        print(f"bench: {trouble}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
