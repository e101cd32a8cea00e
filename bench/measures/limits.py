"""What the machine itself gives: loopback TCP, sendfile, reading what is in memory, SHA-256. No server is faster."""

import argparse
import hashlib
import multiprocessing
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

import fixtures
import run_folder
from results import Results
from rig import number
from run_folder import GIB, HOST, MIB

_FILE = 512 * MIB
_TIMES = 4
_PIECE = 256 * 1024

Send = Callable[[socket.socket], None]


def add_options(parser: argparse.ArgumentParser) -> None:
    """What can be chosen."""
    parser.add_argument("--rounds", type=number(1, 50), default=3, help="(%(default)s)")
    parser.add_argument("--tag", help="name of the result's files (limits)")


def run(options: argparse.Namespace) -> int:
    """Measures each limit in turn."""
    run_folder.require_room(_FILE + GIB // 4)
    file = run_folder.subfolder("limits") / "file"
    with open(file, "wb") as output:
        output.writelines(fixtures.chunks("limits", _FILE))
    limits: dict[str, Callable[[], float]] = {
        "TCP from memory, 64 KiB writes, dropped": lambda: _tcp(_from_memory(64 * 1024), True),
        "TCP from memory, 1 MiB writes, dropped": lambda: _tcp(_from_memory(MIB), True),
        "TCP from memory, 1 MiB writes, copied out": lambda: _tcp(_from_memory(MIB), False),
        "TCP by sendfile, dropped": lambda: _tcp(_by_sendfile(file), True),
        "TCP by read and write of 256 KiB, dropped": lambda: _tcp(_by_read(file), True),
        "reading a held file": lambda: _reading(file),
        "SHA-256, one CPU": _hashing,
    }
    results = Results(options.tag or "limits", {"rounds": options.rounds})
    for round_ in range(options.rounds):
        for name, measure in limits.items():
            results.add(limit=name, round=round_, mb_per_s=measure())
    results.table("limit", {"mb_per_s": "MB/s"})
    return 0


def _tcp(send: Send, dropped: bool) -> float:
    """MB/s from one process to another, each on a CPU of its own where there are two."""
    cpus = sorted(os.sched_getaffinity(0))
    context = multiprocessing.get_context("fork")
    with socket.create_server((HOST, 0)) as listener:
        sender = context.Process(target=_send, args=(send, listener.getsockname(), cpus[0]))
        sender.start()
        os.sched_setaffinity(0, {cpus[-1]})
        try:
            receiver, _ = listener.accept()
            with receiver:
                return _receive(receiver, socket.MSG_TRUNC if dropped else 0)
        finally:
            sender.join(60)
            os.sched_setaffinity(0, cpus)


def _send(send: Send, address: tuple[str, int], cpu: int) -> None:
    os.sched_setaffinity(0, {cpu})
    with socket.create_connection(address, 30) as connection:
        send(connection)


def _receive(connection: socket.socket, flags: int) -> float:
    buffer = bytearray(MIB)
    received = 0
    started = time.perf_counter()
    while count := connection.recv_into(buffer, MIB, flags):
        received += count
    return received / (time.perf_counter() - started) / 1e6


def _from_memory(piece: int) -> Send:
    def send(connection: socket.socket) -> None:
        data = bytes(piece)
        for _ in range(_TIMES * _FILE // piece):
            connection.sendall(data)

    return send


def _by_sendfile(path: Path) -> Send:
    def send(connection: socket.socket) -> None:
        with open(path, "rb") as file:
            for _ in range(_TIMES):
                connection.sendfile(file, 0)

    return send


def _by_read(path: Path) -> Send:
    def send(connection: socket.socket) -> None:
        buffer = memoryview(bytearray(_PIECE))
        for _ in range(_TIMES):
            with open(path, "rb", buffering=0) as file:
                while count := file.readinto(buffer):
                    connection.sendall(buffer[:count])

    return send


def _reading(path: Path) -> float:
    buffer = bytearray(_PIECE)
    started = time.perf_counter()
    with open(path, "rb", buffering=0) as file:
        while file.readinto(buffer):
            pass
    return _FILE / (time.perf_counter() - started) / 1e6


def _hashing() -> float:
    data, digest = bytes(MIB), hashlib.sha256()
    started = time.perf_counter()
    for _ in range(_FILE // MIB):
        digest.update(data)
    return _FILE / (time.perf_counter() - started) / 1e6
