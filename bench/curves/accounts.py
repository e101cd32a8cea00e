"""Accounts, each with a right of its own: the start of the gate, logins, a new account, memory."""

import argparse
import base64
import hashlib
import json
import secrets
import time
from collections.abc import Sequence
from pathlib import Path

import wrk
from client import Question
from curve import Cost, Curve
from htpasswd import hashed
from measures.start import first_answer
from results import Results
from rig import Rig
from run_folder import GIB
from server import Server
from tidegate import VARIANTS, login_of

_CONNECTIONS = 16
# Logins that are no repetition, of which each is hashed: so many accounts at least are there for them.
_FIRST_LOGINS = 5
_REPOSITORY = "perf/login"


def _measure(options: argparse.Namespace, curve: Curve, counts: Sequence[int], results: Results) -> None:
    """The files are written as the gate itself leaves them, before it starts."""
    wrk.require()
    rig = Rig(options, [VARIANTS["tidegate"].make], room=GIB // 2)
    (server,) = rig.servers
    password = secrets.token_urlsafe(16)
    hash_ = hashed(password)
    for count in counts:
        print(f"{count} {curve.counted}", flush=True)
        server.clear()
        _write(server.holds, hash_, count)
        # The first start makes secrets, and the admin's account.
        server.start()
        server.stop()
        for round_ in range(rig.rounds):
            started = time.perf_counter()
            server.launch()
            first_answer(server)
            start = time.perf_counter() - started
            server.settle()
            results.add(
                **{curve.counted: count},
                round=round_,
                start_ms=start * 1000,
                idle_mb=server.memory_mb(),
                **_logins(rig, server, password, count, options.seconds),
                new_ms=_new_account(server, round_),
                peak_mb=server.peak_mb(),
            )
            server.stop()
    rig.end(results)


def _write(folder: Path, hash_: str, count: int) -> None:
    """htpasswd and accounts.json; all accounts have the same password, so that it is hashed once."""
    names = [_name(each) for each in range(count)]
    text = "".join(f"{name}:{hash_}\n" for name in names)
    # A hash is known by its form without the letter that htpasswd writes.
    fingerprint = _base64url(hashlib.sha256(hash_.replace("$2y$", "$2b$", 1).encode()).digest()[:16])
    accounts = [
        {
            "username": name,
            "role": "user",
            "access": [{"repository": "perf/**", "actions": ["pull"]}],
            "disabled": False,
            "epoch": 0,
            "fingerprints": [fingerprint],
        }
        for name in names
    ]
    seal = _base64url(hashlib.sha256(text.encode()).digest())
    metadata = {"version": 1, "htpasswd": seal, "floor": 0, "accounts": accounts, "removed": []}
    (folder / "htpasswd").write_text(text)
    (folder / "accounts.json").write_text(json.dumps(metadata))


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _name(each: int) -> str:
    return f"account-{each:06d}"


def _logins(rig: Rig, server: Server, password: str, count: int, seconds: int) -> dict[str, float | None]:
    """Of accounts that log in for the first time since the start, and of one that does so again and again."""
    firsts = []
    # Across the whole file, from its end.
    for each in range(count - 1, -1, -max(1, count // _FIRST_LOGINS)):
        began = time.perf_counter()
        server.token(*login_of(_name(each), password, _REPOSITORY))
        firsts.append(time.perf_counter() - began)
    asked = [Question(*login_of(_name(count - 1), password, _REPOSITORY))]
    found = wrk.requests(server, asked, connections=_CONNECTIONS, seconds=seconds)
    rig.fault(server, found.faults)
    return {
        "first_login_ms": 1000 * sum(firsts) / len(firsts),
        "logins_per_s": found.per_second,
        "login_us": 1e6 / found.per_second if found.count else None,
    }


def _new_account(server: Server, round_: int) -> float:
    """Milliseconds that one takes over REST."""
    began = time.perf_counter()
    server.make_account(f"new-{round_}")
    return (time.perf_counter() - began) * 1000


CURVE = Curve(
    counted="accounts",
    counts=(1, 100, 10_000, 100_000),
    costs=(
        Cost("start_ms", "start, ms"),
        Cost("idle_mb", "idle, MiB"),
        Cost("login_us", "login, µs"),
        Cost("first_login_ms", "first login, ms"),
        Cost("new_ms", "a new account, ms"),
    ),
    columns={"logins_per_s": "logins a second", "peak_mb": "peak, MiB"},
    measure=_measure,
)
