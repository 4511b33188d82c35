"""A file's emotion on one page: valence and arousal with their uncertainty, the quadrants' mass, a strip of heatmaps.

Needs matplotlib, the extra ``plot``.
"""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..core.affect import Affect
from ..errors import MissingExtraError
from ..sinks.colormap import QUADRANT_COLOURS, QUADRANT_NAMES, enlarge

_PAPER, _INK, _FAINT = "#14121c", "#e8e4f0", "#8b8799"
_VALENCE, _AROUSAL = "#b58cf2", "#f28f6b"
_FRAMES = 12  # heatmaps in the strip
_SIZE = (12.0, 8.0)  # inches
_LEFT, _WIDTH = 0.075, 0.9  # of the page: one time axis for all rows


def require_matplotlib() -> Any:
    """The Figure class of matplotlib; raises MissingExtraError with the command that installs it."""
    try:
        from matplotlib.figure import Figure
    except ImportError as fault:
        raise MissingExtraError("plots need matplotlib: pip install 'valaro[plot]'") from fault
    return Figure


def plot(affects: Sequence[Affect], title: str, path: Path) -> None:
    """Draw the emissions of one file as a PNG.

    Parameters
    ----------
    affects : all emissions.
    title : of the picture.
    path : the PNG file.

    Raises
    ------
    MissingExtraError
        There is no matplotlib.
    OSError
        The picture cannot be written.
    ValueError
        There are no emissions.
    """
    if not affects:
        raise ValueError("there is nothing to plot")
    figure = require_matplotlib()(figsize=_SIZE, dpi=120, facecolor=_PAPER)
    title = title.encode(errors="replace").decode()  # a file's name may hold bytes that are no text
    figure.text(_LEFT, 0.955, title, color=_INK, fontsize=14, parse_math=False)
    times = np.array([affect.time for affect in affects])
    _lines(figure.add_axes((_LEFT, 0.555, _WIDTH, 0.335)), times, affects)
    _shares(figure.add_axes((_LEFT, 0.285, _WIDTH, 0.165)), times, affects)
    _strip(figure, affects)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a title in letters that its font lacks: drawn as boxes
        figure.savefig(path, facecolor=_PAPER)


def _lines(axes: Any, times: np.ndarray, affects: Sequence[Affect]) -> None:
    """Valence and arousal; the bands reach one standard deviation of the heatmap to either side."""
    _plain(axes, times)
    axes.axhline(0, color=_FAINT, linewidth=0.8)
    for name, colour, values, variance in (
        ("valence", _VALENCE, [a.valence for a in affects], [a.covariance[0, 0] for a in affects]),
        ("arousal", _AROUSAL, [a.arousal for a in affects], [a.covariance[1, 1] for a in affects]),
    ):
        mean, deviation = np.array(values), np.sqrt(variance)
        low, high = np.maximum(mean - deviation, -1), np.minimum(mean + deviation, 1)
        axes.fill_between(times, low, high, color=colour, alpha=0.16, linewidth=0)
        marker = "o" if len(times) == 1 else None
        axes.plot(times, mean, color=colour, linewidth=2, label=name, marker=marker)
    axes.set_ylim(-1, 1)
    axes.set_yticks([-1, 0, 1], ["unpleasant\ncalm", "0", "pleasant\nenergetic"])
    _legend(axes, 2)
    axes.set_title("mean ± one standard deviation", color=_FAINT, fontsize=10, loc="left")


def _shares(axes: Any, times: np.ndarray, affects: Sequence[Affect]) -> None:
    """The quadrants' mass, stacked to 1."""
    _plain(axes, times)
    mass = np.array([affect.quadrants for affect in affects]).T
    if len(times) == 1:  # an area needs two points
        times, mass = np.array([0.0, times[0]]), np.repeat(mass, 2, axis=1)
    axes.stackplot(times, mass, colors=QUADRANT_COLOURS, labels=QUADRANT_NAMES, linewidth=0, alpha=0.9)
    axes.set_ylim(0, 1)
    axes.set_yticks([0, 0.5, 1], ["0 %", "50 %", "100 %"])
    _legend(axes, 4)
    axes.set_title("share of each quadrant", color=_FAINT, fontsize=10, loc="left")


def _strip(figure: Any, affects: Sequence[Affect]) -> None:
    """Mean heatmaps of equal stretches of the file, on one colour scale."""
    parts = [part for part in np.array_split(np.arange(len(affects)), _FRAMES) if len(part)]
    heatmaps = [np.mean([affects[index].heatmap for index in part], axis=0) for part in parts]
    peak = max(heatmap.max() for heatmap in heatmaps)
    caption = "the plane on the way: unpleasant to pleasant →, calm to energetic ↑"
    figure.text(_LEFT, 0.205, caption, color=_FAINT, fontsize=10)
    pitch = _WIDTH / _FRAMES
    side = pitch * 0.93
    for position, (part, heatmap) in enumerate(zip(parts, heatmaps, strict=True)):
        axes = figure.add_axes((_LEFT + position * pitch, 0.075, side, side * _SIZE[0] / _SIZE[1]))
        axes.imshow(
            enlarge(heatmap, 99), origin="lower", cmap="magma", vmin=0, vmax=peak, extent=(-1, 1, -1, 1), aspect="equal"
        )
        axes.axhline(0, color="white", linewidth=0.4, alpha=0.35)
        axes.axvline(0, color="white", linewidth=0.4, alpha=0.35)
        mean = np.mean([(affects[index].valence, affects[index].arousal) for index in part], axis=0)
        axes.plot(*mean, "o", color="white", markersize=3.5, markeredgecolor="black", markeredgewidth=0.6)
        axes.set(xticks=[], yticks=[])
        axes.set_xlabel(_clock(affects[part[-1]].time), color=_INK, fontsize=8)
        for spine in axes.spines.values():
            spine.set_color(_FAINT)


def _legend(axes: Any, columns: int) -> None:
    axes.legend(
        loc="lower right",
        bbox_to_anchor=(1.005, 1),
        ncols=columns,
        frameon=False,
        labelcolor=_INK,
        fontsize=10,
        handlelength=1.2,
    )


def _plain(axes: Any, times: np.ndarray) -> None:
    axes.set_facecolor(_PAPER)
    axes.set_xlim(min(times[0], times[-1] - 0.5), times[-1])
    axes.tick_params(colors=_INK, labelsize=9, length=3)
    axes.xaxis.set_major_formatter(lambda seconds, _: _clock(seconds))
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(_FAINT)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes)}:{rest:04.1f}" if rest % 1 else f"{int(minutes)}:{int(rest):02}"
