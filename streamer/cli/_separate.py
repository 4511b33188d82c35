"""``--separate`` of ``valaro listen``: what it excludes, and the engine that it takes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ...models import Bundle
    from ...models.tracker import Policy
    from ..app.config.schema import Config
    from ..core.controls import Controls, Rating
    from ..core.multichannel import MultichannelEngine
    from ..core.protocols import Source
    from .outputs import Wanted


def channels_apart(chosen: Sequence[int] | None, wanted: "Wanted", lag: float | None) -> Sequence[int]:
    """The numbers of the channels; empty for all of the source's.

    Raises InputError for one that is named twice, and for what belongs to a listener's ratings, which are of one
    stream.
    """
    from ..errors import InputError

    twice = [number for number in chosen or () if (chosen or ()).count(number) > 1]
    if twice:
        raise InputError(f"channel {twice[0]} is named twice: it can be tracked separately once")
    config = wanted.config
    listener = wanted.listener if wanted.listener is not None or config is None else config.listener
    knobs = wanted.midi_in or (config is not None and config.midi_in)
    for name, value in (("listener", listener), ("midi-in", knobs), ("lag", lag is not None)):
        if value:
            raise InputError(f"--separate learns from nobody: leave --{name}, or the config's, out")
    return chosen or ()


def refuse_channel_maps(config: "Config") -> None:
    """Raises InputError for a map that never has anything to send, since no channel is tracked separately."""
    from ..errors import InputError

    entry = next((entry for each in config.osc for entry in each.entries if entry.for_channels), None)
    if entry is not None:
        raise InputError(f'the map to "{entry.to}" is for channels that are tracked separately: add --separate')


def engine_apart(
    bundle: "Bundle",
    source: "Source",
    channels: Sequence[int],
    decoder: str,
    controls: "Controls",
    policy: "Policy",
) -> "MultichannelEngine":
    """The engine of the source's channels, by their numbers; ratings are refused meanwhile."""
    from ..core.multichannel import MultichannelEngine

    controls.hear_ratings(_refuse)
    return MultichannelEngine(bundle, source.rate, channels or range(1, source.channels + 1), decoder, policy)


def _refuse(_rating: "Rating") -> None:
    from ..errors import InputError

    raise InputError("ratings have no say while channels are tracked separately")
