"""What counts as a change, and what does not."""

import random
import unittest

from change import LEAST_ROUNDS, Verdict, change
from figures import Better

ROUNDS = 9
FLOOR = 0.05


def noisy(figure: float, seed: int, noise: float = 0.02) -> dict[int, float]:
    """So much in each round, give or take the noise."""
    source = random.Random(seed)
    return {round_: figure * (1 + source.uniform(-noise, noise)) for round_ in range(ROUNDS)}


class ChangeTest(unittest.TestCase):
    """Nine rounds of two gates."""

    def verdict(self, before: dict[int, float], after: dict[int, float], better: Better = Better.HIGHER) -> Verdict:
        """What is said of them."""
        found = change(before, after)
        self.assertIsNotNone(found)
        return found.verdict(better, FLOOR)

    def test_the_same_gate_has_not_changed(self) -> None:
        """With other noise each time."""
        for seed in range(200):
            self.assertIs(self.verdict(noisy(1000, seed), noisy(1000, seed + 1000)), Verdict.SAME)

    def test_a_tenth_less_is_worse_or_better_by_the_figure(self) -> None:
        """MB/s are better when they are higher, seconds when they are lower."""
        before, after = noisy(1000, 1), noisy(900, 2)
        self.assertIs(self.verdict(before, after), Verdict.WORSE)
        self.assertIs(self.verdict(after, before), Verdict.BETTER)
        self.assertIs(self.verdict(before, after, Better.LOWER), Verdict.BETTER)
        self.assertIs(self.verdict(after, before, Better.LOWER), Verdict.WORSE)

    def test_less_than_the_floor_is_no_change(self) -> None:
        """However sure it is."""
        found = change(noisy(1000, 1, 0.001), noisy(970, 2, 0.001))
        self.assertLess(found.high, 1)
        self.assertIs(found.verdict(Better.HIGHER, FLOOR), Verdict.SAME)
        self.assertIs(found.verdict(Better.HIGHER, 0.01), Verdict.WORSE)

    def test_one_round_that_went_wrong_changes_nothing(self) -> None:
        """Neither way: it hides no change, and makes none."""
        before, after = noisy(1000, 1), noisy(900, 2)
        self.assertIs(self.verdict(before, after | {4: 2000}), Verdict.WORSE)
        self.assertIs(self.verdict(before, noisy(1000, 3) | {4: 300}), Verdict.SAME)

    def test_a_machine_that_slows_down_falls_on_both(self) -> None:
        """To half its speed, from the first round to the last."""
        slower = {round_: 1 - round_ / (2 * ROUNDS) for round_ in range(ROUNDS)}
        before = {round_: figure * slower[round_] for round_, figure in noisy(1000, 1).items()}
        after = {round_: figure * slower[round_] for round_, figure in noisy(900, 2).items()}
        self.assertIs(self.verdict(before, after), Verdict.WORSE)
        same = {round_: figure * slower[round_] for round_, figure in noisy(1000, 3).items()}
        self.assertIs(self.verdict(before, same), Verdict.SAME)

    def test_too_few_rounds_say_nothing(self) -> None:
        """Rounds in which one of the two has no figure do not count."""
        before, after = noisy(1000, 1), noisy(900, 2)
        few = {round_: after[round_] for round_ in range(LEAST_ROUNDS - 1)}
        self.assertIsNone(change(before, few))
        self.assertIsNone(change(before, few | {5: 0.0}))
        self.assertIsNotNone(change(before, few | {5: after[5]}))


if __name__ == "__main__":
    unittest.main()
