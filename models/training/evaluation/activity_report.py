"""The figures of ``evaluation.activity`` as tables in Markdown, as the model card has them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ...acoustic.activity import CLASSES
from .activity import Report


def activity_markdown(report: Report) -> str:
    """All tables of a report, a title over each."""
    parts = [
        _by_place("music that was not taken for music, from its first half second on (%)", report["music"], _percent),
        _by_place(
            "talk and noise that were taken for what they are (and for no music), from three seconds on (%)",
            report["others"],
            lambda value: f"{_percent(value['right'])} ({_percent(value['not music'])})",
        ),
        _table(
            "noise of a kind that was never heard in training, taken for no music",
            ["noise", *report["never_heard"]],
            [["", *map(_percent, report["never_heard"].values())]],
        ),
        _table(
            "what was taken for what (music from its first half second on, the others from three seconds on)",
            ["heard", "emissions", *CLASSES],
            [
                [name, str(count), *map(_percent, row)]
                for name, count, row in zip(CLASSES, report["emissions"], report["confusion"], strict=True)
            ],
        ),
        _by_place("right so many seconds after the stream began", report["onset"], _percent, unit=" s"),
        _table(
            "over music: share taken for music / speech / noise, by how much louder than the music (dB)",
            ["over the music", *(f"{ratio:+d}" for ratio in map(int, next(iter(report["mixtures"].values()))))],
            [
                [name, *(" / ".join(map(_percent, shares)) for shares in row.values())]
                for name, row in report["mixtures"].items()
            ],
        ),
        _table(
            "seconds until a change is told (music or none)",
            ["change", "median", "nine in ten", "not within 12 s"],
            [
                [name, _seconds(waits["median"]), _seconds(waits["p90"]), _percent(waits["missed"])]
                for name, waits in report["changes"].items()
            ],
        ),
    ]
    return "\n\n".join(parts)


def _by_place(title: str, rows: Mapping[str, Mapping[str, Any]], shown: Callable[[Any], str], unit: str = "") -> str:
    places = list(dict.fromkeys(place for row in rows.values() for place in row))
    cells = [[name, *(shown(row[place]) if place in row else "–" for place in places)] for name, row in rows.items()]
    return _table(title, ["", *(place + unit for place in places)], cells)


def _table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"**{title}**", "", _line(header), _line(["---", *["---:"] * (len(header) - 1)])]
    return "\n".join([*lines, *map(_line, rows)])


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _percent(share: float) -> str:
    """In percent: three figures of what is not much."""
    return f"{100 * share:.1f}" if share < 0.995 else f"{100 * share:.2f}"


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"
