"""An input that comes back otherwise: found again and no other, and made to sound as it did."""

from dataclasses import replace

import numpy as np
import pytest
from valaro.streamer.errors import InputError
from valaro.streamer.sources.devices.channel_format import FormatAdapter, choose
from valaro.streamer.sources.devices.identity import Identity
from valaro.streamer.sources.devices.listing import AudioInput


def device(index: int, name: str, api: str = "ALSA", channels: int = 2, rate: int = 48_000) -> AudioInput:
    return AudioInput(index, name, api, channels, rate, False, "")


CARD = device(1, "Scarlett 2i2: USB Audio (hw:1,0)")
STAGE = [device(0, "HDA Intel: ALC256 (hw:0,0)"), CARD, device(2, "pulse")]


@pytest.mark.parametrize(
    "now",
    [
        CARD,
        replace(CARD, index=4),
        replace(CARD, index=0, name="Scarlett 2i2: USB Audio (hw:0,0)"),
        replace(CARD, name="Scarlett 2i2: USB Audio (hw:12,0)", channels=1, rate=44_100),
    ],
)
def test_it_is_found_by_its_name_whatever_its_numbers(now: AudioInput) -> None:
    assert Identity(CARD, STAGE).find([device(7, "pulse"), now]) == now


@pytest.mark.parametrize(
    "other",
    [
        "Scarlett 4i4: USB Audio (hw:1,0)",  # now in the same place
        "Scarlett 2i2: USB Audio (hw:1,1)",  # the same card's other input
        "Scarlett 2i2: USB Audio",
        "pulse",
    ],
)
def test_another_is_never_taken_for_it(other: str) -> None:
    assert Identity(CARD, STAGE).find([device(1, other)]) is None
    assert Identity(CARD, STAGE).find([replace(CARD, host_api="JACK Audio Connection Kit")]) is None
    assert Identity(CARD, STAGE).find([]) is None


def test_of_two_of_a_kind_only_the_one_in_its_place_will_do() -> None:
    twin = replace(CARD, index=3, name="Scarlett 2i2: USB Audio (hw:2,0)")
    identity = Identity(CARD, [*STAGE, twin])
    assert identity.find([twin]) is None
    assert identity.find([twin, CARD]) == CARD


def test_of_two_of_one_name_it_is_the_same_of_them_once_both_are_there() -> None:
    first, second = device(0, "USB Mic", "Core Audio"), device(1, "USB Mic", "Core Audio")
    identity = Identity(second, [first, second])
    assert identity.find([first]) is None
    assert identity.find([replace(first, index=5), replace(second, index=6)]) == replace(second, index=6)


def test_windows_counts_its_plugs() -> None:
    known = device(3, "Microphone (2- USB Audio)", "Windows WASAPI")
    now = device(1, "Microphone (3- USB Audio)", "Windows WASAPI")
    assert Identity(known, [known]).find([now]) == now


def block(*frames: tuple[float, ...]) -> bytes:
    return np.array(frames, dtype=np.float32).tobytes()


def fit(now: AudioInput, channels: list[int] | None, before: AudioInput = CARD) -> FormatAdapter:
    return FormatAdapter(now, before.rate, *choose(before, channels))


def test_as_it_was_its_blocks_are_taken_as_they_come() -> None:
    same = fit(CARD, None)
    assert (same.channels, same.rate) == (2, 48_000)
    np.testing.assert_array_equal(same.block(block((1, 2), (3, 4))), [[1, 2], [3, 4]])
    assert same.seconds(bytes(8 * 480)) == 0.01


@pytest.mark.parametrize(
    ("before", "asked", "after", "opened", "expected"),
    [
        (2, [2], 2, 2, [[2], [5]]),
        (2, [2], 8, 2, [[2], [5]]),
        (2, None, 8, 2, [[1, 2], [4, 5]]),  # more: those that there were
        (4, [3, 1], 3, 3, [[3, 1], [6, 4]]),  # those that were picked are still there
        (4, [4, 3], 2, 2, [[1.5, 1.5], [4.5, 4.5]]),  # not all of them: the mean
        (2, None, 1, 1, [[1, 1], [4, 4]]),
        (8, None, 32, 8, None),
        (8, [8], 4, 4, None),
    ],
)
def test_other_channels_are_mapped(
    before: int, asked: list[int] | None, after: int, opened: int, expected: list[list[float]] | None
) -> None:
    mapped = fit(replace(CARD, channels=after), asked, replace(CARD, channels=before))
    assert mapped.channels == opened
    if expected is not None:
        samples = block((1, 2, 3)[:opened], (4, 5, 6)[:opened])
        np.testing.assert_array_equal(mapped.block(samples), expected)


def test_another_rate_is_resampled() -> None:
    mapped = fit(replace(CARD, rate=44_100), [2])
    time = np.arange(44_100) / 44_100
    tone = np.stack([np.zeros(44_100), np.sin(2 * np.pi * 441 * time)], axis=1).astype(np.float32)
    assert mapped.seconds(tone.tobytes()) == 1.0
    heard = np.concatenate([mapped.block(part.tobytes()) for part in np.split(tone, 90)])
    assert heard.shape[1] == 1
    assert 0 <= 48_000 - len(heard) < 2_000  # what the resampler still holds
    spectrum = np.abs(np.fft.rfft(heard[:, 0] * np.hanning(len(heard))))
    assert np.fft.rfftfreq(len(heard), 1 / 48_000)[spectrum.argmax()] == pytest.approx(441, abs=1)
    assert np.abs(heard[2_000:-2_000]).max() == pytest.approx(1.0, abs=0.01)


PULSE = device(2, "pulse", channels=32)


def test_of_a_sound_server_only_the_sources_own_channels_are_there() -> None:
    assert choose(PULSE, None, ("mic", 1)) == (None, 1)
    assert choose(PULSE, None, ("stage.monitor", 2)) == (None, 2)
    assert choose(PULSE, [2], ("stage.monitor", 2)) == ([1], 2)
    assert choose(PULSE, [1], ("stage.monitor", 2)) == ([0], 2)  # one alone would be the server's mix of both
    assert choose(PULSE, [3, 4], ("desk", 18)) == ([2, 3], 18)
    assert choose(PULSE, [3, 4]) == ([2, 3], 4)  # nobody can tell
    with pytest.raises(InputError, match=r"^audio input 'pulse' records 'stage', which has channels 1 to 2, not 3, 4$"):
        choose(PULSE, [3, 4], ("stage", 2))
    with pytest.raises(InputError, match=r"^audio input 'pulse' records 'mic', which has channel 1, not 2$"):
        choose(PULSE, [1, 2], ("mic", 1))
