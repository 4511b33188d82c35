"""``valaro train`` and ``valaro evaluate``: a model from annotated music, and how good it is."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from .live import ModelOption

DataOption = Annotated[Path, typer.Option("--data", metavar="DIR", help="The folder of annotated music.")]


def train(
    data: DataOption,
    output: Annotated[Path, typer.Option("--output", metavar="BUNDLE", help="Directory for the new model bundle.")],
    seed: Annotated[int, typer.Option(help="Of the random numbers: the same seed gives the same model.")] = 0,
) -> None:
    """Train a model bundle on annotated music. Needs the extra 'train' and, for MIDI, FluidSynth."""
    from ._notices import Notices, compiling_told, tell

    _require_room(output)
    with Notices():
        with compiling_told():
            from ...models.training.train import train as fit
        path = fit(data, output, seed=seed, progress=tell)
    typer.echo(path)


def _require_room(output: Path) -> None:
    """Told before the training, not after its half hour."""
    from ..errors import InputError

    ground = next(folder for folder in (output, *output.absolute().parents) if folder.exists())
    if not ground.is_dir():
        raise InputError(f"--output {output}: {ground} is a file; name a new directory")
    if not os.access(ground, os.W_OK):
        raise InputError(f"--output {output}: {ground} cannot be written to; name a directory elsewhere")


def evaluate(
    data: DataOption,
    model: ModelOption = None,
    as_json: Annotated[
        bool, typer.Option("--json", metavar="", help="JSON on standard output instead of tables.")
    ] = False,
) -> None:
    """Print the accuracy tables: of a fresh model for each fold, or of the given bundle."""
    from rich.console import Console

    from ._notices import Notices, compiling_told, tell

    with Notices():
        with compiling_told():
            from ...models.training.evaluate import evaluate as measure
            from ...models.training.evaluate import tables
        result = measure(data, bundle=model, progress=tell)
    if as_json:
        typer.echo(json.dumps(result, indent=2))
        return
    console = Console()
    for table in tables(result):
        console.print(table)
