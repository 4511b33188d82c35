"""``valaro rate`` and ``valaro listeners`` as a user meets them."""

import io
import json
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from pythonosc.osc_message_builder import OscMessageBuilder
from valaro.models import load_bundle
from valaro.streamer.cli import run
from valaro.streamer.core.engine import Engine
from valaro.streamer.listeners.evidence import theta_digest
from valaro.streamer.listeners.schema import default_path
from valaro.streamer.listeners.store import Listeners
from valaro.streamer.sources.demo import demo_piece

from ...models.synthetic_bundle import synthetic_bundle
from ..oscdump import free_port, wait_for
from ..ratings import added, exported, values

RATE = 44_100
LENGTH = 6 * RATE + 20_000  # frames

Captured = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("model") / "bundle"
    synthetic_bundle().save(path)
    return str(path)


@pytest.fixture(scope="module")
def song(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("music") / "song.wav"
    soundfile.write(path, demo_piece(RATE)[:LENGTH], RATE, subtype="FLOAT")
    return str(path)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data directory of the test's own, and where its files go."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("HOME", str(tmp_path / "data"))  # macOS
    monkeypatch.setenv("COLUMNS", "100")
    assert default_path().is_relative_to(tmp_path)
    return tmp_path


def one_line(text: str) -> str:
    assert text.startswith("valaro: ")
    assert text.count("\n") == 1
    return text


def message(address: str, *values: float) -> bytes:
    builder = OscMessageBuilder(address)
    for value in values:
        builder.add_arg(value)
    return builder.build().dgram


def rating(song: str, bundle: str, at: str = "4.3", valence: str = "-0.5", name: str = "ana") -> list[str]:
    options = ["--at", at, "--valence", valence, "--arousal", "0.25", "--listener", name]
    return ["rate", song, *options, "--model", bundle]


def test_a_rating_is_kept_with_what_the_engine_heard_at_that_moment(song: str, bundle: str, capsys: Captured) -> None:
    assert run(rating(song, bundle)) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert captured.out.startswith("ana: valence -0.50, arousal +0.25 at 4 s of song.wav, where Valaro hears ")
    assert captured.out.endswith("; 1 rating by now\n")
    with Listeners() as store:
        [rated] = store.ratings("ana")
    model = load_bundle(bundle)
    engine = Engine(model, RATE)
    live = engine.push(demo_piece(RATE)[:LENGTH].astype(np.float32))
    assert (rated.valence, rated.arousal, rated.time, rated.source) == (-0.5, 0.25, 4.0, "cli")
    np.testing.assert_allclose(rated.evidence.heatmap, live[7].heatmap.ravel(), rtol=1e-5)
    # Of the plain decoder the heatmap is theta's: so it was taken at the same moment.
    np.testing.assert_allclose(
        model.affective.heatmap(rated.evidence.theta.astype(float)), live[7].heatmap.ravel(), atol=1e-6
    )
    assert rated.evidence.bundle == theta_digest(model)
    assert rated.evidence.textures.shape == (4, 163)


@pytest.mark.long
def test_a_session_that_is_killed_has_kept_what_was_rated_and_the_next_is_hers(
    home: Path, song: str, bundle: str, capsys: Captured
) -> None:
    hers = ["--listener", "ana", "--model", bundle]

    def analyzed(options: list[str]) -> list[dict]:
        assert run(["analyze", song, *options]) == 0
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    everybodys = analyzed(hers[2:])
    long, port = home / "long.wav", free_port()
    soundfile.write(long, np.tile(demo_piece(RATE)[: 20 * RATE], 15), RATE)  # more than a busy machine needs
    command = [sys.executable, "-m", "valaro.streamer", "listen", "--no-display", *hers]
    with Listeners() as store, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:

        def three_are_kept() -> bool:
            sender.sendto(message("/valaro/rate", -0.9, -0.9), ("127.0.0.1", port))
            return store.count("ana") >= 3

        killed = subprocess.Popen([*command, "--file", str(long), "--osc-in", str(port)], stderr=subprocess.DEVNULL)
        try:
            wait_for(lambda: three_are_kept() or killed.poll() is not None)
        finally:
            killed.kill()
            killed.wait()
        count = store.count("ana")
    assert count >= 3

    record = home / "next.jsonl"
    done = subprocess.run(
        [*command, "--file", song, "--record", str(record)], capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr
    assert f"listener ana: {count} ratings" in done.stderr
    live = [json.loads(line) for line in record.read_text().splitlines()]
    assert len(live) == len(everybodys) == 12
    for own, again in zip(live, analyzed(hers), strict=True):
        np.testing.assert_allclose(own["heatmap"], again["heatmap"], atol=1e-6)
    for axis in ("valence", "arousal"):
        assert live[-1][axis] < everybodys[-1][axis] - 0.1


def test_the_last_emission_of_a_file_can_be_rated(song: str, bundle: str) -> None:
    assert run(rating(song, bundle, at=str(LENGTH / RATE))) == 0
    with Listeners() as store:
        assert [rated.time for rated in store.ratings("ana")] == [6.0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"at": "7"}, "ends at 6.45 s: --at must lie before"),
        ({"at": "0.3"}, "nothing was heard yet at 0.3 s"),
        ({"at": "-1"}, "--at must be a time from 0 s on"),
        ({"at": "nan"}, "--at must be a time from 0 s on"),
        ({"at": "inf"}, "--at must be a time from 0 s on"),
        ({"at": "soon"}, "--at"),
        ({"valence": "1.5"}, "--valence must be from -1 to 1, not 1.5"),
        ({"valence": "nan"}, "--valence must be from -1 to 1"),
        ({"name": ""}, "name"),
        ({"name": "x" * 10_000}, "at most 64 printable characters"),
        ({"name": "a\nb"}, "printable"),
    ],
)
def test_no_such_rating_is_taken(
    song: str, bundle: str, change: dict[str, str], message: str, capsys: Captured
) -> None:
    assert run(rating(song, bundle, **change)) == 2
    captured = capsys.readouterr()
    assert message in one_line(captured.err)
    assert captured.out == ""
    with Listeners() as store:
        assert store.names() == {}


@pytest.mark.parametrize("missing", ["--at", "--valence", "--arousal", "--listener"])
def test_nothing_of_a_rating_is_guessed(song: str, bundle: str, missing: str, capsys: Captured) -> None:
    arguments = rating(song, bundle)
    where = arguments.index(missing)
    assert run(arguments[:where] + arguments[where + 2 :]) == 2
    assert missing in one_line(capsys.readouterr().err)


def test_silence_cannot_be_rated(home: Path, bundle: str, capsys: Captured) -> None:
    soundfile.write(home / "quiet.wav", np.zeros(4 * RATE), RATE)
    assert run(rating(str(home / "quiet.wav"), bundle, at="3")) == 2
    assert "nothing was heard yet at 3 s" in one_line(capsys.readouterr().err)


def test_a_file_that_is_none_is_one_line(home: Path, bundle: str, capsys: Captured) -> None:
    assert run(rating(str(home / "no.wav"), bundle)) == 2
    assert "there is no such file" in one_line(capsys.readouterr().err)


def test_list_names_everyone(capsys: Captured) -> None:
    assert run(["listeners", "list"]) == 0
    assert "nobody has rated anything yet" in capsys.readouterr().out
    with Listeners() as store:
        added(store, "bo")
        added(store, "Zoë")
        added(store, "bo")
    assert run(["listeners", "list"]) == 0
    assert capsys.readouterr().out.splitlines() == ["Zoë  1 rating", "bo   2 ratings"]


def test_show_says_what_is_known(capsys: Captured) -> None:
    with Listeners() as store:
        for value in (0.5, 0.25, -1.0):
            last = added(store, "[red]ana", value)
        store.undo(last)
        [first, *_] = store.ratings("[red]ana")
    assert run(["listeners", "show", "[red]ana"]) == 0
    text = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for text_part in (
        *("[red]ana", "ratings 2", "taken back 1", "by way of osc 2", "valence +0.38, arousal -0.25"),
        *(f"first {first.at:%Y-%m-%d}", "where Valaro heard"),
    ):
        assert text_part in text


def test_the_newest_rating_is_taken_back_and_then_the_one_before_it(capsys: Captured) -> None:
    with Listeners() as store:
        for value in (0.5, 0.25):
            added(store, "ana", value)
        added(store, "bo", -1.0)
    for left, shown in (([0.5], "+0.25"), ([], "+0.50")):
        assert run(["listeners", "undo", "ana"]) == 0
        assert f"taken back: ana's valence {shown}" in capsys.readouterr().out
        with Listeners() as store:
            assert values(store, "ana") == left
    assert run(["listeners", "undo", "ana"]) == 2
    assert "ana has no rating left to take back" in one_line(capsys.readouterr().err)
    with Listeners() as store:
        assert values(store, "bo") == [-1.0]


@pytest.mark.parametrize("command", ["show", "export", "undo", "forget --yes"])
def test_who_never_rated_is_one_line(command: str, capsys: Captured) -> None:
    assert run(["listeners", *command.split(), "nobody"]) == 2
    captured = capsys.readouterr()
    assert "there is no listener nobody: `valaro listeners list` has the names" in one_line(captured.err)
    assert captured.out == ""


@pytest.mark.parametrize(("answer", "left"), [("n\n", 2), ("", 2), ("y\n", 1)])
def test_forgetting_is_asked_about(answer: str, left: int, monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    with Listeners() as store:
        added(store, "ana")
        added(store, "bo")
    monkeypatch.setattr(sys, "stdin", io.StringIO(answer))
    assert run(["listeners", "forget", "ana"]) == left - 1
    assert "Delete all that ana ever rated" in capsys.readouterr().out
    with Listeners() as store:
        assert len(store.names()) == left


def test_forgetting_for_good(capsys: Captured) -> None:
    with Listeners() as store:
        added(store, "ana")
    damaged = default_path().with_name(f"{default_path().name}.damaged-2024")
    damaged.touch()
    assert run(["listeners", "forget", "ana", "--yes"]) == 0
    captured = capsys.readouterr()
    assert captured.out == "ana is forgotten: 1 rating deleted\n"
    assert str(damaged) in one_line(captured.err)
    assert b"ana" not in default_path().read_bytes()


def test_ratings_that_cannot_be_read_can_be_forgotten(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    with Listeners() as store:
        added(store, "ana")
    with sqlite3.connect(default_path()) as other:
        other.execute("UPDATE rating SET theta = x'00'")
    other.close()
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    assert run(["listeners", "forget", "ana"]) == 0
    assert "ana is forgotten: 1 rating deleted" in capsys.readouterr().out
    with Listeners() as store:
        assert store.names() == {}


def test_a_new_listener_begins_like_another(capsys: Captured) -> None:
    with Listeners() as store:
        for value in (0.5, 0.25):
            added(store, "ana", value)
    assert run(["listeners", "like", "ana", "bo"]) == 0
    assert capsys.readouterr().out == "bo is like ana: 2 ratings copied\n"
    assert run(["listeners", "like", "ana", "bo"]) == 2
    assert "bo has rated already" in one_line(capsys.readouterr().err)
    assert run(["listeners", "like", "ana", "bo", "--add"]) == 0
    assert capsys.readouterr().out == "bo is like ana: 0 ratings copied\n"
    assert run(["listeners", "like", "nobody", "cy"]) == 2
    assert "there is no listener nobody" in one_line(capsys.readouterr().err)
    assert run(["listeners", "like", "ana"]) == 2
    assert "NAME" in one_line(capsys.readouterr().err)
    with Listeners() as store:
        assert values(store, "bo") == [0.5, 0.25]


def test_who_is_forgotten_may_live_on_in_others_and_that_is_said(capsys: Captured) -> None:
    with Listeners() as store:
        added(store, "ana")
        store.like("ana", "bo")
    assert run(["listeners", "forget", "ana", "--yes"]) == 0
    assert "copies of these ratings stay with bo: forget them too" in one_line(capsys.readouterr().err)
    assert run(["listeners", "forget", "bo", "--yes"]) == 0
    assert capsys.readouterr().err == ""


def test_export_and_import_take_a_listener_along(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    with Listeners() as store:
        added(store, "Zoë", 1 / 3)
    assert run(["listeners", "export", "Zoë"]) == 0
    printed = capsys.readouterr().out
    file = home / "zoë.json"
    assert run(["listeners", "export", "Zoë", "--output", str(file)]) == 0
    assert file.read_text(encoding="utf-8") == printed
    assert capsys.readouterr().out == ""
    monkeypatch.setenv("XDG_DATA_HOME", str(home / "elsewhere"))
    monkeypatch.setenv("HOME", str(home / "elsewhere"))
    assert run(["listeners", "import", str(file)]) == 0
    assert run(["listeners", "import", str(file)]) == 0
    assert capsys.readouterr().out == "Zoë: 1 rating added\nZoë: 0 ratings added\n"
    with Listeners() as store:
        assert values(store, "Zoë") == [1 / 3]


def test_an_export_spares_what_is_there(home: Path, capsys: Captured) -> None:
    with Listeners() as store:
        added(store)
    file = home / "ana.json"
    file.write_text("dear diary")
    assert run(["listeners", "export", "ana", "-o", str(file)]) == 2
    assert "exists already" in one_line(capsys.readouterr().err)
    assert file.read_text() == "dear diary"
    assert run(["listeners", "export", "ana", "-o", str(home / "no" / "ana.json")]) == 1
    assert "cannot be written: no such file or directory" in one_line(capsys.readouterr().err)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"dear diary",
        b"\xff\xfe",
        b"[" * 100_000,
        b"1" * 10_000,
        b"{}",
        json.dumps(exported(1) | {"listener": "a\nb"}).encode(),
        json.dumps(exported(1)).replace('"time": 3.5', '"time": 1e400').encode(),
        json.dumps(exported(1)).replace('"time": 3.5', '"time": NaN').encode(),
    ],
)
def test_what_is_no_export_is_one_line(home: Path, content: bytes, capsys: Captured) -> None:
    file = home / "ana.json"
    file.write_bytes(content)
    assert run(["listeners", "import", str(file)]) == 2
    captured = capsys.readouterr()
    assert str(file) in one_line(captured.err)
    assert captured.out == ""
    assert run(["listeners", "import", str(home)]) == 2
    assert run(["listeners", "import", str(home / "no.json")]) == 2
    assert "no such file" in capsys.readouterr().err
    with Listeners() as store:
        assert store.names() == {}


def test_a_damaged_store_is_said_in_one_line_and_rating_goes_on(song: str, bundle: str, capsys: Captured) -> None:
    default_path().parent.mkdir(parents=True)
    default_path().write_text("dear diary, " * 100)
    assert run(rating(song, bundle)) == 0
    captured = capsys.readouterr()
    assert "is damaged: kept as valaro.sqlite3.damaged-" in one_line(captured.err)
    assert "1 rating by now" in captured.out


def test_a_store_that_cannot_be_is_one_line(home: Path, capsys: Captured) -> None:
    (home / "data").write_text("no folder")
    assert run(["listeners", "list"]) == 1
    assert "cannot be used" in one_line(capsys.readouterr().err)


def test_what_was_lost_is_restored_from_the_backup_or_a_file(home: Path, capsys: Captured) -> None:
    assert run(["listeners", "restore"]) == 2
    assert "there is no backup" in one_line(capsys.readouterr().err)
    with Listeners() as store:
        for value in (0.5, 0.25):
            added(store, "ana", value)
    assert run(["listeners", "list"]) == 0  # a command makes the first backup
    default_path().unlink()
    capsys.readouterr()
    assert run(["listeners", "restore"]) == 0
    assert capsys.readouterr().out == "2 ratings added\n"
    with Listeners(home / "other.sqlite3") as other:
        added(other, "bo")
    assert run(["listeners", "restore", str(home / "other.sqlite3")]) == 0
    assert capsys.readouterr().out == "1 rating added\n"
    with Listeners() as store:
        assert store.names() == {"ana": 2, "bo": 1}
    assert run(["listeners", "restore"]) == 0
    assert capsys.readouterr().out == "0 ratings added; 2 ratings there already\n"


def test_what_there_is_no_room_for_is_said_and_is_a_loss(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    with Listeners() as store:
        for _ in range(3):
            added(store)
    assert run(["listeners", "list"]) == 0
    default_path().unlink()
    capsys.readouterr()
    monkeypatch.setattr("valaro.streamer.listeners.store.MOST_RATINGS", 2)
    assert run(["listeners", "restore"]) == 3
    captured = capsys.readouterr()
    assert captured.out == "2 ratings added\n"
    assert "1 rating left out" in one_line(captured.err)


def test_a_rating_that_cannot_be_stored_after_all_breaks_off(
    song: str, bundle: str, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setattr("valaro.streamer.listeners.store.MOST_BYTES", 0)
    assert run(rating(song, bundle)) == 1
    captured = capsys.readouterr()
    assert "the most that are kept" in one_line(captured.err)
    assert captured.out == ""
