"""``valaro plugins``: the sources, sinks and decoders that installed packages bring."""

import subprocess
import sys
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ...models.doors import Plugin

PATIENCE = 30.0  # s that a plugin's import may take here

_PROBE = """
import sys
from valaro.models import doors
from valaro.streamer.errors import ValaroError
door, name, package = sys.argv[1:]
[plugin] = [plugin for plugin in doors.listed(door) if (plugin.name, plugin.package) == (name, package)]
try:
    doors.load(plugin)
except ValaroError as fault:
    print(fault)
    sys.exit(3)
print("loads")
"""


def plugins(
    load: Annotated[
        bool,
        typer.Option("--load", metavar="", help="Also try to load each, in a process of its own, and say what fails."),
    ] = False,
) -> None:
    """List sources, sinks and decoders by name, with the package that brings each; nothing of them is imported.

    A sink is used by --sink NAME, by --NAME VALUE where it takes one, or by a table [sinks.NAME] in a config; a
    source by --source NAME, or source = "NAME"; a decoder by a model bundle that holds its weights.
    """
    from ...models.doors import DOORS, listed

    plugins = [plugin for door in DOORS for plugin in listed(door)]
    cells = [(plugin.kind, plugin.name, f"{plugin.package} {plugin.version}".rstrip()) for plugin in plugins]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    failed = False
    for plugin, row in zip(plugins, cells, strict=True):
        state = _state(plugin, load)
        failed = failed or state.startswith("failed")
        typer.echo("  ".join([*(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)), state]))
    if failed:
        raise typer.Exit(1)


def _state(plugin: "Plugin", load: bool) -> str:
    if plugin.shadowed_by:
        return f"not used: {plugin.shadowed_by} has this name already"
    return _loaded(plugin) if load else "installed"


def _loaded(plugin: "Plugin") -> str:
    """The state of a plugin after it was loaded in a process of its own, which may hang or crash."""
    command = [sys.executable, "-P", "-c", _PROBE, plugin.door, plugin.name, plugin.package]
    try:
        ended = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE, check=False, text=True
        )
    except subprocess.TimeoutExpired:
        return f"failed: not loaded within {PATIENCE:g} s"
    last = (ended.stdout.strip() or ended.stderr.strip() or f"ended with {ended.returncode}").splitlines()[-1]
    return last if ended.returncode == 0 else f"failed: {last}"
