"""Acknowledged means on the disk: ``python -m bench.ratings`` attacks the ratings of the real program.

Four senders rate ten times a second each, over OSC, at ``valaro demo --osc-in``; meanwhile the program is killed, the
store locked, its disk filled, its folder deleted, or the store is another user's. Printed is, for each attack, what was
sent and answered, and what is found in the store: no rating that was answered with ``/valaro/status`` may be missing,
none there twice, none answered twice. Exit code 1 when that is broken, or, with nothing wrong, fewer than 95 % are
answered with the status or the 99th percentile of the answer is 250 ms or more.

A full disk and another user take root on Linux; elsewhere these two are left out.
"""

import argparse
import os
import random
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pythonosc.osc_message import OscMessage

from .ratings_senders import LISTENERS, Key, Sender, Tally, kept
from .soak_watch import free_port

READY = 120.0  # s for the program to begin to hear, at the most
LATE = 15.0  # s for the last answers
STRANGER = 12345  # a user who owns nothing here
Figures = dict[str, float | int]


class Program:
    """``valaro demo`` with its ratings in ``data``, listening on a port of its own."""

    def __init__(self, data: Path, options: tuple[str, ...] = (), prefix: tuple[str, ...] = ()) -> None:
        self.port = free_port()
        self.stage = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)  # hears what the demo sends, or that were faults
        self.stage.bind(("127.0.0.1", 0))
        stage = f"127.0.0.1:{self.stage.getsockname()[1]}"
        self.store = data / "valaro" / "valaro.sqlite3"
        command = [sys.executable, "-m", "valaro.streamer", "demo", "--no-display", "--listener", ",".join(LISTENERS)]
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115  closed with the program
        self.process = subprocess.Popen(
            [*prefix, *command, "--osc", stage, "--osc-in", str(self.port), *options],
            env=os.environ | {"XDG_DATA_HOME": str(data)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self.log,
        )

    def wait_until_it_hears(self) -> None:
        """Until it has emitted something that can be rated."""
        end = time.monotonic() + READY
        while time.monotonic() < end and self.process.poll() is None:
            if (status := self.status()) and status[3] >= 1.5:
                return
            time.sleep(0.05)
        self.kill()
        raise RuntimeError(f"the program does not hear: {self.words()}")

    def status(self) -> list[Any]:
        """The values of ``/valaro/status``; [] without an answer."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asks, suppress(OSError):
            asks.settimeout(0.5)
            asks.sendto(b"/valaro/status\0\0,\0\0\0", ("127.0.0.1", self.port))
            return list(OscMessage(asks.recv(4096)).params)
        return []

    def kill(self) -> None:
        """As ``kill -9``."""
        self.process.kill()
        self.process.wait()
        self.stage.close()

    def words(self) -> str:
        """What it said."""
        self.log.seek(0)
        return self.log.read()


@contextmanager
def rating(program: Program, seed: int, patience: float = LATE) -> Iterator[list[Sender]]:
    """Four senders, until the end of the block and the last answers."""
    senders = [Sender(listener, program.port, seed) for listener in LISTENERS]
    for sender in senders:
        sender.start()
    try:
        yield senders
    finally:
        for sender in senders:
            sender.stop(patience)


def undisturbed(data: Path, seconds: float = 30.0, options: tuple[str, ...] = ()) -> Figures:
    """Nothing is wrong."""
    return _while(data, lambda _: time.sleep(seconds), options)


def locked(data: Path, seconds: float = 12.0, options: tuple[str, ...] = ()) -> Figures:
    """Another program holds the store for a while."""

    def hold(program: Program) -> None:
        time.sleep(1.0)
        holder = sqlite3.connect(program.store, isolation_level=None, timeout=10)
        holder.execute("BEGIN IMMEDIATE")
        time.sleep(seconds)
        holder.execute("ROLLBACK")
        holder.close()
        time.sleep(2.0)

    return _while(data, hold, options)


def full(data: Path, seconds: float = 8.0, options: tuple[str, ...] = ()) -> Figures:
    """The disk, of 8 MB, is filled by something else and has room again later."""
    data.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "valaro", data], check=True, capture_output=True)

    def fill(program: Program) -> None:
        time.sleep(1.0)
        film = program.store.parent / "a film"
        with film.open("wb", buffering=0) as stream, suppress(OSError):
            while stream.write(b"film" * 256):
                pass
        time.sleep(seconds)
        film.unlink()
        time.sleep(2.0)

    try:
        return _while(data, fill, options)
    finally:
        subprocess.run(["umount", "-l", data], check=True)


def read_only(data: Path, seconds: float = 5.0, options: tuple[str, ...] = ()) -> Figures:
    """The store is another user's (root passes a chmod)."""
    from valaro.streamer.listeners.store import Listeners

    store = data / "valaro" / "valaro.sqlite3"
    Listeners(store).close()
    store.chmod(0o644)
    for folder in (store.parent, data, data.parent):
        folder.chmod(0o755)
    prefix = ("setpriv", f"--reuid={STRANGER}", f"--regid={STRANGER}", "--clear-groups")
    return _while(data, lambda _: time.sleep(seconds), options, prefix)


def deleted(data: Path, seconds: float = 3.0, options: tuple[str, ...] = ()) -> Figures:
    """The folder is deleted meanwhile: what is acknowledged from then on is in a new one."""
    gone = [0.0, 0.0]

    def delete(program: Program) -> None:
        time.sleep(seconds)
        gone[0] = 0.0  # all that was acknowledged before is deleted with it, as the user wanted
        shutil.rmtree(program.store.parent)
        gone[1] = time.monotonic() + 0.05
        time.sleep(seconds)

    return _while(data, delete, options, gone=gone)


def two_writers(data: Path, seconds: float = 20.0, options: tuple[str, ...] = ()) -> Figures:
    """Two programs write to one store, each with four senders."""
    tally, programs = Tally(), [Program(data, options) for _ in range(2)]
    try:
        for program in programs:
            program.wait_until_it_hears()
        with rating(programs[0], 1) as some, rating(programs[1], 2) as others:
            time.sleep(seconds)
        tally.add([*some, *others])
        return tally.figures(kept(programs[0].store))
    finally:
        for program in programs:
            program.kill()


def killed(data: Path, kills: int, options: tuple[str, ...] = (), seed: int = 13) -> Figures:
    """The program is killed again and again, at random moments, while four senders rate."""
    chance, tally, found = random.Random(seed), Tally(), Counter[Key]()
    for kill in range(kills):
        program = Program(data, options)
        try:
            program.wait_until_it_hears()
            with rating(program, kill, patience=0.0) as senders:
                time.sleep(chance.uniform(0.2, 1.5))
                program.kill()
                time.sleep(0.05)  # for the answers that are on their way
        finally:
            program.kill()
        tally.add(senders)
        found = kept(program.store)
        lost = tally.acknowledged() - set(found)
        if lost:
            print(f"kill {kill}: {len(lost)} acknowledged ratings are lost", file=sys.stderr)
    return {"kills": kills} | tally.figures(found)


def _while(
    data: Path,
    attack: Callable[[Program], object],
    options: tuple[str, ...],
    prefix: tuple[str, ...] = (),
    gone: list[float] | None = None,
) -> Figures:
    """Rate while something happens, then kill the program and look."""
    tally, program = Tally(), Program(data, options, prefix)
    try:
        program.wait_until_it_hears()
        with rating(program, 0) as senders:
            attack(program)
        status = program.status() or program.status()
    finally:
        program.kill()
    tally.add(senders)
    for reason, count in tally.reasons().most_common(4):
        print(f"  {count} x {reason}", file=sys.stderr)
    acknowledged = tally.acknowledged((gone[0], gone[1]) if gone else (0.0, 0.0))
    figures = tally.figures(kept(program.store), acknowledged)
    return figures | {"untold": figures["errors"] - status[-1]}  # of the losses, in the status


def main() -> int:
    """Run all attacks and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100, metavar="N", help="how often to kill (100)")
    parser.add_argument("--model", metavar="BUNDLE", help="another model than the default")
    parser.add_argument("--only", metavar="NAME", help="one attack")
    wanted = parser.parse_args()
    options = ("--model", wanted.model) if wanted.model else ()
    attacks: dict[str, Callable[[Path], Figures]] = {
        "nothing wrong": lambda data: undisturbed(data, options=options),
        "two writers": lambda data: two_writers(data, options=options),
        "locked": lambda data: locked(data, options=options),
        "full disk": lambda data: full(data, options=options),
        "read-only": lambda data: read_only(data, options=options),
        "deleted": lambda data: deleted(data, options=options),
        "killed": lambda data: killed(data, wanted.kills, options),
    }
    broken = False
    for name, attack in attacks.items():
        if wanted.only not in (None, name):
            continue
        if name in ("full disk", "read-only") and (os.name == "nt" or os.geteuid() != 0):
            print(f"{name}: left out, which takes root")
            continue
        with tempfile.TemporaryDirectory(prefix="valaro-ratings-") as folder:
            figures = attack(Path(folder) / "data")
        print(f"{name}: {', '.join(f'{what} {count:g}' for what, count in figures.items())}", flush=True)
        broken |= any(figures[what] for what in ("acknowledged but lost", "kept twice", "answered twice"))
        broken |= name != "killed" and figures["unanswered"] > 0
        broken |= figures.get("untold", 0) > 0
        broken |= name == "nothing wrong" and (figures["status, %"] < 95 or figures["p99, ms"] >= 250)
    return int(broken)


if __name__ == "__main__":
    sys.exit(main())
