"""What a run found: each row at once as a line of JSON, medians as tables in markdown and as a picture."""

import json
import statistics
import time
from collections.abc import Mapping
from pathlib import Path

from machine import machine
from picture import Bar, bars

FOLDER = Path(__file__).resolve().parent / "results"


class Results:
    """The rows of one run.

    They are added to results/<name>.jsonl; the tables replace <name>.md, the picture <name>.svg.
    """

    def __init__(self, name: str, conditions: Mapping[str, object]) -> None:
        FOLDER.mkdir(exist_ok=True)
        self._name = name
        self._conditions = conditions
        self._started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self._parts: list[str] = []
        self.rows: list[dict[str, object]] = []
        #: How many times something was not served, or wrongly.
        self.failures = 0

    @property
    def code(self) -> int:
        """The exit code of the run."""
        return 1 if self.failures else 0

    def add(self, **row: object) -> None:
        """Keeps one row."""
        self.rows.append(row)
        whole = {"run": self._started, **self._conditions, **row}
        with open(FOLDER / f"{self._name}.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(whole) + "\n")

    def table(self, key: str, columns: Mapping[str, str]) -> None:
        """Medians by `key`; `columns` gives each field's heading."""
        lines = head([key, *columns.values()])
        for name in self._names(key):
            rows = self._rows_of(key, name)
            lines.append(line([name, *(figure(median(rows, field)) for field in columns)]))
        self.tell("\n".join(lines))

    def table_across(self, key: str, across: str, field: str, heading: str) -> None:
        """Medians of one field: a row for each `key`, a column for each value of `across`."""
        columns = self._names(across)
        lines = head([key, *columns])
        for name in self._names(key):
            cells = [self._rows_of(key, name, across, column) for column in columns]
            lines.append(line([name, *(figure(median(rows, field)) for rows in cells)]))
        self.tell(f"{heading}:\n\n" + "\n".join(lines))

    def table_of_ratios(self, key: str, field: str, own: str, heading: str, across: str | None = None) -> None:
        """What `own` has of one field over what each other `key` has: the median of the rounds' ratios."""
        columns = self._names(across) if across else ["ratio"]
        lines = head([key, *columns])
        for name in self._names(key):
            if name != own:
                cells = [self._ratio(key, own, name, field, across, column) for column in columns]
                lines.append(line([name, *(figure(cell) for cell in cells)]))
        if len(lines) > 2 and own in self._names(key):
            self.tell(f"{heading}, {own} over each other:\n\n" + "\n".join(lines))

    def picture(self, key: str, field: str, heading: str, across: str | None = None) -> None:
        """A bar for each `key`, in groups by `across`: the median, and what the rounds lay between."""
        groups: dict[str, dict[str, Bar]] = {}
        for group in self._names(across) if across else [""]:
            for name in self._names(key):
                rows = self._rows_of(key, name, across, group) if across else self._rows_of(key, name)
                middle, found = median(rows, field), figures(rows, field)
                if middle is not None:
                    groups.setdefault(group, {})[name] = Bar(middle, min(found), max(found), figure(middle))
        self.draw(heading, bars(heading, groups))

    def draw(self, heading: str, picture: str) -> None:
        """Keeps the run's picture."""
        (FOLDER / f"{self._name}.svg").write_text(picture, encoding="utf-8")
        self.tell(f"![{heading}]({self._name}.svg)", printed=False)

    def medians(self, key: str, field: str) -> list[tuple[float, float]]:
        """A field's medians by a `key` that is a number; what has not been found is left out."""
        found = [(float(name), median(self._rows_of(key, name), field)) for name in self._names(key)]
        return [(count, middle) for count, middle in found if middle is not None]

    def _ratio(self, key: str, own: str, other: str, field: str, across: str | None, column: str) -> float | None:
        sides = [
            {row["round"]: row.get(field) for row in self._rows_of(key, name, across, column)} for name in (own, other)
        ]
        found = [
            sides[0][round_] / sides[1][round_]
            for round_ in sides[0].keys() & sides[1].keys()
            if sides[0][round_] is not None and sides[1][round_]
        ]
        return statistics.median(found) if found else None

    def _names(self, key: str) -> list[str]:
        return list(dict.fromkeys(str(row[key]) for row in self.rows))

    def _rows_of(self, key: str, name: str, across: str | None = None, column: str = "") -> list[dict[str, object]]:
        rows = [row for row in self.rows if str(row[key]) == name]
        return rows if across is None else [row for row in rows if str(row[across]) == column]

    def tell(self, part: str, *, printed: bool = True) -> None:
        """Puts a table, a picture or a sentence under what has been told before."""
        if not self._parts:
            told = ", ".join(f"{name} {value}" for name, value in self._conditions.items())
            self._parts.append(f"{told}. {machine()}.")
            print(f"\n{self._parts[0]}", flush=True)
        if printed:
            print(f"\n{part}", flush=True)
        self._parts.append(part)
        whole = "\n\n".join([f"# {self._name}, {self._started}", *self._parts])
        (FOLDER / f"{self._name}.md").write_text(whole + "\n", encoding="utf-8")


def figures(rows: list[dict[str, object]], field: str) -> list[float]:
    """What the rows have of a field."""
    return [value for row in rows if isinstance(value := row.get(field), int | float)]


def median(rows: list[dict[str, object]], field: str) -> float | None:
    """None where no row has it."""
    found = figures(rows, field)
    return statistics.median(found) if found else None


def figure(value: float | None) -> str:
    """Three figures are as many as a benchmark knows."""
    if value is None:
        return "–"
    if value == int(value) or abs(value) >= 100:
        return f"{value:.0f}"
    if abs(value) < 0.1:
        return f"{value:.2g}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def head(cells: list[str]) -> list[str]:
    """The two lines with which a table begins: its first column is words, the others figures."""
    return [line(cells), line(["---"] + ["---:"] * (len(cells) - 1))]


def line(cells: list[str]) -> str:
    """One line of a table."""
    return f"| {' | '.join(cells)} |"
