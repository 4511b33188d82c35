"""How much silence replaces missing sound, so that a live stream keeps up with the clock."""

SLACK = 0.5  # s between two blocks beyond which something is missing; less is jitter
AHEAD = 0.1  # s that a block may come early while missing sound may still arrive
SETTLING = 1.0  # s in which that is possible
LONGEST = 10.0  # s filled at once at most


class GapFiller:
    """How many frames of silence keep the stream's time at the clock's, at ``rate`` frames per second.

    While sound flows, the device's clock is the stream's: nothing is added or taken. All times are in seconds, on one
    monotonic clock.
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._until: float | None = None  # the time up to which the stream is filled; None before its first frame
        self._settled = 0.0
        self._silent = False

    @property
    def begun(self) -> bool:
        """Whether there was a first frame."""
        return self._until is not None

    def heard(self, seconds: float, at: float) -> int | None:
        """Take a block of so many seconds that came ``at`` this time; return the frames of silence to put before it.

        None: leave the block out, for silence has replaced it already.
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

    def resume(self, now: float) -> None:
        """Nothing of before ``now`` is missing: the program stood still, and goes on in the present."""
        if self._until is not None:
            self._until = now

    def silence(self, now: float) -> int:
        """The frames of silence that are due ``now``, while nothing comes."""
        if self._until is None:
            self._until = now
        self._until = max(self._until, now - LONGEST)
        frames = max(0, round((now - self._until) * self._rate))
        self._until += frames / self._rate
        self._silent = True
        return frames
