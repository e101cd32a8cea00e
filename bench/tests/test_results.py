"""Tables, ratios and where they are kept."""

import contextlib
import io
import json
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import publish
import results
from trouble import Trouble


class ResultsTest(unittest.TestCase):
    """Three rounds of two servers under two loads, in a folder of their own."""

    def setUp(self) -> None:
        """The machine gets faster with each round, which the ratios are not to show."""
        around = contextlib.ExitStack()
        self.addCleanup(around.close)
        self.folder = Path(around.enter_context(tempfile.TemporaryDirectory()))
        around.enter_context(mock.patch.object(results, "FOLDER", self.folder / "results"))
        around.enter_context(mock.patch.object(results, "machine", lambda: "a machine"))
        around.enter_context(contextlib.redirect_stdout(io.StringIO()))
        self.results = results.Results("hot", {"rounds": 3})
        for round_ in range(3):
            for load, factor in (("1", 1), ("4", 2)):
                self.results.add(server="tidegate", round=round_, load=load, mb=30 * factor * (round_ + 1))
                self.results.add(server="nginx", round=round_, load=load, mb=20 * (round_ + 1) if load == "1" else None)

    def kept(self) -> list[str]:
        """The lines of the tables."""
        return [line for line in (self.folder / "results/hot.md").read_text().splitlines() if line.startswith("| ")]

    def test_medians_stand_across(self) -> None:
        """And what has not been found is no nought."""
        self.results.table_across("server", "load", "mb", "MB/s")
        self.assertEqual(
            self.kept(),
            ["| server | 1 | 4 |", "| --- | ---: | ---: |", "| tidegate | 60 | 120 |", "| nginx | 40 | – |"],
        )

    def test_ratios_are_of_figures_of_one_round(self) -> None:
        """The gate itself is left out."""
        self.results.table_of_ratios("server", "mb", "tidegate", "MB/s", across="load")
        self.assertEqual(self.kept()[2:], ["| nginx | 1.50 | – |"])

    def test_medians_go_by_numbers_where_the_key_is_one(self) -> None:
        """What has not been found is left out."""
        for count, figure in ((1, 5), (10, 7), (10, 9), (100, None)):
            self.results.add(**{"clients": count, "ms": figure, "server": "", "load": ""})
        rows = [row for row in self.results.rows if "clients" in row]
        self.results.rows[:] = rows
        self.assertEqual(self.results.medians("clients", "ms"), [(1, 5), (10, 8)])
        self.results.table("clients", {"ms": "ms"})
        self.assertEqual(self.kept()[2:], ["| 1 | 5 |", "| 10 | 8 |", "| 100 | – |"])

    def test_rows_are_kept_run_after_run(self) -> None:
        """With the conditions under which they came about."""
        results.Results("hot", {"rounds": 1}).add(server="tidegate", round=0, load="1", mb=1)
        rows = [json.loads(line) for line in (self.folder / "results/hot.jsonl").read_text().splitlines()]
        self.assertEqual(len(rows), 13)
        self.assertEqual([rows[0]["rounds"], rows[-1]["rounds"]], [3, 1])

    def test_what_was_found_goes_into_its_place_in_the_page(self) -> None:
        """With the picture's address as seen from the page, and without touching any other place."""
        self.results.table_across("server", "load", "mb", "MB/s")
        self.results.picture("server", "mb", "Held", across="load")
        with mock.patch.object(publish, "FOLDER", self.folder / "results"):
            places = [f"<!-- bench: {name} -->\n\nold\n\n<!-- /bench -->\n" for name in ("cold", "hot")]
            page = "\n".join(["# Page\n", *places]) + "end\n"
            replaced = publish._replaced(page, "hot")
            with self.assertRaisesRegex(Trouble, "no place for herd"):
                publish._replaced(page, "herd")
            with self.assertRaisesRegex(Trouble, "measure first"):
                publish._replaced(page, "cold")
        before, _, after = replaced.partition("<!-- bench: hot -->")
        self.assertIn("\nold\n", before)
        self.assertNotIn("old", after)
        self.assertRegex(after, r"Measured on \d{4}-\d\d-\d\d: rounds 3\. a machine\.")
        self.assertIn("| tidegate | 60 | 120 |", after)
        self.assertIn("![Held](performance/hot.svg)", after)
        self.assertTrue(after.endswith("<!-- /bench -->\nend\n"))


if __name__ == "__main__":
    unittest.main()
