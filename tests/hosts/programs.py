"""What the tests of real programs share: finding one, running one, emissions to send, and what should arrive."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from valaro.streamer.core.affect import Affect

from ..places import EXAMPLES

HOSTS = EXAMPLES / "hosts"


def need(**packages: str) -> None:
    """Skip where one of the programs is not installed; each is given with its Debian package."""
    absent = [program for program in packages if shutil.which(program) is None]
    if absent:
        names = " ".join(packages[program] for program in absent)
        reason = f"{', '.join(absent)} not installed: apt install --no-install-recommends {names}"
        pytest.skip(reason)


@contextlib.contextmanager
def running(command: list[str], log: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """The program, what it says going into ``log``; ended at the end of the block."""
    home = {"HOME": str(log.parent), "XDG_RUNTIME_DIR": str(log.parent), "QT_QPA_PLATFORM": "offscreen"}
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | home | environment,
        ) as program,
    ):
        try:
            yield program
        finally:
            program.terminate()
            try:
                program.wait(10)
            except subprocess.TimeoutExpired:
                program.kill()


def emission(valence: float, arousal: float, time: float = 0.5) -> Affect:
    """One with its mass around a point of the plane and no two values alike."""
    centres = np.linspace(-10 / 11, 10 / 11, 11)
    distance = (centres - valence) ** 2 + (centres[:, None] - arousal) ** 2
    heatmap = np.exp(-distance / 0.1) + np.random.default_rng(7).uniform(0, 0.01, (11, 11))
    heatmap /= heatmap.sum()
    quadrants = np.array([0.41, 0.13, 0.07, 0.39])
    covariance = np.array([[0.11, 0.02], [0.02, 0.07]])
    return Affect(time, valence, arousal, covariance, heatmap, quadrants, 0.375, 0.625, "music")


def arriving(affect: Affect) -> dict[str, list[float] | str]:
    """The contract, written down a second time: what a receiver of this emission must get at each address."""
    (vv, va), (_, aa) = affect.covariance.tolist()
    return {
        "valence": [(affect.valence + 1) / 2],
        "arousal": [(affect.arousal + 1) / 2],
        "va": [affect.valence, affect.arousal],
        "heatmap": affect.heatmap.ravel().tolist(),
        "gauss": [affect.valence, affect.arousal, vv, va, aa],
        "quadrants": affect.quadrants.tolist(),
        "confidence": [affect.confidence],
        "level": [affect.level],
        "activity": affect.activity,
        "time": [affect.time],
        "clock": [float(int(affect.time)), round(affect.time % 1 * 1e6)],
    }


def same(got: dict[str, list[str]], affect: Affect) -> bool:
    """Whether the words that a program printed for each address are the emission's values, to five digits."""
    wanted = arriving(affect)
    assert sorted(got) == sorted(wanted)
    for address, values in wanted.items():
        if isinstance(values, str):
            assert got[address] == [values]
        else:
            assert [float(word) for word in got[address]] == pytest.approx(values, rel=1e-5), address
    return True
