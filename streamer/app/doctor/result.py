"""What a check of ``valaro doctor`` is, and what it finds."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "warn", "fail"]
LIMIT = 15.0  # s that a check may take


@dataclass(frozen=True, slots=True)
class Result:
    """``found`` is what is, ``advice`` what to do about it ("" when nothing need be done), each in one line.

    ``warn``: something that one wants may not work; ``fail``: Valaro does not run, or loses what it should keep.
    """

    name: str
    status: Status
    found: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing to look at; ``limit``: s that it may take."""

    name: str
    look: Callable[[], list[Result]]
    limit: float = LIMIT
