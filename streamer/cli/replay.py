"""``valaro replay``: a recorded show sent again, to build the visuals at home without the band."""

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

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
)
from .outputs import Outputs, Wanted, read_config

SLOWEST, FASTEST = 0.1, 1000.0


def replay(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A recording of --record, or what `valaro analyze` wrote as jsonl.")
    ],
    speed: Annotated[
        float, typer.Option(metavar="X", help=f"How many times as fast as the show, {SLOWEST:g} to {FASTEST:g}.")
    ] = 1.0,
    loop: Annotated[bool, typer.Option("--loop", metavar="", help="Begin again after the end, until Ctrl-C.")] = False,
    config: ConfigOption = None,
    osc: OscOption = None,
    osc_messages: PlainOption = False,
    osc_rate: RateOption = None,
    midi: MidiOption = None,
    osc_in: OscInOption = None,
    oscquery: QueryOption = None,
    offset: OffsetOption = None,
    no_display: NoDisplayOption = False,
) -> None:
    """Send a recorded show again, at its own pace, to build the visuals without the band.

    No sound and no audio hardware are needed. /valaro/time is the show's; with --loop it starts again each time.
    """
    from ..errors import InputError

    if not SLOWEST <= speed <= FASTEST:
        raise InputError(f"--speed must be from {SLOWEST:g} to {FASTEST:g}, not {speed:g}")
    wanted = Wanted(
        read_config(config),
        osc=tuple(osc or ()),
        bundle=not osc_messages,
        rate=osc_rate,
        midi=midi,
        osc_in=osc_in,
        oscquery=oscquery,
        offset=offset,
        display=not no_display,
    )
    send_again(file, wanted, speed, loop=loop)


def send_again(path: Path, wanted: Wanted, speed: float = 1.0, *, loop: bool = False) -> None:
    """Play a recording to the outputs until its end or Ctrl-C."""
    from ..app.console import Notices, tell
    from ..core.replay import Replay
    from ..core.session import Counters
    from ..core.signals import stop_on_signals

    if wanted.config is not None:  # what it has the show recorded to is what is played, and not to be overwritten
        wanted = replace(wanted, config=wanted.config.model_copy(update={"record": None}))
    with Notices() as notices, ExitStack() as stack:
        player = Replay(path, speed, loop=loop)
        outputs = Outputs(wanted, notices)
        stack.callback(outputs.close)
        sinks = outputs.open(f"replay of {path}", lambda: player)
        outputs.counters = lambda: Counters(0, 0, 0, 0, emissions=player.sent, sink_faults=0)
        with stop_on_signals(player):
            sent = player.run(sinks)
    lost = outputs.losses()
    tell(f"sent {sent} emissions" + (f", lost {', '.join(lost)}" if lost else ""))
