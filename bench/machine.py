"""The machine and the versions, so that a table can be held against a later one."""

import json
import os
import platform
import re
import subprocess
from pathlib import Path

from server import PATH, program
from tidegate import ROOT, node

_VERSIONS = {
    "docker-registry": ["docker-registry", "--version"],
    "nginx": ["nginx", "-v"],
    "varnish": ["varnishd", "-V"],
    "caddy": ["caddy", "version"],
    "wrk": ["wrk", "-v"],
    "dockerd": ["dockerd", "--version"],
    "skopeo": ["skopeo", "--version"],
}


def machine() -> str:
    """All of it in one line."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    package = json.loads((ROOT / "package.json").read_text(encoding="utf-8"))
    commit = _commit()
    parts = [
        f"{os.cpu_count()} CPUs{f' ({model.group(1)})' if model else ''}",
        f"Linux {platform.release().partition('-')[0]}",
        f"Tidegate {package['version']}{f' ({commit})' if commit else ''} on Node {_version([node(), '--version'])}",
    ]
    for name, command in _VERSIONS.items():
        if path := program(command[0]):
            parts.append(f"{name} {_version([path, *command[1:]])}")
    return ", ".join(parts)


def _commit() -> str:
    """The commit that is checked out, `-dirty` with changes; nothing outside of version control."""
    described = _run(["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--exclude=*"])
    return described.stdout.strip() if described and described.returncode == 0 else ""


def _version(command: list[str]) -> str:
    # Some tell it on standard error, some with an exit code of 1.
    told = _run(command)
    found = re.search(r"\d+(\.\d+)+", told.stdout + told.stderr) if told else None
    return found.group(0) if found else "?"


def _run(command: list[str]) -> subprocess.CompletedProcess[str] | None:
    """None when the program is not there."""
    try:
        return subprocess.run(command, capture_output=True, text=True, env={"PATH": PATH}, timeout=10, check=False)
    except OSError:
        return None
