"""Rules of one account, of which the last one counts: manifests by tag, p99, memory."""

import argparse
from collections.abc import Sequence

import fixtures
import wrk
from client import Question
from curve import Cost, Curve
from results import Results
from rig import Rig, Usage
from run_folder import GIB
from server import Server
from tidegate import VARIANTS, login_of

_CONNECTIONS = 64
_LAYER = 16 * 1024
_REPOSITORY = "perf/rules"


def _measure(options: argparse.Namespace, curve: Curve, counts: Sequence[int], results: Results) -> None:
    """One account for each count, before one gate; what is held, and the token, are the same to all of them."""
    wrk.require()
    rig = Rig(options, [VARIANTS["tidegate"].make], room=GIB // 2)
    image = fixtures.push_image(rig.upstream, _REPOSITORY, _LAYER)
    questions: dict[int, list[Question]] = {}

    def ready(server: Server) -> None:
        for count in counts:
            password = server.make_account(f"rules-{count}", _rules(count))
            token = server.token(*login_of(f"rules-{count}", password, _REPOSITORY))
            questions[count] = [Question(image.by_tag, {"Accept": fixtures.MANIFEST, **token})]
            wrk.requests(server, questions[count], connections=_CONNECTIONS, seconds=1)

    for round_, server in rig.turns(ready):
        for count in counts:
            server.settle()
            usage = Usage(server)
            found = wrk.requests(server, questions[count], connections=_CONNECTIONS, seconds=options.seconds)
            rig.fault(server, found.faults)
            results.add(
                **{curve.counted: count},
                round=round_,
                requests_per_s=found.per_second,
                request_us=1e6 / found.per_second if found.count else None,
                p99_ms=found.p99_ms,
                **usage.found(),
            )
    rig.end(results)


def _rules(count: int) -> list[dict[str, object]]:
    """Patterns that look like the wanted one, and that one at the end."""
    others = [{"repository": f"perf/other-{each:04d}/*", "actions": ["pull", "push"]} for each in range(count - 1)]
    return [*others, {"repository": f"{_REPOSITORY}*", "actions": ["pull"]}]


CURVE = Curve(
    counted="rules",
    counts=(1, 10, 100, 1000),
    costs=(
        Cost("request_us", "request, µs"),
        Cost("p99_ms", "p99, ms"),
        Cost("peak_mb", "peak, MiB"),
    ),
    columns={"requests_per_s": "requests a second"},
    measure=_measure,
)
