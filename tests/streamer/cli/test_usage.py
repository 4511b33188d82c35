"""Words that make no command line: the line says what is wanted."""

import pytest
from valaro.streamer.cli import run


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["listen", "--midi"], "--midi needs a value: the name of a port, as `valaro devices` lists them, or virtual"),
        (["listen", "--device"], "--device needs a value: a name or a number, as `valaro devices` lists them"),
        (["demo", "--osc"], "--osc needs a value: HOST:PORT, such as 127.0.0.1:9000"),
        (["listen", "--record"], "--record needs a value: FILE"),
        (["demo", "--seconds", "0,5"], "--seconds: "),
        (["analyze", "--format", "xls", "a"], "--format: 'xls' is not one of 'jsonl', 'csv', 'npz' (a spreadsheet "),
        (["listen", "--lamp"], "No such option: --lamp"),
        (["listeners", "show"], "Missing argument 'NAME'"),
        (["demo", "--policy", "dance"], "--policy 'dance': choose drift, hold or pass"),
        (["listen", "a\0b"], "an argument holds a null byte"),
    ],
)
def test_what_is_wanted_is_told(words: list[str], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"valaro: {line}")
    assert captured.err.count("\n") == 1
    if "see `valaro" in captured.err:
        names = words[:2] if words[0] == "listeners" else words[:1]
        assert f": see `valaro {' '.join(names)} --help`" in captured.err
