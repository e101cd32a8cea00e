"""Where a run keeps stores, caches, configurations and logs, and the room that it needs there."""

import atexit
import fcntl
import os
import shutil
import tempfile
from pathlib import Path

from trouble import Trouble

HOST = "127.0.0.1"
MIB = 1 << 20
GIB = 1 << 30

_TMPFS = Path("/dev/shm")


def _base() -> Path:
    chosen = os.environ.get("PERF_RUN")
    if chosen:
        return Path(chosen).resolve()
    return _TMPFS if _TMPFS.is_dir() else Path(tempfile.gettempdir())


# A folder of its own below the chosen one: it is emptied, and what else lies there must not be.
RUN = _base() / f"tidegate-bench-{os.geteuid()}"
LOGS = RUN / "log"
CONFIGURATIONS = RUN / "conf"
_TOLD = (LOGS, CONFIGURATIONS)


def claim() -> None:
    """Makes the folder this process's own, and empties it; at the end only logs and configurations are left.

    Raises Trouble when another run has it, or somebody else made it.
    """
    RUN.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = RUN.lstat()
    if RUN.is_symlink() or status.st_uid != os.geteuid():
        raise Trouble(f"{RUN} belongs to somebody else; point PERF_RUN at another folder")
    lock = os.open(RUN / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Trouble(f"another run measures in {RUN}; wait for it, or set PERF_RUN") from None
    _empty()
    for path in _TOLD:
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
    atexit.register(_empty)


def _empty() -> None:
    for path in RUN.iterdir():
        if path.is_dir() and path not in _TOLD:
            shutil.rmtree(path, ignore_errors=True)


def subfolder(*names: str) -> Path:
    """A folder below the run's, made when it is not there."""
    path = RUN.joinpath(*names)
    path.mkdir(parents=True, exist_ok=True)
    return path


def wipe(path: Path) -> None:
    """Empties a folder of the run."""
    if RUN not in path.parents:
        raise ValueError(f"{path} is not below {RUN}")
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)


def require_room(needed: int) -> None:
    """Raises Trouble when so many bytes do not fit the folder, or, on a tmpfs, the memory."""
    free = shutil.disk_usage(RUN).free
    if _TMPFS in RUN.parents:
        free = min(free, _available_memory())
    if free < needed:
        raise Trouble(
            f"{RUN} has room for {free // MIB} MiB, and {needed // MIB} MiB are needed;"
            " point PERF_RUN at a larger folder"
        )


def _available_memory() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0
