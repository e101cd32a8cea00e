"""Whether a figure changed by more than the noise, from rounds in which both gates were measured in turn."""

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from figures import Better

_SURE = 0.95
#: So many rounds are needed for an interval that is that sure.
LEAST_ROUNDS = 6


class Verdict(Enum):
    """What is said of a figure."""

    SAME = "same"
    BETTER = "better"
    WORSE = "worse"
    UNKNOWN = "too few rounds"


@dataclass(frozen=True)
class Change:
    """The later figure over the earlier one: the median of the rounds' ratios, and the interval that holds it."""

    ratio: float
    low: float
    high: float

    def verdict(self, better: Better, floor: float) -> Verdict:
        """It changed when the interval leaves 1 out, and the ratio is off it by more than `floor` (0.05: 5 %)."""
        if self.low <= 1 <= self.high or abs(math.log(self.ratio)) <= math.log1p(floor):
            return Verdict.SAME
        return Verdict.BETTER if (self.ratio > 1) == (better is Better.HIGHER) else Verdict.WORSE


def change(before: Mapping[int, float], after: Mapping[int, float]) -> Change | None:
    """From each round's figures; None when too few rounds have both.

    Each round's ratio stands for itself, so what slows the machine for a while falls on both. The interval is that of
    the sign test: it takes nothing for granted about how the noise is spread.
    """
    ratios = sorted(
        after[round_] / before[round_]
        for round_ in before.keys() & after.keys()
        if before[round_] > 0 and after[round_] > 0
    )
    cut = _cut(len(ratios))
    if cut is None:
        return None
    return Change(statistics.median(ratios), ratios[cut], ratios[-1 - cut])


def _cut(count: int) -> int | None:
    """How many ratios may be left out at each end for the rest to hold the median as surely as is wanted."""
    found, outside = None, 0.0
    for left_out in range(count // 2):
        outside += 2 * math.comb(count, left_out) / 2**count
        if outside > 1 - _SURE:
            break
        found = left_out
    return found
