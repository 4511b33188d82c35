"""One entry of an OSC map: a value of each emission, scaled, bent and smoothed, for one address."""

import math
from typing import NamedTuple

from ..core.affect import Affect
from ..errors import InputError
from .expressions import Range, compile_expression

FLOAT32 = 3.4e38  # the largest number that an OSC float can carry


class Smoothed(NamedTuple):
    """The smoothing's state: the output ``value`` at ``time`` s of the stream."""

    time: float
    value: float


def smooth(state: Smoothed | None, time: float, target: float, attack: float, release: float) -> Smoothed:
    """One step of a one-pole filter towards ``target``, which is taken to have held since the last step.

    After ``attack`` s of a rise (``release`` s of a fall) 1 - 1/e = 63 % of the way is covered, in however many steps.
    The first target is taken as it is, and so is one whose time lies before the last.
    """
    if state is None or not time >= state.time:
        return Smoothed(time, target)
    seconds = attack if target > state.value else release
    if seconds == 0.0:
        return Smoothed(time, target)
    return Smoothed(time, target + (state.value - target) * math.exp((state.time - time) / seconds))


class Mapped:
    """Gives for each emission, in order, the number to send to ``address``.

    Parameters
    ----------
    source : an expression (:func:`~valaro.streamer.sinks.expressions.compile_expression`).
    address : the OSC address, such as ``/composition/layers/1/video/opacity``.
    source_range : the source's range; by default the natural one of a bare name, else (0, 1). Values outside are
        clipped.
    out_range : the output at the ends of ``source_range``; may be reversed.
    curve : exponent of the share between the ends: above 1 it stays low longer.
    attack, release : time constants (s) of a rise and of a fall of what is sent; 0 follows at once. Their clock is the
        emissions' own ``time``, so that the rate of the emissions makes no difference.

    Raises
    ------
    InputError
        A parameter is out of range, or the expression or the address is invalid.
    """

    def __init__(
        self,
        source: str,
        address: str,
        *,
        source_range: Range | None = None,
        out_range: Range = (0.0, 1.0),
        curve: float = 1.0,
        attack: float = 0.0,
        release: float = 0.0,
    ) -> None:
        expression = compile_expression(source)
        if source_range is None:
            source_range = expression.natural
        if source_range is None:
            raise InputError(f'"{source.strip()}" has no natural range: say the source\'s range')
        self.address = check_address(address)
        self._value = expression.value
        self._from = check_range(source_range)
        self._to = check_range(out_range)
        self._curve = check_curve(curve)
        self._attack = check_seconds(attack)
        self._release = check_seconds(release)
        self._state: Smoothed | None = None

    def __call__(self, affect: Affect) -> float:
        """The number to send now, within ``out_range``."""
        (low, high), (first, last) = self._from, self._to
        share = min(max((self._value(affect) - low) / (high - low), 0.0), 1.0) ** self._curve
        target = first * (1.0 - share) + last * share  # exact at both ends
        self._state = smooth(self._state, affect.time, target, self._attack, self._release)
        return self._state.value


def check_address(address: str) -> str:
    """``address`` if it is valid (OSC 1.0, "OSC Address Spaces"); raises InputError otherwise."""
    if not address.startswith("/"):
        raise InputError(f"an OSC address begins with /: {_quoted('/' + address.strip())}")
    if wrong := next((letter for letter in address if letter in " #*,?[]{}" or not ("!" <= letter <= "~")), None):
        name = "a space" if wrong == " " else _quoted(wrong)
        raise InputError(f"an OSC address may not hold {name}: {_quoted(address)}")
    return address


def check_range(ends: tuple[float, ...]) -> Range:
    """Both ends of a range, finite and different, within the range of an OSC float; raises InputError otherwise."""
    if len(ends) != 2:
        raise InputError(f"a range has two ends, such as [0.0, 1.0], not {len(ends)}")
    low, high = ends
    if not (abs(low) <= FLOAT32 and abs(high) <= FLOAT32):  # NaN is neither
        raise InputError(f"a range's ends must be finite numbers, not [{low:g}, {high:g}]")
    if low == high:
        raise InputError(f"a range's ends must be different, not both {low:g}")
    return low, high


def check_curve(curve: float) -> float:
    """A finite exponent above 0; raises InputError otherwise."""
    if not (math.isfinite(curve) and curve > 0.0):
        raise InputError(f"a curve must be a number above 0, such as 2.0, not {curve:g}")
    return curve


def check_seconds(seconds: float) -> float:
    """A finite time constant of 0 or more; raises InputError otherwise."""
    if not (math.isfinite(seconds) and seconds >= 0.0):
        raise InputError(f"attack and release are seconds, 0 or more, not {seconds:g}")
    return seconds


def _quoted(text: str) -> str:
    return f'"{text if len(text) <= 60 else text[:57] + "..."}"'
