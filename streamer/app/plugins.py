"""Other packages' sources and sinks: which can be asked for, and how they are made from their tables.

What an entry point names is called with its table as keywords:

- ``valaro.sources``: returns a :class:`~valaro.streamer.core.protocols.Source`;
- ``valaro.sinks``: returns a :class:`~valaro.streamer.core.protocols.Sink`. Its attribute ``option_key``, where it has
  one, is the key of its table that the command line's ``--NAME VALUE`` sets. A method ``attach(running)`` of what it
  returns is called once, with the :class:`~valaro.streamer.app.isolation.Running` session, before the first emission;
- ``valaro.decoders``: see :mod:`valaro.models.decoders.registry`.
"""

import inspect
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any

from ...models.doors import SINKS, SOURCES, Plugin, kind_of, listed, load, target, words
from ..errors import InputError, PluginError

VALUE = "\0"  # in a table of the configuration: what the plugin's option would say; no key that a person writes
# Valaro's own that settings know how to make: they are asked for by options and tables of their own.
WIRED = {
    SOURCES: frozenset({"demo", "device", "file"}),
    SINKS: frozenset({"osc", "midi", "oscquery", "record", "terminal"}),
}


def by_name(door: str) -> list[Plugin]:
    """Those that can be asked for by name: all but Valaro's own that have options and tables of their own."""
    return [plugin for plugin in listed(door) if not plugin.shadowed_by and plugin.name not in WIRED.get(door, ())]


def find(door: str, name: str) -> Plugin:
    """The plugin that can be asked for by this name. InputError where there is none."""
    known = {plugin.name: plugin for plugin in by_name(door)}
    if name in known:
        return known[name]
    kind = kind_of(door)
    if name in WIRED.get(door, ()):
        raise InputError(f"{name} is a {kind} with options and a table of its own: see `valaro listen --help`")
    near = get_close_matches(name, known, 1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}" if known else "none is installed"
    raise InputError(f"no plugin brings a {kind} {name!r}: {hint} (`valaro plugins` lists them)")


def own(door: str, name: str) -> Callable[..., Any]:
    """Valaro's own of this name, imported; what its import raises is Valaro's own fault, and passes through."""
    plugin = next((plugin for plugin in listed(door) if plugin.own and plugin.name == name), None)
    if plugin is None:
        raise PluginError("this installation of Valaro is older than its code: install it again (pip install .)")
    return target(plugin)


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
    called = load(plugin)
    where = f"{plugin.kind} {plugin.name}"
    keywords = dict(table)
    if value is not None:
        key = getattr(called, "option_key", None)
        if not isinstance(key, str):
            raise InputError(f"{where} takes no value: write a table [{plugin.kind}s.{plugin.name}] in a config")
        keywords[key] = value
    _check_keys(where, called, keywords)
    try:
        return called(**keywords)
    except (KeyboardInterrupt, InputError):
        raise
    except (ValueError, TypeError) as fault:
        raise InputError(f"{where}: {words(fault)}: see [{plugin.kind}s.{plugin.name}]") from fault
    except BaseException as fault:
        raise PluginError(f"{plugin} does not start: {words(fault)}") from fault


def _check_keys(where: str, called: Callable[..., Any], keywords: Mapping[str, Any]) -> None:
    try:
        parameters = inspect.signature(called).parameters.values()
    except (ValueError, TypeError):  # written in C: it checks for itself
        return
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return
    named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    known = [parameter.name for parameter in named]
    unknown = [key for key in keywords if key not in known]
    if unknown:
        raise InputError(f"{where} takes no {unknown[0]!r}: it takes {', '.join(known) or 'nothing'}")
    lacking = [p.name for p in named if p.default is p.empty and p.name not in keywords]
    if lacking:
        raise InputError(f"{where} needs {', '.join(lacking)}: write it in its table in a config")
