"""``valaro rate``: one rating of a moment of a file."""

from pathlib import Path
from typing import Annotated

import typer

from .._util.stderr import libraries_silenced
from ..app.settings import DEFAULT_DECODER
from ..listeners.file_rating import evidence_at
from ._options import DecoderOption, ModelOption
from .listeners import opened, rating_count


def rate(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The sound file that was heard.")],
    at: Annotated[float, typer.Option("--at", metavar="SECONDS", help="The moment that the rating is of.")],
    valence: Annotated[float, typer.Option(help="From -1, unpleasant, to 1, pleasant.")],
    arousal: Annotated[float, typer.Option(help="From -1, calm, to 1, excited.")],
    listener: Annotated[str, typer.Option(metavar="NAME", help="Whose rating it is.")],
    model: ModelOption = None,
    decoder: DecoderOption = None,
) -> None:
    """Keep what a listener says a moment of a sound file feels like: Valaro learns it for this listener."""
    from ..app.console import Notices, compiling_told
    from ..errors import InputError

    for name, value in (("valence", valence), ("arousal", arousal)):
        if not -1.0 <= value <= 1.0:  # NaN is not
            raise InputError(f"--{name} must be from -1 to 1, not {value:g}")
    if not 0.0 <= at < float("inf"):
        raise InputError(f"--at must be a time from 0 s on, not {at:g}")
    with libraries_silenced(), Notices(), opened() as store:
        # An invalid name or a store that cannot be opened is reported before the file is analysed.
        count = store.count(listener)
        with compiling_told():
            from ...models import load_bundle
        affect, evidence = evidence_at(file, at, load_bundle(model), decoder or DEFAULT_DECODER)
        store.add(listener, valence, arousal, evidence, time=affect.time, source="cli")
    typer.echo(
        f"{listener}: valence {valence:+.2f}, arousal {arousal:+.2f} at {affect.time:g} s of {file.name}, "
        f"where Valaro hears {affect.valence:+.2f}, {affect.arousal:+.2f}; {rating_count(count + 1)} by now"
    )
