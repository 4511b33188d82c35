"""``valaro replay``: a recorded show sent again, to build the visuals at home without the band."""

from pathlib import Path
from typing import Annotated

import typer

from ..app.merge import FASTEST_REPLAY, SLOWEST_REPLAY
from ._options import (
    ConfigOption,
    MidiOption,
    NoDisplayOption,
    OffsetOption,
    OscInOption,
    OscOption,
    PlainOption,
    QueryOption,
    RateOption,
    SinkOption,
    options_of,
)


def replay(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A recording of --record, or what `valaro analyze` wrote as jsonl.")
    ],
    speed: Annotated[
        float,
        typer.Option(
            metavar="X", help=f"How many times as fast as the show, {SLOWEST_REPLAY:g} to {FASTEST_REPLAY:g}."
        ),
    ] = 1.0,
    loop: Annotated[bool, typer.Option("--loop", metavar="", help="Begin again after the end, until Ctrl-C.")] = False,
    config: ConfigOption = None,
    osc: OscOption = None,
    osc_messages: PlainOption = False,
    osc_rate: RateOption = None,
    midi: MidiOption = None,
    osc_in: OscInOption = None,
    oscquery: QueryOption = None,
    sink: SinkOption = None,
    offset: OffsetOption = None,
    no_display: NoDisplayOption = False,
) -> int:
    """Send a recorded show again, at its own pace, to build the visuals without the band.

    No sound and no audio hardware are needed. /valaro/time is the show's; with --loop it starts again each time.
    """
    arguments = locals()
    options = options_of(arguments | {"replay": arguments.pop("file")})
    from ..app.application import finished, run
    from ..app.merge import merge

    return finished(run(merge(options)))
