"""The live picture in a terminal; one plain line for each emission where there is no terminal (a pipe, a log)."""

import math
import select
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import IO

import numpy as np
from numpy.typing import NDArray
from rich.cells import cell_len, set_cell_size
from rich.color import Color
from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.segment import Segment
from rich.style import Style

from ....models.grid import SIDE
from ...core.affect import Affect
from ..colormap import QUADRANT_NAMES, Exposure, colours, enlarge
from .channels import channel_rows
from .widgets import (
    AROUSAL,
    BRIGHT,
    DIM,
    HISTORY,
    QUADRANT,
    TEXT,
    VALENCE,
    Row,
    bar,
    clock_face,
    decibels,
    gauge,
    needle,
    printable,
    sparkline,
    text,
)

_FRAMES_PER_SECOND = 10
_EASE = 0.2  # seconds in which the picture covers 63 % of the way to a new emission
_FLOOR = 0.06  # brightness of an empty cell, so that the plane stands out from a black terminal
_TRAIL = 12  # emissions: the mean's last six seconds
_PANEL = 38  # columns of the gauges beside the map
_TIME = 9  # columns of a plain line's time
_MOODS = tuple(name.partition(" ")[0] for name in QUADRANT_NAMES)


class Terminal:
    """Shows the newest emission; ``send`` only stores it, and rich's own thread draws ten times a second.

    Parameters
    ----------
    title : what is being heard, for the first line.
    status : called at every frame for the lines at the bottom, such as where OSC goes and what was lost.
    unread : called once when standard output is a pipe that is no longer read.
    console : rich's, for tests and pictures; standard output otherwise.
    """

    def __init__(
        self,
        title: str,
        status: Callable[[], Sequence[str]] = tuple,
        unread: Callable[[], None] | None = None,
        console: Console | None = None,
    ) -> None:
        self._unread = unread
        # Asked of the file, not of rich, for which FORCE_COLOR makes any pipe a terminal.
        self._console = console or Console(
            highlight=False, force_terminal=None if _is_a_terminal(sys.stdout) else False
        )
        self._picture = Picture(title, status)
        self._live: Live | None = None
        self._closed = False
        if _can_draw(self._console):
            self._live = Live(
                self._picture,
                console=self._console,
                screen=True,
                refresh_per_second=_FRAMES_PER_SECOND,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start(refresh=True)

    @property
    def live(self) -> bool:
        """True while the picture uses the screen, so that nothing else may print."""
        return self._live is not None

    def send(self, affect: Affect) -> None:
        """Show one emission at the next frame, or print its line, unless the pipe is no longer read."""
        if self._closed:
            return
        if self._live is not None:
            self._picture.take(affect)
            return
        if not _takes_a_line(self._console.file):
            return
        try:
            self._console.file.write(plain_line(affect) + "\n")
            self._console.file.flush()
        except BrokenPipeError:
            self._closed = True
            if self._unread is not None:
                self._unread()
        except OSError:  # a log on a full disk: its lines are lost, and the session goes on
            pass

    def close(self) -> None:
        """Restore the screen; may be called twice."""
        self._closed = True
        if self._live is not None:
            live, self._live = self._live, None
            live.stop()


def _is_a_terminal(file: IO[str]) -> bool:
    try:
        return file.isatty()
    except ValueError:  # it is closed
        return False


def _can_draw(console: Console) -> bool:
    if not console.is_terminal or console.is_dumb_terminal or console.no_color:
        return False
    return console.encoding.lower().startswith("utf")  # no other encoding has the half blocks


def _takes_a_line(file: IO[str]) -> bool:
    """Whether writing will not block, as it does for ever on a full pipe such as that of ``valaro listen | less``."""
    try:
        return bool(select.select([], [file.fileno()], [], 0.0)[1])
    except (OSError, ValueError):  # not a file descriptor; on Windows select only takes sockets
        return True


def plain_line(affect: Affect) -> str:
    """One emission as a line of text for logs and pipes, in 80 columns; the shares of the moods are in percent."""
    moods = [f"{name} {100 * share:>2.0f}" for name, share in zip(_MOODS, affect.quadrants, strict=True)]
    channel = ""
    if affect.channel is not None:
        channel = f"channel {affect.channel} "
        moods = [moods[int(np.argmax(affect.quadrants))]]  # for more there is no room
    time = clock_face(affect.time)
    time = time if len(time) <= _TIME else time.partition(".")[0]  # after a hundred hours
    return (
        f"{time:>{_TIME}} {channel}valence:{affect.valence:+.2f} arousal:{affect.arousal:+.2f} "
        f"{' '.join(moods)} {affect.activity}"
    )


class Picture:
    """A rich renderable of the newest emission: map, marker, trail, gauges, the last minute and the status lines.

    With channels that are tracked separately, it has a line for each instead.
    """

    def __init__(
        self, title: str, status: Callable[[], Sequence[str]] = tuple, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._title = printable(title)
        self._status = status
        self._clock = clock
        self._newest: Affect | None = None
        self._channels: dict[int, Affect] = {}  # the newest of each that is tracked separately
        self._history: deque[Affect] = deque(maxlen=HISTORY)
        self._exposure = Exposure()
        self._drawn_at = clock()
        self._heatmap: NDArray[np.float64] | None = None  # what is shown, on its way to the newest

    def take(self, affect: Affect) -> None:
        """Store one emission; called from another thread than the one that draws."""
        if affect.channel is None:
            self._history.append(affect)
        else:
            self._channels = self._channels | {affect.channel: affect}  # new: the old one may be being drawn
        self._newest = affect

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width, height = options.max_width, options.height or options.size.height
        for number, row in enumerate(self._rows(width, height)[:height]):
            if number:
                yield Segment.line()
            yield from Segment.adjust_line_length(row, width)

    def _rows(self, width: int, height: int) -> list[Row]:
        affect = self._newest
        status = [text(f"  {printable(line)}", DIM) for line in self._status()]
        if affect is not None and affect.channel is not None:
            rows = channel_rows(list(self._channels.values()), width, height - 4 - len(status))
            return [self._head(affect, width), [], *rows, [], *status]
        side = max(6, min(height - 4 - len(status), (width - _PANEL - 5) // 2))  # the map's height in lines
        left = self._map(affect, side)
        right = self._panel(affect, min(max(width - 2 * side - 7, _PANEL), 60))
        right += [[] for _ in range(len(left) - len(right))]
        rows = [self._head(affect, width)]
        for picture, beside in zip(left, right[: len(left)], strict=True):
            rows.append([Segment("  "), *picture, Segment("   "), *beside])
        return [*rows, [], *status]

    def _head(self, affect: Affect | None, width: int) -> Row:
        right = "listening …" if affect is None else clock_face(affect.time)
        title = set_cell_size(self._title, max(min(cell_len(self._title), width - 14 - cell_len(right)), 0))
        gap = max(width - 12 - cell_len(title) - cell_len(right), 1)
        return [Segment("  valaro  ", BRIGHT), *text(title, DIM), Segment(" " * gap), *text(right, TEXT)]

    def _map(self, affect: Affect | None, side: int) -> list[Row]:
        """Axis words above and below ``side`` lines of two columns by two half-lines: square pixels."""
        columns = 2 * side
        cells = _Cells(self._brightness(affect, columns))
        for (line, column), words in _corners(side):
            cells.write(line, column, words, (225, 220, 235))
        self._mark(cells, side)
        left, middle, right = "◀ unpleasant", "▼ calm", "pleasant ▶"
        if columns < len(left) + len(middle) + len(right) + 2:
            left, middle, right = "◀", "", "pleasant ▶"
        gap = max(columns - len(left) - len(middle) - len(right), 2)
        below = left + " " * (gap // 2) + middle + " " * (gap - gap // 2) + right
        return [text("▲ energetic".center(columns), DIM), *cells.rows(), text(set_cell_size(below, columns), DIM)]

    def _brightness(self, affect: Affect | None, size: int) -> NDArray[np.float64]:
        """(size, size) in 0..1, first row at the top (high arousal): the picture on its way to the newest emission."""
        now = self._clock()
        elapsed, self._drawn_at = max(now - self._drawn_at, 0.0), now
        target = np.zeros((SIDE, SIDE)) if affect is None else affect.heatmap
        shown = target if self._heatmap is None else self._heatmap
        self._heatmap = shown + (target - shown) * (1.0 - math.exp(-elapsed / _EASE))
        brightness = _FLOOR + (1.0 - _FLOOR) * self._exposure(enlarge(self._heatmap, size), elapsed)[::-1]
        middle = slice(size // 2 - 1, size // 2 + 1)
        brightness[middle] += 0.03  # the two axes, just visible
        brightness[:, middle] += 0.03
        return brightness

    def _mark(self, cells: "_Cells", side: int) -> None:
        trail = list(self._history)[-_TRAIL:]
        for age, affect in zip(range(len(trail) - 1, -1, -1), trail, strict=True):
            line = round((1.0 - affect.arousal) / 2 * side - 0.5)
            column = round((affect.valence + 1.0) / 2 * 2 * side - 0.5)
            line, column = min(max(line, 0), side - 1), min(max(column, 0), 2 * side - 1)
            glow = 1.0 - age / _TRAIL
            cells.write(line, column, "•" if age else "●", (255, 255, 255), glow if age else 1.0)

    def _panel(self, affect: Affect | None, width: int) -> list[Row]:
        if affect is None:
            return [[], text("waiting for the first half second of sound", DIM)]
        dominant = int(np.argmax(affect.quadrants))
        mood = QUADRANT_NAMES[dominant] if affect.activity == "music" else affect.activity
        style = DIM if affect.activity != "music" else QUADRANT[dominant] + Style(bold=True)
        rows: list[Row] = [[], text(mood, style), []]
        rows += [
            gauge("valence", needle(affect.valence, width - 19), f"{affect.valence:+.2f}"),
            gauge("arousal", needle(affect.arousal, width - 19), f"{affect.arousal:+.2f}"),
            [],
        ]
        for name, share, style in zip(QUADRANT_NAMES, affect.quadrants, QUADRANT, strict=True):
            rows.append(gauge(name.split(" ")[0], bar(share, width - 19, style), f"{share:.0%}"))
        rows += [
            [],
            gauge("confidence", bar(affect.confidence, width - 19, TEXT), f"{affect.confidence:.2f}"),
            gauge("level", bar(affect.level, width - 19, TEXT), decibels(affect.level)),
            gauge("hearing", text(affect.activity, TEXT), ""),
            [],
        ]
        history = list(self._history)
        valence, arousal = [past.valence for past in history], [past.arousal for past in history]
        rows.append(gauge("valence", sparkline(valence, width - 12, VALENCE), ""))
        rows.append(gauge("arousal", sparkline(arousal, width - 12, AROUSAL), ""))
        return [*rows, gauge("", text("the last minute, ±0.8", DIM), "")]


class _Cells:
    """Half-block pixels with text written over them."""

    def __init__(self, brightness: NDArray[np.float64]) -> None:
        # 6 bits a channel: few enough pairs of colours for the cache of styles, too fine to see.
        self._pixels = colours(brightness) & 0xFC  # (2 * lines, columns, 3)
        self._letters: dict[tuple[int, int], tuple[str, tuple[int, int, int]]] = {}

    def write(self, line: int, column: int, words: str, ink: tuple[int, int, int], strength: float = 0.75) -> None:
        """Write over the picture in white, or in black where the picture is light."""
        for k, letter in enumerate(words):
            if not 0 <= column + k < self._pixels.shape[1]:
                continue
            under = self._under(line, column + k)
            chosen = np.array(ink if under @ (0.299, 0.587, 0.114) < 140 else (20, 10, 30))
            mixed = under + (chosen - under) * strength
            self._letters[line, column + k] = letter, (int(mixed[0]) & 0xFC, int(mixed[1]) & 0xFC, int(mixed[2]) & 0xFC)

    def rows(self) -> list[Row]:
        """Lines of segments."""
        return [list(Segment.simplify(self._row(line))) for line in range(len(self._pixels) // 2)]

    def _row(self, line: int) -> Iterator[Segment]:
        upper, lower = self._pixels[2 * line].tolist(), self._pixels[2 * line + 1].tolist()
        for column, (above, below) in enumerate(zip(upper, lower, strict=True)):
            letter = self._letters.get((line, column))
            if letter is None or letter[0] == " ":
                yield Segment("▀", _style(*above, *below))
            else:
                under = self._under(line, column)
                yield Segment(letter[0], _style(*letter[1], *(int(x) & 0xFC for x in under)))

    def _under(self, line: int, column: int) -> NDArray[np.float64]:
        return self._pixels[2 * line : 2 * line + 2, column].mean(axis=0)


@lru_cache(maxsize=8192)
def _style(r: int, g: int, b: int, back_r: int, back_g: int, back_b: int) -> Style:
    return Style(color=Color.from_rgb(r, g, b), bgcolor=Color.from_rgb(back_r, back_g, back_b))


def _corners(side: int) -> list[tuple[tuple[int, int], str]]:
    """Where the names of the quadrants stand: ((line, column), words)."""
    q1, q2, q3, q4 = QUADRANT_NAMES
    if 2 * side < len(q1) + len(q2) + 4:
        q1, q2, q3, q4 = (name.split(" ")[0] for name in QUADRANT_NAMES)
    return [
        ((0, 2 * side - len(q1) - 1), q1),
        ((0, 1), q2),
        ((side - 1, 1), q3),
        ((side - 1, 2 * side - len(q4) - 1), q4),
    ]
