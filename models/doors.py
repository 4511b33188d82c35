"""The doors for other packages' sources, sinks and decoders: entry points, listed without an import.

Valaro's own come in by the same doors. Only what is asked for is loaded.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import metadata
from typing import Any

from .errors import PluginError

log = logging.getLogger(__name__)

SOURCES, SINKS, DECODERS = "valaro.sources", "valaro.sinks", "valaro.decoders"
DOORS = (SOURCES, SINKS, DECODERS)
OWN = "valaro"  # the package whose names come first

_SHOWN = 300  # characters of a plugin's own words


@dataclass(frozen=True, slots=True)
class Plugin:
    """What stands at a door: its name, the package and version that brought it, and the object that it names.

    ``shadowed_by``: the package whose plugin of the same name is taken instead, "" if it is this one.
    """

    door: str
    name: str
    package: str
    version: str
    value: str
    shadowed_by: str = ""

    @property
    def own(self) -> bool:
        """Whether Valaro itself brings it."""
        return self.package == OWN

    @property
    def kind(self) -> str:
        """``source``, ``sink`` or ``decoder``."""
        return kind_of(self.door)

    def __str__(self) -> str:
        return f"the {self.kind} {self.name} of {self.package}"


def kind_of(door: str) -> str:
    """``source``, ``sink`` or ``decoder``."""
    return door.rpartition(".")[2].removesuffix("s")


def listed(door: str) -> list[Plugin]:
    """All plugins of a door by name, Valaro's own first; nothing of them is imported."""
    plugins: dict[tuple[str, str], Plugin] = {}
    for entry in _entry_points(door):
        package = _canonical((entry.dist.name if entry.dist is not None else None) or "unknown")
        version = (entry.dist.version if entry.dist is not None else None) or ""
        plugins.setdefault((entry.name, package), Plugin(door, entry.name, package, version, entry.value))
    first: dict[str, str] = {}
    result = []
    for plugin in sorted(plugins.values(), key=lambda plugin: (not plugin.own, plugin.name, plugin.package)):
        taken = first.setdefault(plugin.name, plugin.package)
        result.append(plugin if taken == plugin.package else replace(plugin, shadowed_by=taken))
    return result


def _entry_points(door: str) -> list[metadata.EntryPoint]:
    """Those of all packages; one whose metadata cannot be read is left out, and so is nobody else."""
    try:
        return list(metadata.entry_points(group=door))
    except Exception:  # noqa: BLE001  a broken line of one package fails all of them
        entries: list[metadata.EntryPoint] = []
        for package in metadata.distributions():
            try:
                entries += package.entry_points.select(group=door)
            except Exception as fault:  # noqa: BLE001  this one's
                log.warning("the plugins of %s cannot be read: %s", package.metadata["Name"], words(fault))
        return entries


def load(plugin: Plugin) -> Callable[..., Any]:
    """Import what a plugin names.

    Raises
    ------
    PluginError
        Whatever it does instead, ``sys.exit`` among it, in one line; not KeyboardInterrupt.
    """
    try:
        made = target(plugin)
    except KeyboardInterrupt:
        raise
    except BaseException as fault:
        raise PluginError(f"{plugin} cannot be loaded: {words(fault)}") from fault
    if not callable(made):
        raise PluginError(f"{plugin} names {plugin.value}, which makes nothing")
    return made


def target(plugin: Plugin) -> Any:
    """What a plugin names, imported; whatever that raises passes through."""
    if not metadata.EntryPoint.pattern.match(plugin.value):
        raise PluginError(f"{plugin.value!r} names no object of a module")
    return metadata.EntryPoint(plugin.name, plugin.value, plugin.door).load()


def words(fault: BaseException) -> str:
    """What a plugin raised, in one line of printable characters."""
    if isinstance(fault, SystemExit):
        return f"it asked the program to end (sys.exit({fault.code!r}))"
    line = " ".join(f"{type(fault).__name__}: {fault}".split()).rstrip(": ")[:_SHOWN]
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in line)


def _canonical(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")
