"""What a check of ``valaro doctor`` is, and its result."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "warn", "fail"]
LIMIT = 15.0  # s that a check may take


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a check.

    Parameters
    ----------
    name : of the check.
    status : ``ok``; ``warn``: something may not work; ``fail``: Valaro does not run, or loses data.
    found : the finding, in one line.
    advice : what to do about it, in one line; "": nothing.
    """

    name: str
    status: Status
    found: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """A check: its name, the function that returns its results, and the s that it may take."""

    name: str
    look: Callable[[], list[Result]]
    limit: float = LIMIT
