"""Configurations for known programs, as files to start from: ``valaro presets write NAME``."""

from importlib.resources import files

from ....errors import InputError


def names() -> list[str]:
    """The presets' names, sorted."""
    return sorted(path.name.removesuffix(".toml") for path in files(__name__).iterdir() if path.name.endswith(".toml"))


def text(name: str) -> str:
    """The preset's file, comments included. Raises InputError for an unknown name, with those there are."""
    if name not in names():
        raise InputError(f"there is no preset {name!r}: choose from {', '.join(names())}")
    return (files(__name__) / f"{name}.toml").read_text(encoding="utf-8")


def summary(name: str) -> str:
    """What the preset does, in one line: the first of its file. Raises InputError for an unknown name."""
    return text(name).partition("\n")[0].removeprefix("# ")


__all__ = ["names", "summary", "text"]
