"""Statistics: states, steps, fitting and files. ``load_bundle()`` reads the default model."""

from .bundle import Bundle, load_bundle

__all__ = ["Bundle", "load_bundle"]
