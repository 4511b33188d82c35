"""``valaro doctor``: what would stop Valaro on this machine, and what to do."""

from pathlib import Path
from typing import Annotated

import typer

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def doctor(
    model: Annotated[
        Path | None, typer.Option("--model", metavar="BUNDLE", help="Look at this model bundle, not the built-in one.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", metavar="", help="Print a JSON array for programs.")] = False,
) -> None:
    """Check devices, ports, packages, model, caches, permissions and clock, and say what to do.

    One line a check: ok, warn (something may not work) or fail. Exits with 1 if any fails. Nothing is changed, but the
    compiled code is put into its cache.
    """
    import json
    from dataclasses import asdict

    from ..app.doctor.runner import checks, examine

    results = []
    for result in examine(checks(model)):
        results.append(result)
        if not as_json:
            _show(result.name, result.status, result.found, result.advice)
    if as_json:
        typer.echo(json.dumps([asdict(result) for result in results], indent=1))
    if any(result.status == "fail" for result in results):
        raise typer.Exit(1)


def _show(name: str, status: str, found: str, advice: str) -> None:
    from rich.console import Console
    from rich.text import Text

    line = Text.assemble((f"{status:<5}", _COLOURS[status]), (f"{name:<10}", "bold"), found)
    if advice:
        line.append(f"; {advice}", style="italic")
    Console(soft_wrap=True, highlight=False).print(line)
