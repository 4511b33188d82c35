"""The fuzzer's targets on well-formed inputs, on what once broke them, and on mutations of both.

No coverage guides these: that is `make fuzz`, for as long as one likes. They are the same in each run.
"""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from . import servers
from .__main__ import NAMES
from .all_targets import TARGETS

CASES = Path(__file__).parent / "cases"
FEW = {
    "command_line": 60,
    "server": 10,
    "metrics": 10,
    "bundle": 50,
    "checkpoint": 30,
    "profile": 30,
}  # each of their inputs takes some milliseconds
WORDS = [
    b"\x00",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"NaN",
    b"1e999",
    b"-1",
    b"[" * 200,
    b"{}",
    b"null",
    b'"',
    b"\n",
]


@pytest.fixture(scope="module", autouse=True)
def _servers_end() -> Iterator[None]:
    """What they hear from the network must not be in the memory that later tests look at."""
    yield
    servers.close()


def kept(name: str) -> list[bytes]:
    """What the fuzzer found once."""
    return [path.read_bytes() for path in sorted((CASES / name).glob("*"))]


def mutated(seeds: list[bytes], chance: random.Random) -> bytes:
    """One of ``seeds`` with a few bytes changed, words put in, parts said twice, or the end of another."""
    data = bytearray(chance.choice(seeds))
    for _ in range(chance.randint(1, 6)):
        at, length = chance.randint(0, len(data)), chance.randint(0, 16)
        match chance.randrange(4):
            case 0:
                data[at : at + length] = chance.randbytes(chance.randint(0, 8))
            case 1:
                data[at:at] = chance.choice(WORDS)
            case 2:
                data[at:at] = data[at : at + length]
            case 3:
                data[at:] = chance.choice(seeds)[at:]
    return bytes(data)


def run(name: str, data: bytes) -> None:
    try:
        TARGETS[name].run(data)
    except BaseException as error:
        error.add_note(f"{name}: {data!r}")
        raise


def test_every_target_has_its_name_on_the_command_line() -> None:
    assert set(TARGETS) == set(NAMES)
    assert {path.name for path in CASES.iterdir()} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_well_formed_and_what_once_broke_it(name: str) -> None:
    for data in [*TARGETS[name].seeds(), *kept(name), b""]:
        run(name, data)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_nearly_well_formed(name: str) -> None:
    seeds = [*TARGETS[name].seeds(), *kept(name)]
    chance = random.Random(name)
    for _ in range(FEW.get(name, 300)):
        run(name, mutated(seeds, chance))
