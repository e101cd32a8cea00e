"""The picture says what the table says."""

import unittest
from xml.etree import ElementTree

from picture import Bar, Point, bars, curves

SVG = "{http://www.w3.org/2000/svg}"


class PictureTest(unittest.TestCase):
    """Two servers in two groups."""

    def setUp(self) -> None:
        """Names that would break the markup, were they not escaped."""
        groups = {
            "512 MiB × 1": {"tidegate": Bar(50, 40, 60, "50"), "a<b & c": Bar(100, 100, 100, "100")},
            "512 MiB × 4": {"tidegate": Bar(25, 25, 25, "25"), "a<b & c": Bar(0, 0, 0, "0")},
        }
        self.root = ElementTree.fromstring(bars("Speed & size", groups))
        self.bars = self.root.findall(f"{SVG}rect")
        self.words = [text.text for text in self.root.findall(f"{SVG}text")]

    def test_bars_are_as_long_as_their_figures(self) -> None:
        """To one scale, in all groups."""
        widths = [float(bar.get("width")) for bar in self.bars]
        self.assertGreater(widths[1], 100)
        self.assertAlmostEqual(widths[0], widths[1] / 2, delta=0.1)
        self.assertAlmostEqual(widths[2], widths[1] / 4, delta=0.1)
        self.assertEqual(widths[3], 0)

    def test_every_bar_has_its_name_and_figure(self) -> None:
        """In the order of the table."""
        self.assertEqual(
            self.words,
            ["Speed & size"]
            + ["512 MiB × 1", "tidegate", "50", "a<b & c", "100"]
            + ["512 MiB × 4", "tidegate", "25", "a<b & c", "0"],
        )

    def test_the_gate_stands_out(self) -> None:
        """And only the gate."""
        self.assertEqual([bar.get("class") for bar in self.bars], ["own", None, "own", None])

    def test_what_the_rounds_lay_between_is_drawn_where_they_differ(self) -> None:
        """One line, around the end of the bar."""
        lines = self.root.findall(f"{SVG}path")
        self.assertEqual(len(lines), 1)
        start, end = lines[0].get("d").removeprefix("M").split(" ")[0], lines[0].get("d").rpartition("H")[2]
        bar = self.bars[0]
        middle = float(bar.get("x")) + float(bar.get("width"))
        self.assertAlmostEqual(middle - float(start), float(end) - middle, delta=0.2)

    def test_it_is_said_in_words_to_those_who_do_not_see_it(self) -> None:
        """The title, and every figure."""
        self.assertEqual(self.root.findtext(f"{SVG}title"), "Speed & size")
        said = self.root.findtext(f"{SVG}desc")
        self.assertEqual(said, "512 MiB × 1 tidegate 50, a<b & c 100; 512 MiB × 4 tidegate 25, a<b & c 0")


class CurvesTest(unittest.TestCase):
    """A cost that does not grow and one that grows with the count, before a limit that grows with it, too."""

    def setUp(self) -> None:
        """Three counts, each ten times the one before."""
        counts = (10, 100, 1000)
        costs = {
            "flat <ms>": [Point(count, 7, "7") for count in counts],
            "linear": [Point(count, count / 100, f"{count / 100:g}") for count in counts],
            "unknown": [],
        }
        self.root = ElementTree.fromstring(curves("Growth", "blobs & more", costs, lambda count: count))
        self.words = [text.text for text in self.root.findall(f"{SVG}text")]

    def line(self, at: int) -> list[tuple[float, float]]:
        """The places of a curve, without the way to what is written beside it."""
        paths = [path.get("d") for path in self.root.findall(f"{SVG}path") if path.get("class") in ("curve", "limit")]
        return [tuple(map(float, place.split())) for place in paths[at].removeprefix("M").split("L")][:-1]

    def test_a_power_of_the_count_is_a_straight_line(self) -> None:
        """From the corner of what is the least to that of the most; the limit is the same line here."""
        linear, limit = self.line(0), self.line(1)
        self.assertEqual(linear, limit)
        self.assertAlmostEqual(linear[1][0], (linear[0][0] + linear[2][0]) / 2, delta=0.1)
        self.assertAlmostEqual(linear[1][1], (linear[0][1] + linear[2][1]) / 2, delta=0.1)
        self.assertLess(linear[2][1], linear[0][1])

    def test_what_does_not_grow_stays_where_it_begins(self) -> None:
        """At the foot of the others."""
        self.assertEqual({up for _, up in self.line(2)}, {self.line(0)[0][1]})

    def test_each_has_its_name_with_the_first_and_the_last_figure(self) -> None:
        """One of which nothing is known is left out; counts and multiples stand at the axes."""
        for word in ("linear: 0.1 → 10", "n log n", "flat <ms>: 7 → 7", "blobs & more", "1,000", "× 1", "× 100"):
            self.assertIn(word, self.words)
        self.assertNotIn("unknown", "".join(self.words))
        said = self.root.findtext(f"{SVG}desc")
        self.assertEqual(said, "By blobs & more: flat <ms>: 7 → 7; linear: 0.1 → 10")

    def test_nothing_known_is_an_empty_picture(self) -> None:
        """And no error."""
        ElementTree.fromstring(curves("Growth", "blobs", {"unknown": []}, lambda count: count))


if __name__ == "__main__":
    unittest.main()
