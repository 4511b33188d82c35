"""Statistics: states, steps, fitting and files. ``load_bundle()`` reads the default model.

- ``tracker``: from sound to heatmaps, the stateful chain that the engine steps through.
- ``bundle``: a model on disk.
- ``snapshot``: a chain's memory as plain arrays, and back.
- ``regular_file``: a file that came from elsewhere, read at once or not at all.
- ``grid``: the valence-arousal plane as cells.
- ``features``: from blocks of sound to the acoustic vector.
- ``acoustic``: from the acoustic vector to what sounds.
- ``decoders``: from what was heard to a heatmap.
- ``adaptation``: how a listener's ratings change the heatmap.
- ``training``: fitting and judging models; nothing of it runs live.
- ``weights``: the bundle that ships with Valaro.
- ``errors``: the root of all errors, and those of the models.
"""

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
