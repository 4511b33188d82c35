"""From folds' figures to what people read: JSON, tables in the terminal, the same tables in Markdown, a picture.

Figures are nested {decoder: {set: {figure: {"mean", "se", "folds"}}}}, drops under a condition {decoder: {set:
{condition: {...}}}}; a standard error is None where one fold alone defines the figure, a fold's value where it is
undefined there. All of it goes into JSON as it is.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypedDict

import numpy as np

from ...errors import DataError
from ...grid import CELLS
from . import metrics
from .reliability import Calibration, Reliability
from .scoring import HEARD

if TYPE_CHECKING:
    from rich.table import Table


class Value(TypedDict):
    """One figure over the folds."""

    mean: float
    se: float | None
    folds: list[float | None]


Figures: TypeAlias = dict[str, dict[str, dict[str, Value]]]


class Report(TypedDict):
    """All that an evaluation found."""

    figures: Figures
    drops: Figures


class Grid(NamedTuple):
    """A table before it is drawn: the first ``names`` columns of each row are names, the others values."""

    title: str
    names: int
    header: list[str]
    rows: list[list[str]]


def join(rows: Sequence[Mapping[str, float]]) -> dict[str, Value]:
    """The folds' scores as figures with standard errors.

    A figure that fewer than two of several folds define (a correlation between pieces, one piece in each) is left out.
    """
    joined: dict[str, Value] = {}
    for name in rows[0]:
        values = [float(row[name]) for row in rows]
        defined = [value for value in values if np.isfinite(value)]
        if len(defined) >= min(2, len(rows)):
            error = metrics.standard_error(defined) if len(defined) > 1 else None
            folds = [value if np.isfinite(value) else None for value in values]
            joined[name] = Value(mean=float(np.mean(defined)), se=error, folds=folds)
    return joined


HEADLINES = ("macro_f1", "log_likelihood")  # the figure by which a set is judged: the first that it has


def drops(clean: Figures, conditions: Mapping[str, Figures]) -> Figures:
    """How much each set's headline figure loses under each condition: positive is worse.

    The difference is taken fold by fold, so that its standard error is that of the loss and not of the figure.
    """
    lost: Figures = {}
    for condition, figures in conditions.items():
        for decoder, sets in figures.items():
            for name, after in sets.items():
                before = clean.get(decoder, {}).get(name, {})
                headline = next((key for key in HEADLINES if key in after and key in before), None)
                if headline is None:
                    continue
                pairs = zip(before[headline]["folds"], after[headline]["folds"], strict=True)
                loss = [{headline: a - b} for a, b in pairs if a is not None and b is not None]
                lost.setdefault(decoder, {}).setdefault(name, {})[condition] = join(loss)[headline]
    return lost


def summary(figures: Figures) -> dict[str, dict[str, dict[str, float]]]:
    """The means alone, rounded: what a bundle's manifest keeps."""
    return {
        decoder: {
            name: {key: round(value["mean"], 4) for key, value in values.items()} for name, values in sets.items()
        }
        for decoder, sets in figures.items()
    }


_GROUPS = {"4q": "artists", "emopia": "songs", "vgmidi": "pieces"}
_BOTH = (("valence", "V"), ("arousal", "A"))

# Title, the figure that a set must have to be shown so, {figure: heading}.
_SECTIONS: tuple[tuple[str, str, dict[str, str]], ...] = (
    (
        "quadrants of clips, signs of valence and arousal (V, A), and macro-F1 of the first seconds",
        "macro_f1",
        {"macro_f1": "macro-F1", "accuracy": "accuracy", "valence": "V", "arousal": "A"}
        | {f"macro_f1_{s:g}s": f"after {s:g} s" for s in HEARD},
    ),
    (
        "every rater's points (log-likelihood in nats; way: from the global histogram to the moment's other raters)",
        "share_of_way",
        {"log_likelihood": "nats", "share_of_way": "way"}
        | {f"r_{axis}_{where}": f"r {short} {where}" for where in ("between", "within") for axis, short in _BOTH},
    ),
    (
        "the raters' mean, between and within pieces",
        "share_of_way",
        {f"ccc_{axis}_{where}": f"CCC {short} {where}" for where in ("between", "within") for axis, short in _BOTH}
        | {f"rmse_{axis}_between": f"RMSE {short} between" for axis, short in _BOTH},
    ),
    (
        "the raters' mean over time (log-likelihood in nats; few clips have audio)",
        "rmse_valence_overall",
        {"clips": "clips", "log_likelihood": "nats"}
        | {f"rmse_{axis}_overall": f"RMSE {short}" for axis, short in _BOTH}
        | {f"r_{axis}_overall": f"r {short}" for axis, short in _BOTH}
        | {f"r_{axis}_within": f"r {short} within" for axis, short in _BOTH},
    ),
)
_CALIBRATION = {
    "ece_cells": "cells",
    "ece_quadrants": "quadrants",
    "ece_valence": "sign of V",
    "ece_arousal": "sign of A",
    "coverage_50": "in 50 %",
    "coverage_90": "in 90 %",
}
# Predictions that need no model, and the figure of any decoder's row that says what they are worth.
_REFERENCES = {"global histogram": "histogram_log_likelihood", "uniform": "uniform_log_likelihood"}


_WIDTH = 10  # of a column of values, and so of its heading's lines


def grids(report: Report) -> list[Grid]:
    """Every table of a report: a row a decoder, first set by set, then calibration, then what augmentation costs."""
    figures = report["figures"]
    names = list(dict.fromkeys(name for sets in figures.values() for name in sets))
    shown = [grid for name in names for grid in _of_set(figures, name)]
    return [*shown, *_of_calibration(figures, names), *_of_drops(report["drops"])]


def tables(report: Report) -> list["Table"]:
    """``grids`` for a rich console of 100 columns."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    drawn = []
    for title, names, header, rows in grids(report):
        table = Table(
            title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False
        )
        for k, heading in enumerate(header):
            table.add_column(heading, justify="left" if k < names else "right", overflow="fold", no_wrap=k >= names)
        for row in rows:
            table.add_row(*row)
        drawn.append(table)
    return drawn


def markdown(report: Report) -> str:
    """``grids`` as Markdown: for the model card."""
    parts = []
    for title, names, header, rows in grids(report):
        rule = ["---" if k < names else "---:" for k in range(len(header))]
        lines = ["| " + " | ".join(cell.replace("\n", " ") for cell in row) + " |" for row in (header, rule, *rows)]
        parts.append("\n".join([f"**{title}**", "", *lines, ""]))
    return "\n".join(parts)


def _of_set(figures: Figures, name: str) -> Iterator[Grid]:
    for title, needed, columns in _SECTIONS:
        values_of = {decoder: sets[name] for decoder, sets in figures.items() if name in sets}
        if not any(needed in values for values in values_of.values()):
            continue
        for reference, key in _REFERENCES.items():
            value = next((values[key] for values in values_of.values() if key in values), None)
            if value is not None:
                values_of[reference] = {"log_likelihood": value}
        groups = f", unseen {_GROUPS[name]}" if name in _GROUPS else ""
        yield from _grid(f"{name}{groups}: {title}", ["decoder"], columns, [([d], v) for d, v in values_of.items()])


def _of_calibration(figures: Figures, names: Sequence[str]) -> Iterator[Grid]:
    rows = []
    for name in names:
        for suffix, label in (("", name), ("_live", f"{name}, live")):
            for decoder, sets in figures.items():
                values = {key: sets.get(name, {}).get(key + suffix) for key in _CALIBRATION}
                rows.append(([label, decoder], {key: value for key, value in values.items() if value is not None}))
    title = (
        "calibration: expected error of the mass on cells, quadrants and signs, and labels in the 50 % and 90 % "
        "regions; of a clip's average, live: of each moment"
    )
    yield from _grid(title, ["set", "decoder"], _CALIBRATION, rows)


def _of_drops(lost: Figures) -> Iterator[Grid]:
    names = list(dict.fromkeys(name for sets in lost.values() for name in sets))
    conditions = dict.fromkeys(key for sets in lost.values() for losses in sets.values() for key in losses)
    rows = [([name, decoder], sets[name]) for name in names for decoder, sets in lost.items() if name in sets]
    title = "what is lost under augmentation (macro-F1; rated pieces: nats)"
    yield from _grid(title, ["set", "decoder"], {key: key for key in conditions}, rows)


def _grid(
    title: str, names: list[str], columns: Mapping[str, str], rows: Sequence[tuple[list[str], Mapping[str, Value]]]
) -> Iterator[Grid]:
    """The rows that have a value and the columns that have one; none of them, no grid."""
    rows = [row for row in rows if any(key in row[1] for key in columns)]
    shown = [key for key in columns if any(key in values for _, values in rows)]
    if shown:
        header = [*names, *("\n".join(wrap(columns[key], _WIDTH)) for key in shown)]
        yield Grid(title, len(names), header, [[*row, *(_text(v.get(key)) for key in shown)] for row, v in rows])


def _text(value: Value | None) -> str:
    if value is None:
        return "–"
    if value["mean"] > 1 and float(value["mean"]).is_integer():  # a count
        return f"{value['mean']:.0f}"
    return _short(value["mean"]) + (f" ±{_short(value['se'])}" if value["se"] is not None else "")


def _short(number: float) -> str:
    """Three decimals, and no zero before them: eight columns fit in a terminal."""
    return f"{round(number, 3) + 0.0:.3f}".replace("0.", ".", 1) if abs(number) < 0.9995 else f"{number:.3f}"


_PAPER, _INK, _FAINT = "#14121c", "#e8e4f0", "#8b8799"
_COLOURS = ("#f28f6b", "#6bc5f2", "#b58cf2", "#8fd694", "#f2d06b", "#f26bb0")
_PANELS = {
    "cells": "mass of a cell",
    "quadrants": "mass of a quadrant",
    "valence": "mass on the pleasant side",
    "arousal": "mass on the energetic side",
    "regions": "highest-density regions",
}


def reliability_diagram(calibrations: Mapping[str, Calibration], path: Path, title: str = "") -> None:
    """Draw {decoder: its Calibration} as a PNG: what came true against what was stated, a panel each kind of statement.

    The area of a dot is its share of the statements (dots of less than one in a thousand are left out); a calibrated
    decoder lies on the diagonal, one that is too sure of itself is flatter. In the corner of a panel stand the
    expected calibration errors, as in ``reliability.calibration_figures``.

    Raises
    ------
    DataError
        Matplotlib is absent, there is nothing to draw, or the picture cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise DataError("the reliability diagram needs matplotlib: pip install 'valaro[plot]'") from error
    panels = [name for name in _PANELS if any(name in calibration for calibration in calibrations.values())]
    if not panels:
        raise DataError("no calibration was measured: there is nothing to draw")
    figure = Figure(figsize=(3.5 * len(panels) + 0.4, 4.6), dpi=120, facecolor=_PAPER, layout="constrained")
    figure.suptitle(title, color=_INK, fontsize=13, x=0.01, ha="left")
    for axes, name in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        _panel(
            axes,
            name,
            {decoder: calibration[name] for decoder, calibration in calibrations.items() if name in calibration},
        )
    lines, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(lines, labels, loc="outside lower left", ncols=6, frameon=False, labelcolor=_INK, fontsize=10)
    try:
        figure.savefig(path, facecolor=_PAPER)
    except OSError as error:
        raise DataError(f"cannot write {path} ({error.strerror}): name another file") from error


def _panel(axes: Any, name: str, decoders: Mapping[str, Reliability]) -> None:
    low = 1e-4 if name == "cells" else 0.0
    axes.plot([low, 1], [low, 1], color=_FAINT, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    for k, (decoder, statements) in enumerate(decoders.items()):
        colour = _COLOURS[k % len(_COLOURS)]
        stated, true, share = statements.curve()
        some = (share >= 1e-3) & (stated >= low) & (true >= low)
        stated, true, share = stated[some], true[some], share[some]
        axes.plot(stated, true, color=colour, linewidth=1.8, label=decoder, zorder=2)
        axes.scatter(stated, true, s=12 + 260 * share, color=colour, alpha=0.85, linewidths=0, zorder=3, clip_on=False)
        height = 0.04 + 0.065 * (len(decoders) - 1 - k)
        error = _short(statements.error * (CELLS / 2 if name == "cells" else 1.0))
        axes.text(0.97, height, error, color=colour, fontsize=9, ha="right", transform=axes.transAxes)
    regions = name == "regions"
    if name == "cells":
        axes.set(xscale="log", yscale="log")
    else:
        axes.set_xticks(np.linspace(0, 1, 6), ["0", ".2", ".4", ".6", ".8", "1"])
        axes.set_yticks(np.linspace(0, 1, 6), ["0", ".2", ".4", ".6", ".8", "1"])
    axes.set(xlim=(low, 1), ylim=(low, 1), aspect="equal", facecolor=_PAPER)
    axes.set_title(_PANELS[name], color=_INK, fontsize=11, loc="left")
    axes.set_xlabel("nominal coverage" if regions else "stated", color=_FAINT, fontsize=10)
    axes.set_ylabel("labels inside" if regions else "came true", color=_FAINT, fontsize=10)
    axes.tick_params(colors=_FAINT, labelsize=9, which="both", length=0)
    axes.grid(visible=True, color=_FAINT, alpha=0.18, linewidth=0.6)
    for side in axes.spines.values():
        side.set_visible(False)
