"""``valaro train`` and ``valaro evaluate``: a model from annotated music, and how good it is."""

import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from ._options import ModelOption

DataOption = Annotated[Path, typer.Option("--data", metavar="DIR", help="The folder of annotated music.")]


def train(
    data: DataOption,
    output: Annotated[Path, typer.Option("--output", metavar="BUNDLE", help="Directory for the new model bundle.")],
    seed: Annotated[int, typer.Option(help="Of the random numbers: the same seed gives the same model.")] = 0,
) -> None:
    """Train a model bundle on annotated music. Needs the extra 'train' and, for MIDI, FluidSynth."""
    from ..app.console import Notices, compiling_told, notify

    _require_room(output)
    with Notices():
        with compiling_told():
            from ...models.training.train import train as fit
        path = fit(data, output, seed=seed, progress=notify)
    typer.echo(path)


def _require_room(output: Path) -> None:
    """Raise InputError where ``output`` cannot be created, before the training and not after its half hour."""
    from ..errors import InputError

    ground = next(folder for folder in (output, *output.absolute().parents) if folder.exists())
    if not ground.is_dir():
        raise InputError(f"--output {output}: {ground} is a file; name a new directory")
    try:
        # A trial, since root has the permission to write even where nothing can be created.
        TemporaryDirectory(dir=ground).cleanup()
    except OSError as error:
        raise InputError(f"--output {output}: {ground} cannot be written to; name a directory elsewhere") from error


def evaluate(
    data: DataOption,
    model: ModelOption = None,
    as_json: Annotated[
        bool, typer.Option("--json", metavar="", help="JSON on standard output instead of tables.")
    ] = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", metavar="", help="Tables in Markdown, as the model card has them.")
    ] = False,
    robust: Annotated[
        bool, typer.Option("--robust/--clean", help="Also with noise, in a room, over a phone, at another gain.")
    ] = True,
    curve: Annotated[
        bool, typer.Option("--components", metavar="", help="Only the likelihood over the number of components.")
    ] = False,
    personal: Annotated[
        bool, typer.Option("--personal", metavar="", help="Only what adaptation to a listener is worth, by ratings.")
    ] = False,
    activity: Annotated[
        bool, typer.Option("--activity", metavar="", help="Only how well music is told from speech and noise.")
    ] = False,
    diagram: Annotated[
        Path | None, typer.Option("--diagram", metavar="PNG", help="Draw the reliability. Needs the extra 'plot'.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the random numbers: the same seed gives the same figures.")] = 0,
) -> None:
    """Print the accuracy tables: of a fresh model for each fold, or of the given bundle.

    What was learnt for the folds is kept in the cache: the first run takes hours, the next half of one.
    """
    from rich.console import Console

    from ..app.console import Notices, compiling_told, notify
    from ..errors import InputError

    if as_json and markdown:
        raise InputError("--json and --markdown exclude each other: choose one")
    if curve and model is not None:
        raise InputError("--components compares mixtures that it fits itself: leave --model out")
    if curve and diagram is not None:
        raise InputError("--components measures no reliability to draw: leave --diagram out")
    for chosen, option, part in ((personal, "--personal", _personal), (activity, "--activity", _activity)):
        if chosen:
            if curve or model is not None or diagram is not None or (personal and activity):
                raise InputError(f"{option} stands alone: leave --components, --model, --diagram and the like out")
            _evaluate_part(part, data, as_json, markdown, seed)
            return
    if diagram is not None:
        from ..catalogue.plot import require_matplotlib

        require_matplotlib()
        if not diagram.absolute().parent.is_dir():  # before the measurement, not after its hour
            raise InputError(f"--diagram {diagram}: there is no folder {diagram.parent}")
    with Notices():
        with compiling_told():
            from ...models.training.evaluation import report
            from ...models.training.evaluation.evaluate import component_curve
            from ...models.training.evaluation.evaluate import evaluate as measure
        if curve:
            figures = component_curve(data, seed=seed, progress=notify)
            calibrations = {}
        else:
            figures, calibrations = measure(data, bundle=model, seed=seed, robust=robust, progress=notify)
    if as_json:
        typer.echo(json.dumps(figures, indent=2, allow_nan=False))
    elif markdown:
        typer.echo(report.markdown(figures))
    else:
        console = Console()
        for table in report.tables(figures):
            console.print(table)
    if diagram is not None:
        report.reliability_diagram(calibrations, diagram)
        notify(f"drew {diagram}")


def _personal(data: Path, seed: int) -> tuple[Any, str]:
    from ...models.training.evaluation.adaptation import curves
    from ..app.console import notify

    figures = curves.evaluate_personal(data, notify, seed=seed)
    return figures, curves.personal_markdown(figures)


def _activity(data: Path, seed: int) -> tuple[Any, str]:
    from ...models.training.evaluation import activity, activity_report
    from ..app.console import notify

    figures = activity.evaluate_activity(data, seed=seed, progress=notify)
    return figures, activity_report.activity_markdown(figures)


def _evaluate_part(
    part: Callable[[Path, int], tuple[Any, str]], data: Path, as_json: bool, markdown: bool, seed: int
) -> None:
    """Print the figures of one part of the evaluation, as JSON, Markdown, or Markdown for the terminal."""
    from ..app.console import Notices

    with Notices():
        figures, text = part(data, seed)
    if as_json:
        typer.echo(json.dumps(figures, indent=2, allow_nan=False))
        return
    if markdown:
        typer.echo(text)
        return
    from rich.console import Console
    from rich.markdown import Markdown

    Console().print(Markdown(text))
