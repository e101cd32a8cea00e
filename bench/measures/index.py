"""The index of what is held, as it grows to 10^5 digests: start, look-up and eviction."""

import argparse
import os
import subprocess
from pathlib import Path

import run_folder
from tidegate import ROOT, node
from trouble import Trouble

_SCRIPT = Path(__file__).resolve().parent.parent / "index-growth.mjs"
_LONGEST = 1800


def add_options(parser: argparse.ArgumentParser) -> None:
    """What can be chosen: whatever the script takes."""
    parser.add_argument("rest", nargs="*", metavar="-- option", help="options of index-growth.mjs")


def run(options: argparse.Namespace) -> int:
    """Runs the script with the project's Node, its files in the run's folder; the script's own exit code."""
    env = {**os.environ, "TIDEGATE_ROOT": str(ROOT), "TMPDIR": str(run_folder.subfolder("index"))}
    try:
        ran = subprocess.run([node(), _SCRIPT, *options.rest], env=env, timeout=_LONGEST, check=False)
    except subprocess.TimeoutExpired:
        raise Trouble(f"it was not done after {_LONGEST} seconds") from None
    return ran.returncode
