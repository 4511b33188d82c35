"""The doors for other packages' sources, sinks and decoders, which Valaro's own come in by as well.

A door is a group of entry points. What stands at it is listed from the packages' metadata, without an import; only
what is asked for is loaded. What an entry point names is called with its table as keywords:

- ``valaro.sources``: returns a :class:`~valaro.streamer.core.protocols.Source`;
- ``valaro.sinks``: returns a :class:`~valaro.streamer.core.protocols.Sink`. Its attribute ``option_key``, where it has
  one, is the key of its table that the command line's ``--NAME VALUE`` sets. A method ``attach(running)`` of what it
  returns is called once, with the :class:`~valaro.streamer.app.isolation.Running` session, before the first emission;
- ``valaro.decoders``: see :mod:`valaro.models.decoders.registry`.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import metadata
from typing import Any

from ..errors import InputError, PluginError

SOURCES, SINKS, DECODERS = "valaro.sources", "valaro.sinks", "valaro.decoders"
DOORS = (SOURCES, SINKS, DECODERS)
VALUE = ""  # in a table: what the plugin's option would say; no key that a person writes is empty
OWN = "valaro"  # the package whose names come first

# Valaro's own that settings know how to make: they are asked for by options and tables of their own.
WIRED = {
    SOURCES: frozenset({"demo", "device", "file"}),
    SINKS: frozenset({"osc", "midi", "oscquery", "record", "terminal"}),
}

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
        return _kind(self.door)

    def __str__(self) -> str:
        return f"the {self.kind} {self.name} of {self.package}"


def listed(door: str) -> list[Plugin]:
    """All plugins of a door by name, Valaro's own first; nothing of them is imported."""
    plugins: dict[tuple[str, str], Plugin] = {}
    for entry in metadata.entry_points(group=door):
        package = _canonical(entry.dist.name) if entry.dist is not None else "unknown"
        version = entry.dist.version if entry.dist is not None else ""
        plugins.setdefault((entry.name, package), Plugin(door, entry.name, package, version, entry.value))
    ordered = sorted(plugins.values(), key=lambda plugin: (not plugin.own, plugin.name, plugin.package))
    taken: dict[str, str] = {}
    result = []
    for plugin in ordered:
        first = taken.setdefault(plugin.name, plugin.package)
        shadow = "" if first == plugin.package else first
        result.append(
            Plugin(plugin.door, plugin.name, plugin.package, plugin.version, plugin.value, shadowed_by=shadow)
        )
    return result


def by_name(door: str) -> list[Plugin]:
    """Those that can be asked for by name: all but Valaro's own that have options and tables of their own."""
    return [plugin for plugin in listed(door) if not plugin.shadowed_by and plugin.name not in WIRED.get(door, ())]


def find(door: str, name: str) -> Plugin:
    """The plugin that can be asked for by this name. InputError where there is none."""
    known = {plugin.name: plugin for plugin in by_name(door)}
    if name in known:
        return known[name]
    kind = _kind(door)
    if name in WIRED.get(door, ()):
        raise InputError(f"{name} is a {kind} with options and a table of its own: see `valaro listen --help`")
    near = get_close_matches(name, known, 1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}" if known else "none is installed"
    raise InputError(f"no plugin brings a {kind} {name!r}: {hint} (`valaro plugins` lists them)")


def load(plugin: Plugin) -> Callable[..., Any]:
    """Import what a plugin names.

    Raises
    ------
    PluginError
        Whatever it does instead, ``sys.exit`` among it, in one line; not KeyboardInterrupt.
    """
    try:
        target = _target(plugin)
    except KeyboardInterrupt:
        raise
    except BaseException as fault:
        raise PluginError(f"{plugin} cannot be loaded: {words(fault)}") from fault
    if not callable(target):
        raise PluginError(f"{plugin} names {plugin.value}, which makes nothing")
    return target


def own(door: str, name: str) -> Callable[..., Any]:
    """Valaro's own of this name, imported; what its import raises is Valaro's own fault, and passes through."""
    return _target(next(plugin for plugin in listed(door) if plugin.own and plugin.name == name))


def _target(plugin: Plugin) -> Any:
    return metadata.EntryPoint(plugin.name, plugin.value, plugin.door).load()


def make(plugin: Plugin, table: Mapping[str, Any], value: Any = None) -> Any:
    """Load a plugin and call what it names with its table.

    Parameters
    ----------
    plugin : which.
    table : its keywords, as the configuration has them.
    value : what its option on the command line says; its ``option_key`` names the key.

    Raises
    ------
    InputError
        A key that it does not take, one that it lacks, a value without ``option_key``; what it raises as InputError,
        ValueError or TypeError.
    PluginError
        Anything else that it raises.
    """
    target = load(plugin)
    where = f"{plugin.kind} {plugin.name}"
    keywords = {key: entry for key, entry in table.items() if key != VALUE}
    value = table.get(VALUE) if value is None else value
    if value is not None:
        key = getattr(target, "option_key", None)
        if not isinstance(key, str):
            raise InputError(f"{where} takes no value: write a table [{plugin.kind}s.{plugin.name}] in a config")
        keywords[key] = value
    _check_keys(where, target, keywords)
    try:
        return target(**keywords)
    except (KeyboardInterrupt, InputError):
        raise
    except (ValueError, TypeError) as fault:
        raise InputError(f"{where}: {words(fault)}: see [{plugin.kind}s.{plugin.name}]") from fault
    except BaseException as fault:
        raise PluginError(f"{plugin} does not start: {words(fault)}") from fault


def _check_keys(where: str, target: Callable[..., Any], table: Mapping[str, Any]) -> None:
    try:
        parameters = inspect.signature(target).parameters.values()
    except (ValueError, TypeError):  # written in C: it checks for itself
        return
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return
    keywords = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    known = [parameter.name for parameter in keywords]
    unknown = [key for key in table if key not in known]
    if unknown:
        raise InputError(f"{where} takes no {unknown[0]!r}: {_list('it takes', known) or 'it takes nothing'}")
    lacking = [p.name for p in keywords if p.default is p.empty and p.name not in table]
    if lacking:
        raise InputError(f"{where} needs {', '.join(lacking)}: write it in its table in a config")


def _list(what: str, names: Iterable[str]) -> str:
    joined = ", ".join(names)
    return f"{what} {joined}" if joined else ""


def words(fault: BaseException) -> str:
    """What a plugin raised, in one line of printable characters."""
    if isinstance(fault, SystemExit):
        return f"it asked the program to end (sys.exit({fault.code!r}))"
    line = " ".join(f"{type(fault).__name__}: {fault}".split()).rstrip(": ")[:_SHOWN]
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in line)


def _kind(door: str) -> str:
    return door.rpartition(".")[2].removesuffix("s")


def _canonical(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")
