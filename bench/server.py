"""A server under test: a process with its children, started and ended by its own handle, accounted for by /proc."""

import atexit
import os
import shutil
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

from run_folder import HOST, LOGS, wipe
from trouble import Trouble

_TICKS = os.sysconf("SC_CLK_TCK")
_SYSTEM_PATH = os.pathsep.join(["/usr/local/sbin", "/usr/sbin", "/sbin"])
#: The CPUs that a process may run on; None: any.
Cpus = set[int] | None

PATH = f"{os.environ.get('PATH', os.defpath)}{os.pathsep}{_SYSTEM_PATH}"


def program(name: str) -> str | None:
    """Where a program lies; None when it is not installed."""
    return shutil.which(name, path=PATH)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server((HOST, 0)) as probe:
        return probe.getsockname()[1]


class Server:
    """One server. Subclasses say more about when it is ready and what a request must carry."""

    def __init__(
        self,
        name: str,
        command: Iterable[object],
        port: int,
        *,
        cpus: Cpus = None,
        env: dict[str, str] | None = None,
        holds: Path | None = None,
        cwd: Path | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`cpus` are those it may run on (None: any), `holds` is the folder that makes it warm.

        `tls` is what its clients need to trust it, where it speaks TLS.
        """
        self.name = name
        self.port = port
        self.holds = holds
        self.tls = tls
        self._command = [str(part) for part in command]
        self._cpus = cpus
        # Nothing else of the environment: a proxy or a setting of the operator's would be measured, too.
        self._env = {"PATH": PATH, "HOME": str(LOGS.parent), "LC_ALL": "C", **(env or {})}
        self._cwd = cwd or LOGS.parent
        self._process: subprocess.Popen[bytes] | None = None
        atexit.register(self.stop)

    @property
    def origin(self) -> str:
        """Scheme, host and port, as whoever stands before it is told."""
        return f"{'https' if self.tls else 'http'}://{HOST}:{self.port}"

    def headers(self, repository: str, actions: str = "pull") -> dict[str, str]:
        """What a request for a repository carries, for it to be allowed these actions."""
        del repository, actions
        return {}

    def login(self) -> tuple[str, dict[str, str]]:
        """The path and the headers by which a client logs in, with a name and a password."""
        return "/v2/", self.headers("")

    def start(self, patience: float = 60) -> None:
        """Starts the process, and returns when it is ready. Raises Trouble when that takes too long."""
        self.launch()
        deadline = time.monotonic() + patience
        while not self._is_ready():
            if not self.is_running or time.monotonic() > deadline:
                self.stop()
                raise Trouble(f"{self.name} did not start; {self.log} says why")
            time.sleep(0.05)

    def launch(self) -> None:
        """Starts the process, and waits for nothing."""
        with open(self.log, "ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._env,
                cwd=self._cwd,
                start_new_session=True,
                preexec_fn=self._pin if self._cpus else None,
            )

    @property
    def is_running(self) -> bool:
        """Whether the process has been started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def cold_start(self) -> None:
        """Starts it with nothing held."""
        self.stop()
        if self.holds:
            wipe(self.holds)
        self.start()

    def stop(self) -> None:
        """Ends the process; what does not end within five seconds is killed."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        children = _descendants(process.pid)
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            for pid in children:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            process.wait(5)

    def clear(self) -> None:
        """Ends it and drops what it holds."""
        self.stop()
        if self.holds:
            wipe(self.holds)

    @property
    def log(self) -> Path:
        """Where its output goes."""
        return LOGS / f"{self.name}.log"

    def cpu(self) -> float | None:
        """Seconds of CPU, user and system, of the process and its live children."""
        fields = [text.rsplit(")", 1)[1].split() for text in self._read("stat")]
        return sum(int(field[11]) + int(field[12]) for field in fields) / _TICKS

    def forget_peak(self) -> None:
        """From here on, peak_mb() is of what comes."""
        for pid in self._pids():
            try:
                Path(f"/proc/{pid}/clear_refs").write_text("5")
            except OSError:
                pass

    def peak_mb(self) -> float | None:
        """The most memory since forget_peak(), in MiB: the sum of each process's own peak."""
        return self._memory("VmHWM:")

    def memory_mb(self) -> float | None:
        """Memory of now, in MiB."""
        return self._memory("VmRSS:")

    def settle(self, patience: float = 5) -> None:
        """Returns when the server has been idle for a quarter of a second: what it does late is its work, too."""
        deadline = time.monotonic() + patience
        before = None
        while (now := self.cpu()) != before and time.monotonic() < deadline:
            before = now
            time.sleep(0.25)

    def _is_ready(self) -> bool:
        try:
            socket.create_connection((HOST, self.port), 0.3).close()
            return True
        except OSError:
            return False

    def _pin(self) -> None:
        if self._cpus:
            os.sched_setaffinity(0, self._cpus)

    def _pids(self) -> list[int]:
        return _descendants(self._process.pid) if self._process else []

    def _read(self, file: str) -> list[str]:
        texts = []
        for pid in self._pids():
            try:
                texts.append(Path(f"/proc/{pid}/{file}").read_text())
            except OSError:
                pass
        return texts

    def _memory(self, label: str) -> float:
        lines = [line for text in self._read("status") for line in text.splitlines()]
        return sum(int(line.split()[1]) for line in lines if line.startswith(label)) / 1024


def _descendants(pid: int) -> list[int]:
    found, todo = [], [pid]
    while todo:
        found.append(todo.pop())
        try:
            for task in Path(f"/proc/{found[-1]}/task").iterdir():
                todo += [int(child) for child in (task / "children").read_text().split()]
        except OSError:
            pass
    return found
