"""The exit code of a comparison, and what it says; the measuring itself is left out."""

import contextlib
import io
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import compare
import results

ROUNDS = 9


class CompareTest(unittest.TestCase):
    """Two gates, of which the measure `push` finds the figures that a test says."""

    def compared(self, after: float, failures: int = 0) -> tuple[int, str]:
        """The exit code, and what is kept; the commit has 100 MB/s."""
        with contextlib.ExitStack() as around:
            folder = Path(around.enter_context(tempfile.TemporaryDirectory()))
            for module, name, stand_in in (
                (results, "FOLDER", folder),
                (compare, "FOLDER", folder),
                (results, "machine", lambda: "a machine"),
                (compare, "machine", lambda: "a machine"),
                (compare, "resolved", lambda commit: commit),
                (compare, "checkout", lambda commit: contextlib.nullcontext(Path("tree"))),
                (compare, "_measure", lambda *_: self.found(after, failures)),
                (compare.run_folder, "claim", lambda: None),
                (compare, "heed_termination", lambda: None),
                (sys, "argv", ["compare.py", "abc123", "--measures", "push"]),
            ):
                around.enter_context(mock.patch.object(module, name, stand_in))
            around.enter_context(contextlib.redirect_stdout(io.StringIO()))
            around.enter_context(contextlib.redirect_stderr(io.StringIO()))
            return compare.main(), (folder / "compare.md").read_text()

    def found(self, after: float, failures: int) -> results.Results:
        """Nine rounds; each is a little better than the one before."""
        made = results.Results("compare-push", {})
        made.failures = failures
        for round_ in range(ROUNDS):
            for server, figure in (("before", 100), ("after", after)):
                made.add(server=server, round=round_, mb_per_s=figure + round_, peak_mb=200)
        return made

    def test_a_figure_that_is_worse_is_an_exit_code_of_1(self) -> None:
        """And is named."""
        code, kept = self.compared(after=80)
        self.assertEqual(code, 1)
        self.assertIn("- worse: push, MB/s: -19.2%", kept)
        self.assertIn("| push | peak, MiB | 200 | 200 | +0.0% | +0.0% to +0.0% | same |", kept)

    def test_what_is_the_same_or_better_is_none(self) -> None:
        """What is better is named, too."""
        code, kept = self.compared(after=100)
        self.assertEqual(code, 0)
        self.assertIn("Nothing changed", kept)
        code, kept = self.compared(after=130)
        self.assertEqual(code, 0)
        self.assertIn("- better: push, MB/s", kept)

    def test_figures_of_what_went_wrong_are_not_judged(self) -> None:
        """Whatever they say."""
        self.assertEqual(self.compared(after=80, failures=1)[0], 2)


if __name__ == "__main__":
    unittest.main()
