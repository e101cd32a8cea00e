"""The client of small answers: wrk, which is quick enough to load what answers 100,000 requests a second."""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from client import Question
from run_folder import CONFIGURATIONS, HOST
from server import PATH, Server, program
from trouble import Trouble

_PATIENCE = 10

_SCRIPT = """
local requests, at = {}, 0
local questions = {
%s
}
function init()
  for each, question in ipairs(questions) do
    requests[each] = wrk.format('GET', question.path, question.headers)
  end
end
function request()
  at = at %% #requests + 1
  return requests[at]
end
function done(summary, latency)
  local errors = summary.errors
  io.write(string.format('FOUND {"requests":%%d,"us":%%d,"p50_us":%%d,"p99_us":%%d,"refused":%%d,"broken":%%d}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), errors.status,
    errors.connect + errors.read + errors.write + errors.timeout))
end
"""


@dataclass(frozen=True)
class Requests:
    """What came of so many seconds of requests."""

    count: int
    seconds: float
    p50_ms: float
    p99_ms: float
    #: Answers with a status of 400 or more, and connections that failed or took too long.
    refused: int
    broken: int

    @property
    def per_second(self) -> float:
        """Requests answered each second."""
        return self.count / self.seconds

    @property
    def faults(self) -> list[str]:
        """What went wrong, in words."""
        if not self.count:
            return [f"not one answer in {self.seconds:.0f} seconds"]
        told = {"were refused": self.refused, "met a connection that broke or was too slow": self.broken}
        return [f"{count} of {self.count} {what}" for what, count in told.items() if count]


def require() -> None:
    """Raises Trouble when wrk is not installed."""
    if not program("wrk"):
        raise Trouble("requests are made by wrk; install it (Debian: apt-get install wrk)")


def requests(server: Server, questions: Sequence[Question], *, connections: int, seconds: int) -> Requests:
    """GETs one thing after the other, over so many connections, each with one request under way."""
    script = CONFIGURATIONS / "wrk.lua"
    script.write_text(_SCRIPT % ",\n".join(_lua(question) for question in questions))
    options = ["-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", f"{_PATIENCE}s", "-s", script]
    command = [program("wrk"), *options, f"http://{HOST}:{server.port}"]
    try:
        ran = subprocess.run(
            command,
            capture_output=True,
            text=True,
            env={"PATH": PATH},
            timeout=seconds + 60,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Trouble(f"wrk did not end by itself against {server.name}") from None
    for line in ran.stdout.splitlines():
        if line.startswith("FOUND "):
            found = json.loads(line.removeprefix("FOUND "))
            return Requests(
                count=found["requests"],
                seconds=found["us"] / 1e6,
                p50_ms=found["p50_us"] / 1e3,
                p99_ms=found["p99_us"] / 1e3,
                refused=found["refused"],
                broken=found["broken"],
            )
    raise Trouble(f"wrk found nothing out about {server.name}: {(ran.stdout + ran.stderr).strip()[-500:]}")


def _lua(question: Question) -> str:
    # A string of JSON in ASCII is one of Lua, too.
    fields = ", ".join(f"[{json.dumps(name)}] = {json.dumps(value)}" for name, value in question.headers.items())
    return f"  {{ path = {json.dumps(question.path)}, headers = {{ {fields} }} }}"
