"""Finds a lost input again by its name, for indices and card numbers change."""

import re
from collections.abc import Sequence

from .listing import AudioInput

# ALSA's number of the card, and the one that Windows puts before the name of a second plug: "(2- USB Audio)".
_NUMBERS = re.compile(r"(?<=\(hw:)\d+(?=,)|(?<=\()\d+- ")


class Identity:
    """The identity of an input among ``inputs`` when it was first opened, to find it and no other later."""

    def __init__(self, known: AudioInput, inputs: Sequence[AudioInput]) -> None:
        self._name, self._host_api = known.name, known.host_api
        namesakes = self._of_name(inputs)
        self._namesakes, self._position = len(namesakes), namesakes.index(known)
        self._is_unique = len(self._of_kind(inputs)) == 1

    def find(self, inputs: Sequence[AudioInput]) -> AudioInput | None:
        """The same input in a new list, or None.

        The one of this name; of several such, the one in the same place, once all are back. If there is none, and there
        was no second one of its kind, the one whose name differs by the number of its card or plug alone.
        """
        namesakes = self._of_name(inputs)
        if namesakes:
            return namesakes[self._position] if len(namesakes) == self._namesakes else None
        similar = self._of_kind(inputs)
        return similar[0] if self._is_unique and len(similar) == 1 else None

    def _of_name(self, inputs: Sequence[AudioInput]) -> list[AudioInput]:
        return [device for device in inputs if (device.name, device.host_api) == (self._name, self._host_api)]

    def _of_kind(self, inputs: Sequence[AudioInput]) -> list[AudioInput]:
        kind = _NUMBERS.sub("", self._name)
        same_api = [device for device in inputs if device.host_api == self._host_api]
        return [device for device in same_api if _NUMBERS.sub("", device.name) == kind]
