"""Where a live stream stands against the clock, so that silence can stand in for what does not come."""

SLACK = 0.5  # s between two blocks beyond which something is missing; less is the wobble of their arrival
AHEAD = 0.1  # s that a block may come early while what was missing may still come
SETTLING = 1.0  # s in which that may be
LONGEST = 10.0  # s filled at once at most: beyond it, it was not the input that paused, but this program or the machine


class GapFiller:
    """How much silence makes the stream's time go on with the clock's, at ``rate`` frames per second of the stream.

    While sound flows, the device's clock is the stream's: nothing is added or taken. All times are in seconds, on one
    clock that never goes back.
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._until: float | None = None  # the moment that the stream has come to; None before its first frame
        self._settled = 0.0
        self._silent = False

    @property
    def begun(self) -> bool:
        """Whether there was a first frame."""
        return self._until is not None

    def heard(self, seconds: float, at: float) -> int | None:
        """A block of so many seconds came ``at`` this time: the frames of silence to put before it.

        None: leave it out, for silence has stood in for it already.
        """
        if self._until is None:
            self._until = at
            return 0
        missing = at - seconds - self._until
        settling = at < self._settled
        if at < self._until if self._silent else settling and missing < -AHEAD:
            return None
        if not self._silent and missing <= SLACK:
            self._until = self._until + seconds if settling else at
            return 0
        self._silent = False
        self._settled = at + SETTLING
        self._until = max(at, self._until + seconds)
        return round(min(max(missing, 0.0), LONGEST) * self._rate)

    def silence(self, now: float) -> int:
        """Nothing comes: the frames of silence that are due ``now``."""
        if self._until is None:
            self._until = now
        self._until = max(self._until, now - LONGEST)
        frames = max(0, round((now - self._until) * self._rate))
        self._until += frames / self._rate
        self._silent = True
        return frames
