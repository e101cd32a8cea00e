"""How costs grow with held blobs, clients, accounts, rules, layers, idle connections: none faster than n log n."""

import argparse
from collections.abc import Sequence

from curve import Curve, Verdict, judge, n_log_n
from curves import accounts, clients, held, idle, layers, rules
from picture import Point, curves
from results import Results, figure, head, line
from rig import number, numbers
from trouble import Trouble

CURVES = {
    "held": held.CURVE,
    "clients": clients.CURVE,
    "accounts": accounts.CURVE,
    "rules": rules.CURVE,
    "layers": layers.CURVE,
    "idle": idle.CURVE,
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """What can be chosen."""
    parser.add_argument("--of", default=",".join(CURVES), help="which, separated by commas (%(default)s)")
    parser.add_argument("--counts", type=numbers(1, 10_000_000), help="in place of the usual ones, of one curve")
    parser.add_argument("--rounds", type=number(1, 50), default=3, help="(%(default)s)")
    parser.add_argument("--seconds", type=number(1, 60), default=4, help="of each load (%(default)s)")
    parser.add_argument("--unpinned", action="store_true", help="let everything run on every CPU")
    parser.add_argument("--tag", default="growth", help="how the names of the result's files begin (%(default)s)")


def run(options: argparse.Namespace) -> int:
    """1 when something was not served, or a cost grows faster than it may."""
    names = options.of.split(",")
    unknown = [name for name in names if name not in CURVES]
    if unknown:
        raise Trouble(f"there is no curve {unknown[0]}; there are {', '.join(CURVES)}")
    if options.counts and len(names) > 1:
        raise Trouble("--counts is of one curve; name it by --of")
    return max([_run(name, CURVES[name], options) for name in names])


def _run(name: str, curve: Curve, options: argparse.Namespace) -> int:
    counts = sorted(set(options.counts or curve.counts))
    print(f"\n{name}", flush=True)
    conditions = {"seconds": options.seconds, "rounds": options.rounds, "pinned": "no" if options.unpinned else "yes"}
    results = Results(f"{options.tag}-{name}", conditions)
    curve.measure(options, curve, counts, results)
    results.table(curve.counted, {**{cost.field: cost.heading for cost in curve.costs}, **curve.columns})
    _judge(curve, results)
    _draw(curve, results)
    return results.code


def _judge(curve: Curve, results: Results) -> None:
    """The exponents of all costs as a table; one that is too steep is a failure."""
    rows = head(["cost", "exponent", "of the last step", "of n log n", "verdict"])
    for cost in curve.costs:
        found = judge(results.medians(curve.counted, cost.field), cost.most)
        exponents = ["–" if each is None else f"{each:.2f}" for each in (found.whole, found.last, found.allowed)]
        rows.append(line([cost.heading, *exponents, found.verdict.value]))
        results.failures += found.verdict in (Verdict.STEEP, Verdict.MUCH)
    results.tell(f"As {curve.counted} grow:\n\n" + "\n".join(rows))


def _draw(curve: Curve, results: Results) -> None:
    costs = {cost.heading: _points(results.medians(curve.counted, cost.field)) for cost in curve.costs}
    heading = f"As {curve.counted} grow: each cost as a multiple of its first"
    results.draw(heading, curves(heading, curve.counted, costs, n_log_n))


def _points(medians: Sequence[tuple[float, float]]) -> list[Point]:
    return [Point(count, value, figure(value)) for count, value in medians]
