"""Statistics: states, steps, fitting and files. ``load_bundle()`` reads the default model."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .bundle import Bundle, load_bundle
else:
    # Loaded when first asked for: the errors live in this package too, and they must not cost the compiled code.
    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from . import bundle

        return getattr(bundle, name)


__all__ = ["Bundle", "load_bundle"]
