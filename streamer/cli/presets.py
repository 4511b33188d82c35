"""``valaro presets``: configurations for known programs."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(name="presets", help="Configurations for Resolume, TouchDesigner, Ableton Live and others.")

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Which one; `valaro presets list` has the names.")]
OutputOption = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="Where to; - is the standard output. Default: NAME.toml here."),
]


@app.command("list")
def list_presets() -> None:
    """Name each preset and what it does."""
    from ..app.config import presets

    width = max(len(name) for name in presets.names())
    for name in presets.names():
        typer.echo(f"{name:<{width}}  {presets.summary(name)}")


@app.command()
def write(name: NameArgument, output: OutputOption = None) -> None:
    """Write a preset into a file of your own, to be changed and used: valaro listen --config FILE."""
    from ..app.config import presets
    from ..app.console import notify
    from ..errors import InputError, SinkError

    content = presets.text(name)
    if output == Path("-"):
        typer.echo(content, nl=False)
        return
    path = output or Path(f"{name}.toml")
    try:
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(content)
    except FileExistsError as fault:
        raise InputError(f"{path} exists already: name another file with --output") from fault
    except OSError as fault:
        raise SinkError(f"{path} cannot be written: {(fault.strerror or str(fault)).lower()}") from fault
    notify(f"wrote {path}: its first lines say what to do in the other program; then valaro listen --config {path}")
