"""What a run found: each row at once as a line of JSON, medians as a table in markdown, under what conditions."""

import json
import os
import platform
import re
import statistics
import subprocess
import time
from pathlib import Path

from server import PATH, program
from tidegate import ROOT, node

_FOLDER = Path(__file__).resolve().parent / "results"

_VERSIONS = {
    "docker-registry": ["docker-registry", "--version"],
    "nginx": ["nginx", "-v"],
    "varnish": ["varnishd", "-V"],
    "caddy": ["caddy", "version"],
}


class Results:
    """The rows of one run. They are added to results/<name>.jsonl; the table replaces results/<name>.md."""

    def __init__(self, name: str, conditions: dict[str, object]) -> None:
        _FOLDER.mkdir(exist_ok=True)
        self._name = name
        self._conditions = conditions
        self._started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self.rows: list[dict[str, object]] = []

    def add(self, **row: object) -> None:
        """Keeps one row."""
        self.rows.append(row)
        whole = {"run": self._started, **self._conditions, **row}
        with open(_FOLDER / f"{self._name}.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(whole) + "\n")

    def table(self, key: str, columns: dict[str, str]) -> None:
        """Prints and keeps the medians by `key`; `columns` gives each field's heading."""
        names = list(dict.fromkeys(str(row[key]) for row in self.rows))
        lines = [_line([key, *columns.values()]), _line(["---"] + ["---:"] * len(columns))]
        for name in names:
            rows = [row for row in self.rows if row[key] == name]
            lines.append(_line([name, *(_figure(_median(rows, field)) for field in columns)]))
        told = ", ".join(f"{name} {value}" for name, value in self._conditions.items())
        text = "\n".join([f"{told}. {_machine()}.", "", *lines, ""])
        (_FOLDER / f"{self._name}.md").write_text(f"# {self._name}, {self._started}\n\n{text}", encoding="utf-8")
        print(f"\n{text}", flush=True)


def _median(rows: list[dict[str, object]], field: str) -> float | None:
    values = [value for row in rows if isinstance(value := row.get(field), int | float)]
    return statistics.median(values) if values else None


def _figure(value: float | None) -> str:
    """Three figures are as many as a benchmark knows."""
    if value is None:
        return "–"
    if value == int(value) or abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _machine() -> str:
    """The machine and the versions, so that a table can be held against a later one."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    package = json.loads((ROOT / "package.json").read_text(encoding="utf-8"))
    parts = [
        f"{os.cpu_count()} CPUs{f' ({model.group(1)})' if model else ''}",
        f"Linux {platform.release()}",
        f"Tidegate {package['version']} on Node {_version([node(), '--version'])}",
    ]
    for name, command in _VERSIONS.items():
        if path := program(command[0]):
            parts.append(f"{name} {_version([path, *command[1:]])}")
    return ", ".join(parts)


def _version(command: list[str]) -> str:
    ran = subprocess.run(command, capture_output=True, text=True, env={"PATH": PATH}, timeout=10, check=False)
    found = re.search(r"\d+(\.\d+)+", ran.stdout + ran.stderr)
    return found.group(0) if found else "?"
