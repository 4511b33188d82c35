"""``valaro listen --separate`` as a user meets it."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from valaro.streamer.app.config.schema import load_config
from valaro.streamer.cli import run
from valaro.streamer.errors import InputError
from valaro.streamer.sources.demo import demo_piece

from ...models.synthetic_bundle import synthetic_bundle
from ..oscdump import TAGS, bundles, oscdump, wait_for

RATE = 24_000
Captured = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "bundle"
    synthetic_bundle().save(path)
    return path


@pytest.fixture(scope="module")
def band(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("music") / "band.wav"
    piece = demo_piece(RATE)
    parts = [piece[k * 16 * RATE : (k * 16 + 1) * RATE + 1000] for k in range(3)]
    soundfile.write(path, np.stack(parts, axis=1), RATE, subtype="FLOAT")
    return path


def config(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_each_channel_goes_out_at_its_own_addresses_and_a_replay_repeats_it(
    band: Path, bundle: Path, tmp_path: Path, capsys: Captured
) -> None:
    shown, contents = tmp_path / "show.jsonl", []
    for command in (
        ["listen", "--file", str(band), "--separate", "--model", str(bundle), "--record", str(shown)],
        ["replay", str(shown), "--speed", "100"],
    ):
        printed = tmp_path / command[0]
        with oscdump(printed) as port:
            assert run([*command, "--osc", f"127.0.0.1:{port}"]) == 0
            wait_for(lambda printed=printed: len(bundles(printed.read_text())) == 6)
        contents.append([content for _, content in bundles(printed.read_text())])
        captured = capsys.readouterr()
        assert [line.split("valence")[0].split() for line in captured.out.splitlines()] == [
            [time, "channel", str(number)] for time in ("0:00.5", "0:01.0") for number in (1, 2, 3)
        ]
        assert "sent 6 emissions" in captured.err
    assert contents[0] == contents[1]
    assert [set(content) for content in contents[0]] == [
        {address.replace("/valaro/", f"/valaro/{number}/") for address in TAGS}
        for _ in range(2)
        for number in (1, 2, 3)
    ]
    records = [json.loads(line) for line in shown.read_text().splitlines()]
    assert [(record["time"], record["channel"]) for record in records] == [
        (t, n) for t in (0.5, 1.0) for n in (1, 2, 3)
    ]
    assert run(["analyze", str(band), "--separate", "--model", str(bundle)]) == 0
    analysed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [record["heatmap"] for record in analysed] == [record["heatmap"] for record in records]


def test_a_config_s_maps_say_which_channel_they_are_of(band: Path, bundle: Path, tmp_path: Path) -> None:
    printed = tmp_path / "printed"
    with oscdump(printed) as port:
        settings = config(
            tmp_path / "show.toml",
            f"""
            separate = true
            [[osc]]
            to = "127.0.0.1:{port}"
            contract = false
            [[osc.map]]
            from = "time"
            in = [0, 100]
            to = "/first"
            [[osc.map]]
            from = "valence"
            to = "/layer/{{channel}}/opacity"
            [[osc.map]]
            from = "arousal"
            to = "/voice"
            channel = 3
            [[osc.map]]
            from = "arousal"
            to = "/nobody"
            channel = 7
            """,
        )
        command = ["listen", "--file", str(band), "--model", str(bundle), "--config", str(settings), "--no-display"]
        assert run(command) == 0
        wait_for(lambda: len(bundles(printed.read_text())) == 6)
    addresses = [sorted(content) for _, content in bundles(printed.read_text())]
    assert addresses == [["/first", "/layer/1/opacity"], ["/layer/2/opacity"], ["/layer/3/opacity", "/voice"]] * 2


def test_a_checkpoint_is_gone_on_from_by_as_many_channels_only(
    band: Path, bundle: Path, tmp_path: Path, capsys: Captured
) -> None:
    listen = ["listen", "--model", str(bundle), "--no-display", "--checkpoint", str(tmp_path / "state"), "--file"]
    assert run([*listen, str(band), "--separate"]) == 0
    assert run([*listen, str(band), "--separate"]) == 0
    assert "going on from the checkpoint" in capsys.readouterr().err
    assert run([*listen, str(band)]) == 0
    assert "of another decoder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--channels", "2,1,2"], "channel 2 is named twice"),
        (["--channels", "0"], "numbers from 1"),
        (["--listener", "ana"], "--listener"),
        (["--midi-in", "knobs"], "--midi-in"),
        (["--lag", "0"], "--lag"),
        (["--replay", "show.jsonl"], "--separate has no say in a replay"),
    ],
)
def test_what_cannot_be_meant_is_one_line(arguments: list[str], message: str, capsys: Captured) -> None:
    assert run(["listen", "--separate", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert captured.err.count("\n") == 1


MAP = '[[osc]]\nto = "127.0.0.1:9000"\n[[osc.map]]\nfrom = "valence"\n'


def test_a_map_for_channels_is_refused_where_there_are_none(band: Path, tmp_path: Path, capsys: Captured) -> None:
    settings = config(tmp_path / "show.toml", f'{MAP}to = "/layer/{{channel}}"\n')
    for command in (["listen", "--file", str(band)], ["demo"]):
        assert run([*command, "--config", str(settings)]) == 2
        captured = capsys.readouterr()
        assert (captured.out, captured.err.count("\n")) == ("", 1)
        assert '"/layer/{channel}"' in captured.err
        assert "--separate" in captured.err


@pytest.mark.parametrize("line", ['to = "/layer/{chanel}"', 'to = "/layer/{channel"', 'to = "/a"\nchannel = 0'])
def test_a_map_s_channel_is_checked(line: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"show\.toml, line [56]: "):
        load_config(config(tmp_path / "show.toml", f"{MAP}{line}\n"))
