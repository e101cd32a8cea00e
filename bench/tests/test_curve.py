"""Which growth is good, and which is not; the judgement of a curve, and the exit code that goes with it."""

import argparse
import contextlib
import io
import math
import tempfile
import unittest
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import results
from curve import Cost, Curve, Verdict, exponent, judge
from measures import growth

COUNTS = (1000, 10_000, 100_000, 1_000_000)


def points(value: Callable[[int], float]) -> list[tuple[float, float]]:
    """What a cost is at each count."""
    return [(count, value(count)) for count in COUNTS]


class ExponentTest(unittest.TestCase):
    """The power that fits."""

    def test_it_is_that_of_a_power_whatever_its_unit(self) -> None:
        """In seconds or in microseconds."""
        for unit in (1e-6, 1, 1e6):
            self.assertAlmostEqual(exponent(points(lambda count: unit * count**1.5)), 1.5)
        self.assertAlmostEqual(exponent(points(lambda count: 7)), 0)

    def test_there_is_none_without_two_counts(self) -> None:
        """Nor of what has no logarithm."""
        for known in ([], [(10, 1)], [(10, 1), (10, 2)], [(10, 0), (100, 1)]):
            self.assertIsNone(exponent(known))


class JudgeTest(unittest.TestCase):
    """What may grow like that."""

    def test_up_to_n_log_n_is_good(self) -> None:
        """Also with what each start takes anyway."""
        for value in (
            lambda count: 7,
            lambda count: math.log(count),
            lambda count: count,
            lambda count: count * math.log2(count),
            lambda count: 600 + count / 1000,
        ):
            self.assertIs(judge(points(value)).verdict, Verdict.GOOD)

    def test_a_square_is_steep(self) -> None:
        """As is what is a little less than that."""
        for power in (1.2, 1.5, 2):
            self.assertIs(judge(points(lambda count, power=power: count**power)).verdict, Verdict.STEEP)

    def test_what_becomes_steep_at_its_end_is_steep(self) -> None:
        """Though the whole of it fits a small exponent."""
        found = judge(points(lambda count: 1000 + (count / 1000) ** 2))
        self.assertLess(found.whole, 1)
        self.assertIs(found.verdict, Verdict.STEEP)

    def test_a_bound_holds_however_little_a_cost_grows(self) -> None:
        """At every count."""
        self.assertIs(judge(points(lambda count: 5001), 5000).verdict, Verdict.MUCH)
        self.assertIs(judge(points(lambda count: 5000), 5000).verdict, Verdict.GOOD)

    def test_one_count_says_nothing(self) -> None:
        """But of the bound."""
        self.assertIs(judge([(10, 1)]).verdict, Verdict.UNKNOWN)
        self.assertIs(judge([(10, 6)], 5).verdict, Verdict.MUCH)


class GrowthTest(unittest.TestCase):
    """The measure, with a curve that a test makes up."""

    def code(self, power: float) -> tuple[int, str]:
        """The exit code, and what is kept."""

        def measure(_options: object, curve: Curve, counts: list[int], found: results.Results) -> None:
            for count in counts:
                found.add(**{curve.counted: count}, round=0, ms=count**power)

        curve = Curve("blobs", (1, 10, 100), [Cost("ms", "time, ms")], {}, measure)
        parser = argparse.ArgumentParser()
        growth.add_options(parser)
        with contextlib.ExitStack() as around:
            folder = Path(around.enter_context(tempfile.TemporaryDirectory()))
            around.enter_context(mock.patch.object(results, "FOLDER", folder))
            around.enter_context(mock.patch.object(results, "machine", lambda: "a machine"))
            around.enter_context(mock.patch.object(growth, "CURVES", {"made-up": curve}))
            around.enter_context(contextlib.redirect_stdout(io.StringIO()))
            code = growth.run(parser.parse_args(["--of", "made-up"]))
            self.assertTrue((folder / "growth-made-up.svg").is_file())
            return code, (folder / "growth-made-up.md").read_text()

    def test_a_cost_that_grows_too_fast_is_an_exit_code_of_1(self) -> None:
        """And the table says which."""
        code, kept = self.code(2)
        self.assertEqual(code, 1)
        self.assertIn("| time, ms | 2.00 | 2.00 | 1.41 | steeper than n log n |", kept)

    def test_one_that_may_grow_like_that_is_none(self) -> None:
        """The figures stand beside."""
        code, kept = self.code(1)
        self.assertEqual(code, 0)
        self.assertIn("| 100 | 100 |", kept)
        self.assertIn("| time, ms | 1.00 | 1.00 | 1.41 | good |", kept)


if __name__ == "__main__":
    unittest.main()
