"""What a session lost: one table of all that its parts count, which closing line, status, metrics and exit code read.

A part counts for itself, in its own fields; :data:`ACCOUNTS` says what each of them means. A field that counts faults
and stands in no row is found by a test, and a part of no row cannot be watched.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from ..errors import ExitCode

Unit = Literal["times", "frames"]
MOST_NAME = 120  # characters of a destination's or a file's name, as a label


@dataclass(frozen=True, slots=True)
class Account:
    """One count that a part keeps.

    Parameters
    ----------
    field : the part's attribute: a number, or whether it happened; a dot goes into what an attribute holds.
    words : for the closing line; ``{n}`` is the number, or the seconds of as many frames, ``{of}`` the part's name.
    lost : whether something is gone that was wanted. What was refused and answered, or what newer news overtook, is
        told only.
    unit : what is counted: times, or frames of sound.
    """

    field: str
    words: str
    lost: bool = True
    unit: Unit = "times"


ACCOUNTS: Mapping[str, tuple[Account, ...]] = {
    "session": (
        Account("dropped", "{n} s of sound", unit="frames"),
        Account("losses", "{n} times the input"),
        Account("filled", "{n} s of it filled with silence", unit="frames"),
        Account("flags", "{n} device faults"),
        Account("bad_samples", "{n} samples that were no numbers"),
        Account("bad_emissions", "{n} emissions with numbers that were none"),
        Account("sink_faults", "{n} times an output"),
    ),
    "file": (Account("broke_off", "the end of {of}, which breaks off"),),
    "engine": (Account("bad_heatmaps", "{n} heatmaps that were no numbers: the neutral one went out"),),
    "replay": (Account("passed_over", "{n} lines of the recording that are no records"),),
    "outlet": (
        Account("faults", "{n} times an output"),
        # Who ends a show wants no more of it; one that ends by itself waits for them.
        Account("unsent", "{n} emissions were to go out later when it was ended", lost=False),
        Account("stale", "{n} emissions whose time passed while the program stood still"),
    ),
    "osc": (Account("faults", "{n} sendings to OSC {of}"),),
    "midi": (
        Account("faults", "{n} emissions to MIDI {of}"),
        Account("skipped", "{n} emissions to MIDI {of} were overtaken by newer ones", lost=False),
    ),
    "midi_in": (
        Account("refused", "{n} ratings over MIDI that could not be taken"),
        Account("faults", "{n} ratings over MIDI that failed"),
    ),
    "osc_in": (
        Account("counters.faults", "{n} OSC messages that failed within Valaro"),
        Account("counters.refused", "{n} OSC messages that asked for what cannot be", lost=False),
        Account("counters.unanswered", "{n} OSC messages had no answer", lost=False),
        Account("counters.over", "{n} OSC packets went unread, since their sender sent too many", lost=False),
        Account("counters.dropped", "{n} OSC packets came faster than the system could hold", lost=False),
    ),
    "oscquery": (
        Account("failed", "OSCQuery, which ended"),
        # Who is let go may come again, who reads slowly gets the newest next, and who is refused is answered.
        Account("faults", "{n} times an OSCQuery client was refused or let go", lost=False),
    ),
    "record": (Account("faults", "{n} lines of {of}"),),
    "sound": (Account("failed", "a part of the sound of {of}"),),
    "screen": (),
    "plugin": (
        Account("faults", "{n} times the plugin {of}"),
        Account("skipped", "{n} emissions that the plugin {of} did not take"),
    ),
    "decoder": (
        Account("missing", "{n} decoders that could not be had"),
        Account("decoder_faults", "{n} times a decoder"),
    ),
    "ratings": (Account("lost", "{n} ratings that could not be kept"),),
    "checkpoint": (Account("faults", "{n} times the checkpoint {of} was not written"),),
    "metrics": (Account("faults", "{n} times the metrics {of} were not written"),),
}

# Numbers and flags of parts that count no loss: what went well, what is so now, where it is.
NO_LOSS: Mapping[str, frozenset[str]] = {
    "session": frozenset({"frames", "emissions"}),
    "file": frozenset({"rate", "channels", "finished", "live"}),
    "replay": frozenset({"sent"}),
    "outlet": frozenset({"not_due"}),
    "midi": frozenset({"connected"}),
    # A rating that could not be kept is counted once, by whoever stores it.
    "midi_in": frozenset({"connected", "ratings", "lost"}),
    "osc_in": frozenset(
        {"port", *(f"counters.{what}" for what in ("messages", "obeyed", "foreign", "malformed", "lost"))}
    ),
    "oscquery": frozenset({"port", "listeners"}),
    "ratings": frozenset({"stored", "pending"}),
}


@dataclass(frozen=True, slots=True)
class Loss:
    """One count of one part, as of now; ``words`` have the number in them."""

    part: str
    name: str
    field: str
    count: int
    words: str
    lost: bool
    unit: Unit


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command did, in one line, and its exit code; ``lost`` has the counts by part and field."""

    line: str
    exit_code: ExitCode
    lost: Mapping[str, int]


class Losses:
    """The parts of a session that may lose something; ``rate``, in frames a second, makes seconds of frames."""

    def __init__(self, rate: float = 1.0) -> None:
        self.rate = rate
        self._watched: list[tuple[str, str, Callable[[], object | None], bool]] = []

    def watch(self, part: str, which: Callable[[], object | None], name: str = "", *, wanted: bool = True) -> None:
        """From now on count what a part loses.

        Parameters
        ----------
        part : its row of :data:`ACCOUNTS`; KeyError for one that has none.
        which : returns the part that has the row's fields; None while there is none.
        name : the destination or the file; "" where there is one of its kind.
        wanted : whether somebody asked for it; of what nobody asked for, faults are told and count as no loss.
        """
        ACCOUNTS[part]
        self._watched.append((part, name[:MOST_NAME], which, wanted))

    def all(self) -> list[Loss]:
        """Every count of every part that is there, zeros too."""
        return [
            self._read(part, name, found, account, wanted)
            for part, name, which, wanted in self._watched
            if (found := which()) is not None
            for account in ACCOUNTS[part]
        ]

    def lost(self) -> list[str]:
        """What is gone, in words."""
        return [loss.words for loss in self.all() if loss.count and loss.lost]

    def told(self) -> list[str]:
        """What is to be said and is no loss."""
        return [loss.words for loss in self.all() if loss.count and not loss.lost]

    def total(self, unit: Unit) -> int:
        """The sum of what is lost: times, or frames of sound."""
        return sum(loss.count for loss in self.all() if loss.lost and loss.unit == unit)

    def by_part(self) -> dict[str, int]:
        """Times that each kind of part lost something."""
        sums: dict[str, int] = {}
        for loss in self.all():
            if loss.lost and loss.unit == "times":
                sums[loss.part] = sums.get(loss.part, 0) + loss.count
        return sums

    def outcome(self, done: str) -> Outcome:
        """How it ended: ``done`` says what was done; the rest is told here."""
        found = [loss for loss in self.all() if loss.count]
        lost = [loss.words for loss in found if loss.lost]
        line = f"{done}, lost {', '.join(lost)}" if lost else f"{done}, lost nothing"
        line = "; ".join([line, *(loss.words for loss in found if not loss.lost)])
        counts: dict[str, int] = {}
        for loss in found:
            if loss.lost:
                key = f"{loss.part}.{loss.field}"
                counts[key] = counts.get(key, 0) + loss.count
        return Outcome(line, ExitCode.LOST if lost else ExitCode.DONE, counts)

    def _read(self, part: str, name: str, found: object, account: Account, wanted: bool) -> Loss:
        value: object = found
        for field in account.field.split("."):
            value = getattr(value, field)
        # None is a count that the system does not keep.
        count = len(value) if isinstance(value, Mapping) else int(value or 0)  # type: ignore[call-overload]
        number = f"{count / self.rate:.3g}" if account.unit == "frames" else str(count)
        words = account.words.format(n=number, of=name)
        if not wanted:
            words = f"{words} found nobody there"
        return Loss(part, name, account.field, count, words, account.lost and wanted, account.unit)
