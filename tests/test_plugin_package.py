"""The package of examples/plugins, built, and installed as a wheel beside Valaro's wheel in a fresh environment."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from .places import EXAMPLES
from .wheels import build_wheel, fresh_environment

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]  # its kernels are compiled once, in a place of their own


@pytest.fixture(scope="module")
def programs(wheel_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("example")
    shutil.copytree(EXAMPLES / "plugins" / "example", folder / "example")
    return fresh_environment(folder / "fresh", wheel_path, build_wheel(folder / "example"))


def run(programs: Path, folder: Path, *words: str, code: int = 0) -> str:
    """What a command prints, on both streams; it has to end with ``code``."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [programs / words[0], *words[1:]],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == code, done.stdout
    return done.stdout


def with_brightness(programs: Path, bundle: Path) -> None:
    """Write a bundle that holds the example's decoder beside those of the default one."""
    default = "import valaro.models.bundle as b; print(b.default_path())"
    path = run(programs, bundle.parent, "python", "-c", default).strip()
    run(programs, bundle.parent, "python", "-m", "valaro_example.brightness", path, str(bundle))


def test_all_three_are_listed_and_load(programs: Path, tmp_path: Path) -> None:
    shown = run(programs, tmp_path, "valaro", "plugins", "--load")
    rows = {tuple(line.split()[:3]): line.split()[-1] for line in shown.splitlines()}
    for kind, name in (("sink", "lamp"), ("source", "tone"), ("decoder", "brightness")):
        assert rows[kind, name, "valaro-example"] == "loads"


def test_the_sink_is_sent_to(programs: Path, tmp_path: Path) -> None:
    shown = run(programs, tmp_path, "valaro", "demo", "--seconds", "4", "--no-display", "--lamp", "lamp.txt")
    assert "lost nothing" in shown
    assert re.match(r"0\.5 s: (gold|red|blue|green)\n", (tmp_path / "lamp.txt").read_text())


def test_the_source_is_heard_as_its_table_says(programs: Path, tmp_path: Path) -> None:
    (tmp_path / "show.toml").write_text(
        'source = "tone"\n[sources.tone]\npitch = 220.0\nseconds = 2.0\n[sinks.lamp]\npath = "lamp.txt"\n'
    )
    heard = ("--save-audio", "heard.wav", "--no-display", "--config", "show.toml")
    assert "heard 2.0 s" in run(programs, tmp_path, "valaro", "listen", *heard)
    import numpy as np
    import soundfile

    samples, rate = soundfile.read(tmp_path / "heard.wav")
    assert np.abs(np.fft.rfft(samples)).argmax() * rate / len(samples) == pytest.approx(220.0, abs=1.0)
    assert (tmp_path / "lamp.txt").exists()


def test_the_decoder_hears_alone_and_in_the_fusion(programs: Path, tmp_path: Path) -> None:
    with_brightness(programs, tmp_path / "new")
    piece = ("--seconds", "2", "--no-display", "--model", "new")
    for decoder in ("brightness", "fusion"):
        recording = f"{decoder}.jsonl"
        shown = run(programs, tmp_path, "valaro", "demo", *piece, "--decoder", decoder, "--record", recording)
        assert "sent 4 emissions, lost nothing" in shown
        assert len((tmp_path / recording).read_text().splitlines()) == 4


def test_without_its_package_the_bundle_is_heard_by_the_rest(programs: Path, wheel_path: Path, tmp_path: Path) -> None:
    with_brightness(programs, tmp_path / "new")
    bare = fresh_environment(tmp_path / "bare", wheel_path)
    shown = run(bare, tmp_path, "valaro", "demo", "--seconds", "1", "--no-display", "--model", "new", code=3)
    assert shown.count("the decoder brightness is left out, and its weight goes to the others") == 1
    assert "lost 1 decoders that could not be had" in shown
