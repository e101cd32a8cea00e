#!/usr/bin/env python3
"""Says which measures the working tree has changed since a commit, by more than the noise.

Builds that commit in a worktree, and measures both gates in turn within each round. The exit code is 1 when a figure
is worse, 2 when something could not be measured.
"""

import argparse
import functools
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

sys.dont_write_bytecode = True

import run_folder  # noqa: E402 (nothing is left behind in the tree)
import tidegate  # noqa: E402
from change import LEAST_ROUNDS, Change, Verdict, change  # noqa: E402
from checkout import checkout, resolved  # noqa: E402
from figures import Figure  # noqa: E402
from machine import machine  # noqa: E402
from measures import cold, docker, herd, hot, login, push, relay, small, start, tls  # noqa: E402
from results import FOLDER, Results, figure as text_of, figures, head, line, median  # noqa: E402
from rig import number  # noqa: E402
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
}
# TLS is Node's own, and so are its changes; what docker and skopeo do themselves takes most of their time.
_USUAL = "hot,cold,herd,relay,push,small,login,start"
_BEFORE, _AFTER = "before", "after"
_COLUMNS = ["measure", "figure", _BEFORE, _AFTER, "change", "95 % interval", "verdict"]


@dataclass(frozen=True)
class Finding:
    """One figure of one measure, before and after."""

    measure: str
    figure: Figure
    before: float | None
    after: float | None
    change: Change | None
    verdict: Verdict


def main() -> int:
    """Measures, tells, and says by its exit code whether anything is worse."""
    heed_termination()
    options = _options()
    try:
        commit = resolved(options.commit)
        chosen = _chosen(options.measures)
        run_folder.claim()
        findings: list[Finding] = []
        failures = 0
        with checkout(commit) as tree:
            for name, module in chosen.items():
                print(f"\n{name}", flush=True)
                results = _measure(name, module, tree, options)
                failures += results.failures
                findings += _findings(name, module, results, options.floor / 100)
    except Trouble as trouble:
        print(f"bench: {trouble}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    _tell(findings, commit, options)
    if failures:
        print(f"{failures} times something was not served, or wrongly; the figures say little", file=sys.stderr)
        return 2
    return 1 if any(finding.verdict is Verdict.WORSE for finding in findings) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="npm run bench:compare --", description=__doc__)
    parser.add_argument("commit", help="what the working tree is held against")
    parser.add_argument("--measures", default=_USUAL, help=f"of {', '.join(MEASURES)} (%(default)s)")
    parser.add_argument("--rounds", type=number(LEAST_ROUNDS, 50), default=9, help="(%(default)s)")
    parser.add_argument(
        "--floor", type=number(0, 100), default=5, metavar="PERCENT", help="less is no change (%(default)s)"
    )
    parser.add_argument("--blob-mib", type=number(1, 4096), help="size of blobs, in place of each measure's own")
    parser.add_argument("--seconds", type=number(1, 60), help="of a load, in place of each measure's own")
    return parser.parse_args()


def _chosen(names: str) -> dict[str, ModuleType]:
    unknown = [name for name in names.split(",") if name not in MEASURES]
    if unknown:
        raise Trouble(f"there is no measure {unknown[0]}; there are {', '.join(MEASURES)}")
    return {name: MEASURES[name] for name in names.split(",")}


def _measure(name: str, module: ModuleType, tree: Path, options: argparse.Namespace) -> Results:
    """One measure of both gates, as its module does it, with nothing else among the servers."""
    parser = argparse.ArgumentParser()
    module.add_options(parser)
    own = parser.parse_args(["--rounds", str(options.rounds), "--no-verify", "--tag", f"compare-{name}"])
    for chosen in ("blob_mib", "seconds"):
        if getattr(options, chosen) is not None and hasattr(own, chosen):
            setattr(own, chosen, getattr(options, chosen))
    variant = next(tidegate.VARIANTS[server] for server in module.SERVERS if server in tidegate.VARIANTS)
    fleet = [
        functools.partial(variant.make, name=_BEFORE, root=tree),
        functools.partial(variant.make, name=_AFTER, root=tidegate.ROOT),
    ]
    return module.measure(own, fleet)


def _findings(name: str, module: ModuleType, results: Results, floor: float) -> Iterator[Finding]:
    """Every figure of every load of the measure."""
    for load in dict.fromkeys(row.get("load") for row in results.rows):
        rows = [row for row in results.rows if row.get("load") == load]
        sides = {side: [row for row in rows if row["server"] == side] for side in (_BEFORE, _AFTER)}
        for each in module.FIGURES:
            rounds = {side: _by_round(of_side, each.field) for side, of_side in sides.items()}
            found = change(rounds[_BEFORE], rounds[_AFTER])
            yield Finding(
                measure=f"{name}, {load}" if load else name,
                figure=each,
                before=median(sides[_BEFORE], each.field),
                after=median(sides[_AFTER], each.field),
                change=found,
                verdict=found.verdict(each.better, floor) if found else Verdict.UNKNOWN,
            )


def _by_round(rows: list[dict[str, object]], field: str) -> dict[int, float]:
    return {row["round"]: figures([row], field)[0] for row in rows if figures([row], field)}


def _tell(findings: list[Finding], commit: str, options: argparse.Namespace) -> None:
    """All figures, and those that changed once more at the end; kept in results/compare.md."""
    lines = head(_COLUMNS)
    for finding in findings:
        lines.append(line([finding.measure, finding.figure.heading, *_cells(finding)]))
    changed = [each for each in findings if each.verdict in (Verdict.BETTER, Verdict.WORSE)]
    said = [
        f"- {each.verdict.value}: {each.measure}, {each.figure.heading}: {_percent(each.change)}" for each in changed
    ]
    told = f"{commit[:12]} and the working tree, {options.rounds} rounds, changes beyond {options.floor} %"
    outcome = "\n".join(said) or "Nothing changed by more than the noise."
    text = f"{told}. {machine()}.\n\n" + "\n".join(lines) + f"\n\n{outcome}\n"
    (FOLDER / "compare.md").write_text(f"# compare\n\n{text}", encoding="utf-8")
    print(f"\n{text}", flush=True)


def _cells(finding: Finding) -> list[str]:
    found = finding.change
    interval = f"{found.low - 1:+.1%} to {found.high - 1:+.1%}" if found else "–"
    return [text_of(finding.before), text_of(finding.after), _percent(found), interval, finding.verdict.value]


def _percent(found: Change | None) -> str:
    return f"{found.ratio - 1:+.1%}" if found else "–"


if __name__ == "__main__":
    sys.exit(main())
