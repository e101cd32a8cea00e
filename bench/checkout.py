"""Another commit of the project, built in a folder of its own, which is gone afterwards."""

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tidegate import ROOT
from trouble import Trouble

_LONGEST = 900
_LOCK = "package-lock.json"


def resolved(commit: str) -> str:
    """The full name of a commit. Raises Trouble when there is none such."""
    ran = _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{commit}^{{commit}}")
    if ran.returncode:
        raise Trouble(f"there is no commit {commit} in {ROOT}")
    return ran.stdout.strip()


@contextlib.contextmanager
def checkout(commit: str) -> Iterator[Path]:
    """The folder, built, of a commit in its full name. The packages are shared where the lockfile is the same."""
    folder = Path(tempfile.mkdtemp(prefix="tidegate-compare-"))
    tree = folder / "tree"
    try:
        added = _git("worktree", "add", "--detach", str(tree), commit)
        if added.returncode:
            raise Trouble(f"git made no worktree: {added.stderr.strip()}")
        _build(tree)
        yield tree
    finally:
        _git("worktree", "remove", "--force", str(tree))
        shutil.rmtree(folder, ignore_errors=True)


def _build(tree: Path) -> None:
    if (tree / _LOCK).read_bytes() == (ROOT / _LOCK).read_bytes():
        (tree / "node_modules").symlink_to((ROOT / "node_modules").resolve())
    else:
        _npm(tree, "ci", "--include=dev", "--no-audit", "--no-fund", "--loglevel=error")
    _npm(tree, "run", "--silent", "build")


def _npm(tree: Path, *words: str) -> None:
    ran = _run(["npm", *words], cwd=tree)
    if ran.returncode:
        raise Trouble(f"npm {words[0]} failed in {tree}: {(ran.stdout + ran.stderr).strip()[-2000:]}")


def _git(*words: str) -> subprocess.CompletedProcess[str]:
    return _run(["git", "-C", str(ROOT), *words])


def _run(command: list[str], cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=_LONGEST, check=False)
    except OSError as error:
        raise Trouble(f"{command[0]} cannot be run: {error}") from error
    except subprocess.TimeoutExpired:
        raise Trouble(f"{' '.join(command[:2])} was not done after {_LONGEST} seconds") from None
