"""``valaro demo`` and ``valaro listen``: a source through the engine to the sinks until Ctrl-C."""

from pathlib import Path
from typing import Annotated

import typer

from ._options import (
    CheckpointOption,
    ConfigOption,
    DecoderOption,
    LagOption,
    ListenerOption,
    LogOption,
    MetricsOption,
    MidiInOption,
    MidiOption,
    ModelOption,
    NoDisplayOption,
    OffsetOption,
    OscInOption,
    OscOption,
    PlainOption,
    PolicyOption,
    QueryOption,
    RateOption,
    RecordOption,
    SaveOption,
    SeparateOption,
    SinkOption,
    options_of,
)


def demo(
    seconds: Annotated[float | None, typer.Option(help="End after so much music; without it, at Ctrl-C.")] = None,
    config: ConfigOption = None,
    osc: OscOption = None,
    osc_messages: PlainOption = False,
    osc_rate: RateOption = None,
    midi: MidiOption = None,
    midi_in: MidiInOption = None,
    osc_in: OscInOption = None,
    oscquery: QueryOption = None,
    sink: SinkOption = None,
    offset: OffsetOption = None,
    listener: ListenerOption = None,
    lag: LagOption = None,
    record: RecordOption = None,
    save_audio: SaveOption = None,
    model: ModelOption = None,
    decoder: DecoderOption = None,
    policy: PolicyOption = None,
    no_display: NoDisplayOption = False,
) -> int:
    """Play the built-in four-mood piece through the whole chain: no hardware needed.

    The sound is not played aloud: the live heatmap shows what is heard, and --save-audio keeps it.
    OSC goes to 127.0.0.1:9000 unless --osc or --config says otherwise.
    """
    options = options_of(locals())
    from ..app.application import finished, run
    from ..app.merge import merge

    return finished(run(merge(options, demo=True)))


def listen(
    device: Annotated[
        str | None,
        typer.Option(metavar="NAME|INDEX", help="Audio input (see `valaro devices`); the system's default otherwise."),
    ] = None,
    channels: Annotated[
        str | None, typer.Option(metavar="1,2", help="Which channels of the input, counted from 1; all otherwise.")
    ] = None,
    separate: SeparateOption = False,
    file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Hear a sound file instead, paced as live, to its end.")
    ] = None,
    source: Annotated[
        str | None, typer.Option(metavar="NAME", help="Hear what a plugin brings instead; see `valaro plugins`.")
    ] = None,
    replay: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Send a recording of --record again, at its own pace, instead of listening."),
    ] = None,
    config: ConfigOption = None,
    osc: OscOption = None,
    osc_messages: PlainOption = False,
    osc_rate: RateOption = None,
    midi: MidiOption = None,
    midi_in: MidiInOption = None,
    osc_in: OscInOption = None,
    oscquery: QueryOption = None,
    sink: SinkOption = None,
    offset: OffsetOption = None,
    listener: ListenerOption = None,
    lag: LagOption = None,
    record: RecordOption = None,
    save_audio: SaveOption = None,
    model: ModelOption = None,
    decoder: DecoderOption = None,
    policy: PolicyOption = None,
    checkpoint: CheckpointOption = None,
    metrics: MetricsOption = None,
    log: LogOption = None,
    no_display: NoDisplayOption = False,
) -> int:
    """Track live music until Ctrl-C.

    In a terminal the live heatmap is shown; without one (a pipe, a log) each emission is a line of text.
    What an option leaves open, the config file says; --osc adds to the file's destinations.
    """
    options = options_of(locals())
    from ..app.application import finished, run
    from ..app.console import set_notice_format
    from ..app.merge import merge

    set_notice_format(log or "text")  # faults of the config are reported in this format too
    settings = merge(options)
    set_notice_format(settings.log)
    return finished(run(settings))
