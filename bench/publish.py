#!/usr/bin/env python3
"""Puts what runs have found into docs/performance.md, each into the place that bears its name, with its picture.

A place begins with the line `<!-- bench: NAME -->` and ends with `<!-- /bench -->`; NAME is that of the run (a measure, or
its --tag). What stands between the two is replaced.
"""

import argparse
import re
import shutil
import subprocess
import sys
from pathlib import Path

sys.dont_write_bytecode = True

from results import FOLDER  # noqa: E402 (nothing is left behind in the tree)
from tidegate import node  # noqa: E402
from trouble import Trouble  # noqa: E402

_ROOT = Path(__file__).resolve().parent.parent
_PAGE = _ROOT / "docs" / "performance.md"
_PICTURES = _ROOT / "docs" / "performance"
_PRETTIER = _ROOT / "node_modules" / "prettier" / "bin" / "prettier.cjs"


def main() -> int:
    """Replaces each named place; 1 when a run or its place is not there, and then nothing is changed."""
    parser = argparse.ArgumentParser(prog="npm run bench:publish --", description=__doc__)
    parser.add_argument("names", nargs="+", metavar="name", help="of a run, as its files in bench/results are called")
    names = parser.parse_args().names
    try:
        page = _PAGE.read_text(encoding="utf-8")
        for name in names:
            page = _replaced(page, name)
        _PAGE.write_text(page, encoding="utf-8")
        for name in names:
            _take_picture(name)
        _format()
    except Trouble as trouble:
        print(f"bench: {trouble}", file=sys.stderr)
        return 1
    return 0


def _replaced(page: str, name: str) -> str:
    """The page with what the run has found in its place."""
    place = re.compile(rf"(<!-- bench: {re.escape(name)} -->\n).*?(<!-- /bench -->)", re.DOTALL)
    if not place.search(page):
        raise Trouble(f"{_PAGE} has no place for {name}: <!-- bench: {name} --> and <!-- /bench -->")
    found = _found(name)
    return place.sub(lambda match: f"{match[1]}\n{found}\n\n{match[2]}", page, count=1)


def _found(name: str) -> str:
    """A run's date, conditions, tables and picture, as they are to stand in the page."""
    file = FOLDER / f"{name}.md"
    if not file.is_file():
        raise Trouble(f"{file} is not there; measure first: npm run bench -- {name}")
    first, _, rest = file.read_text(encoding="utf-8").strip().partition("\n")
    date = first.rpartition(", ")[2].partition("T")[0]
    pictured = rest.strip().replace(f"]({name}.svg)", f"]({_PICTURES.name}/{name}.svg)")
    return f"Measured on {date}: {pictured}"


def _take_picture(name: str) -> None:
    picture = FOLDER / f"{name}.svg"
    if picture.is_file():
        _PICTURES.mkdir(exist_ok=True)
        shutil.copyfile(picture, _PICTURES / picture.name)


def _format() -> None:
    """The page is held to the project's form."""
    command = [node(_ROOT), _PRETTIER, "--write", _PAGE]
    ran = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise Trouble(f"prettier failed: {ran.stderr.strip()}")


if __name__ == "__main__":
    sys.exit(main())
