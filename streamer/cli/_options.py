"""Options that several commands share, those that plugins add, and how arguments become settings."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from ..app.settings import OPTION_NAMES, Options

SaveOption = Annotated[
    Path | None,
    typer.Option(
        "--save-audio", metavar="FILE", help="Write what was heard to a new sound file: .wav exactly; .flac, .ogg ..."
    ),
]
ModelOption = Annotated[
    Path | None, typer.Option("--model", metavar="BUNDLE", help="Use this model bundle instead of the built-in one.")
]
DecoderOption = Annotated[
    str | None,
    typer.Option("--decoder", metavar="NAME", help="Whose heatmap: aeg, crf, lstm, or the fusion of them (default)."),
]
PolicyOption = Annotated[
    str | None,
    typer.Option(
        "--policy",
        metavar="drift|hold|pass",
        help="What talk and noise do: let the heatmap drift to neutral (default), hold it, or be heard as music is.",
    ),
]


ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Settings and maps in TOML; see `valaro presets list`."),
]
OscOption = Annotated[
    list[str] | None,
    typer.Option(
        "--osc", metavar="[HOST:]PORT", help="Send OSC there; may be given several times. IPv6: \\[::1]:9000."
    ),
]
PlainOption = Annotated[
    bool, typer.Option("--osc-messages", metavar="", help="Plain OSC messages, for receivers that mishandle bundles.")
]
RateOption = Annotated[
    float | None,
    typer.Option(
        "--osc-rate", metavar="HZ", help="Interpolated output, 1 to 120 times a second; half a second later than else."
    ),
]
MidiOption = Annotated[
    str | None,
    typer.Option("--midi", metavar="PORT", help="Send MIDI to this port, or `virtual` for one of Valaro's own."),
]
MidiInOption = Annotated[
    str | None,
    typer.Option(
        "--midi-in", metavar="PORT", help="Take ratings from two knobs on this port (CC 102, 103), or `virtual`."
    ),
]
OscInOption = Annotated[
    str | None,
    typer.Option("--osc-in", metavar="[HOST:]PORT", help="Take ratings, pause and offset over OSC; 0.0.0.0: from all."),
]
QueryOption = Annotated[
    int | None,
    typer.Option(
        "--oscquery", metavar="PORT", help="Serve OSCQuery and /live for browsers, and announce it; 0: any free port."
    ),
]
OffsetOption = Annotated[
    float | None, typer.Option(metavar="SECONDS", help="Send everything so much later, to meet a delayed video.")
]
ListenerOption = Annotated[
    str | None,
    typer.Option("--listener", metavar="NAME[,NAME]", help="Who is in the room: the heatmap is theirs, as they rated."),
]
LagOption = Annotated[
    float | None,
    typer.Option("--lag", metavar="SECONDS", help="How long after the music its rating comes, 0 to 20; 2 by default."),
]
RecordOption = Annotated[
    Path | None, typer.Option("--record", metavar="FILE", help="Write all that goes out to a new file, as JSON lines.")
]
NoDisplayOption = Annotated[bool, typer.Option("--no-display", metavar="", help="Show nothing.")]


CheckpointOption = Annotated[
    Path | None,
    typer.Option(
        "--checkpoint", metavar="FILE", help="Keep there what was heard; a restart within a minute goes on from it."
    ),
]
MetricsOption = Annotated[
    str | None,
    typer.Option("--metrics", metavar="TARGET", help="Numbers for Prometheus: \\[HOST:]PORT, or a file *.prom."),
]
LogOption = Annotated[
    str | None, typer.Option("--log", metavar="text|json", help="What the lines on stderr are; text by default.")
]


SeparateOption = Annotated[
    bool,
    typer.Option("--separate", metavar="", help="Track each channel by itself: addresses /valaro/N/..., N from 1."),
]
SinkOption = Annotated[
    list[str] | None,
    typer.Option("--sink", metavar="NAME[=VALUE]", help="Send to what a plugin brings, too; see `valaro plugins`."),
]


TAKING_SINKS = ("demo", "listen", "replay")

# typer brings its own copy of click or uses the installed one, by version: either way this is its UsageError.
UsageError: Any = typer.BadParameter.__bases__[0]


def options_of(arguments: Mapping[str, Any]) -> Options:
    """What a command was asked for.

    Parameters
    ----------
    arguments : the command's ``locals()`` as it begins.
    """
    return Options(**{name: value for name, value in arguments.items() if name in OPTION_NAMES})


def with_plugin_options(arguments: Sequence[str]) -> list[str]:
    """A command line with ``--NAME VALUE`` of plugins' sinks, and ``--NAME=VALUE``, as ``--sink NAME=VALUE``.

    None of the plugins is imported. An option that a command has itself is never a plugin's, and neither is one that
    has no value after it: those stay as they are.
    """
    words = list(arguments)
    options = [word for word in words if word.startswith("--")]
    if not words or words[0] not in TAKING_SINKS or not options:
        return words
    from ..app.plugins import SINKS, by_name

    names = {plugin.name for plugin in by_name(SINKS)} - {name.replace("_", "-") for name in OPTION_NAMES}
    rewritten: list[str] = []
    while words:
        word = words.pop(0)
        name, equals, value = word.removeprefix("--").partition("=")
        if word == "--":
            return [*rewritten, word, *words]
        if word.startswith("--") and name in names and (equals or words):
            rewritten += ["--sink", f"{name}={value if equals else words.pop(0)}"]
        else:
            rewritten.append(word)
    return rewritten
