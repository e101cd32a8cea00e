"""How a cost grows with what there is more of: the exponent that fits it, held against that of n log n."""

import argparse
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from results import Results

# What an exponent may be off by; that of two medians lies less closely around the true one than that of all of them.
_NOISE = 0.05
_NOISE_OF_TWO = 0.15


@dataclass(frozen=True)
class Cost:
    """A field of the rows that is judged: the less of it, the better."""

    field: str
    heading: str
    #: More than that is a fault, however it has grown.
    most: float = math.inf


@dataclass(frozen=True)
class Curve:
    """One way in which there can be more: what is counted, the usual counts, and what is measured at each of them."""

    counted: str
    counts: Sequence[int]
    costs: Sequence[Cost]
    #: What stands in the table besides.
    columns: Mapping[str, str]
    #: Adds a row for each count and round, with the count under `counted`; what went wrong is in the results.
    measure: Callable[[argparse.Namespace, "Curve", Sequence[int], Results], object]


class Verdict(Enum):
    """Whether a cost may grow like that."""

    GOOD = "good"
    STEEP = "steeper than n log n"
    MUCH = "too much"
    UNKNOWN = "?"


@dataclass(frozen=True)
class Growth:
    """The exponents: of all points, of the last two, and what they may be."""

    whole: float | None
    last: float | None
    allowed: float | None
    verdict: Verdict


Points = Sequence[tuple[float, float]]


def n_log_n(count: float) -> float:
    """What no cost may outgrow."""
    return count * math.log2(1 + count)


def exponent(points: Points) -> float | None:
    """That of the power of the count which fits best (least squares of the logarithms); None for fewer than two."""
    logs = [(math.log(count), math.log(value)) for count, value in points if count > 0 and value > 0]
    middle = [sum(values) / len(logs) for values in zip(*logs, strict=True)] if logs else [0, 0]
    spread = sum((x - middle[0]) ** 2 for x, _ in logs)
    return sum((x - middle[0]) * (y - middle[1]) for x, y in logs) / spread if spread else None


def judge(points: Points, most: float = math.inf) -> Growth:
    """The cost as a whole, and its last step: what is flat for long can hide what begins at its end."""
    limits = [(count, n_log_n(count)) for count, _ in points]
    whole, last = exponent(points), exponent(points[-2:])
    allowed, allowed_last = exponent(limits), exponent(limits[-2:])
    if any(value > most for _, value in points):
        verdict = Verdict.MUCH
    elif whole is None or last is None or allowed is None or allowed_last is None:
        verdict = Verdict.UNKNOWN
    elif whole > allowed + _NOISE or last > allowed_last + _NOISE_OF_TWO:
        verdict = Verdict.STEEP
    else:
        verdict = Verdict.GOOD
    return Growth(whole, last, allowed, verdict)
