"""Several channels of one input, each tracked by itself, from the engines to what liblo's oscdump prints."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray
from valaro.models import Bundle, load_bundle
from valaro.streamer.app.monitoring.checkpoint import Checkpoint
from valaro.streamer.core.affect import Affect
from valaro.streamer.core.controls import Controls
from valaro.streamer.core.engine import Engine
from valaro.streamer.core.multichannel import MultichannelEngine
from valaro.streamer.core.replay import Replay
from valaro.streamer.core.session import Session
from valaro.streamer.errors import InputError
from valaro.streamer.sinks import Osc, Recorder
from valaro.streamer.sinks.mapping import Mapped
from valaro.streamer.sinks.scheduler import OutputScheduler
from valaro.streamer.sources import AudioFile
from valaro.streamer.sources.demo import demo_piece

from ..fakes import neutral
from ..oscdump import TAGS, bundles, oscdump, wait_for

RATE = 24_000
CHANNELS = (1, 5, 12)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return load_bundle()


@pytest.fixture(scope="module")
def sound() -> NDArray[np.float32]:
    """Three different stretches of music at 32 kHz side by side, (n, 3): not a whole number of half seconds."""
    piece = demo_piece(32_000)
    size = 5 * 32_000 + 777
    return np.stack([piece[start * size : (start + 1) * size] for start in (0, 4, 7)], axis=1).astype(np.float32)


def pushed(engine: MultichannelEngine, sound: NDArray[np.float32], size: int) -> list[Affect]:
    found = [each for start in range(0, len(sound), size) for each in engine.push(sound[start : start + size])]
    return found + engine.finish()


def test_each_channel_is_heard_exactly_as_if_alone(bundle: Bundle, sound: NDArray[np.float32]) -> None:
    engine = MultichannelEngine(bundle, 32_000, CHANNELS)
    engine.warm_up()
    found = pushed(engine, sound, 1_111)
    assert [(each.time, each.channel) for each in found] == [(0.5 * k, n) for k in range(1, 11) for n in CHANNELS]
    for column, number in enumerate(CHANNELS):
        alone = Engine(bundle, 32_000)
        expected = alone.push(sound[:, column]) + alone.finish()
        for one, other in zip(expected, [each for each in found if each.channel == number], strict=True):
            assert one.record() == replace(other, channel=None).record()
    assert pushed(engine, sound, 5_000)[-1].record() == found[-1].record()  # finishing began it afresh


def test_one_channel_s_faults_and_silence_are_its_own(bundle: Bundle, sound: NDArray[np.float32]) -> None:
    broken = sound.copy()
    broken[:, 1] = np.nan
    broken[:, 2] = 0.0
    engine = MultichannelEngine(bundle, 32_000, CHANNELS)
    found = pushed(engine, broken, 16_000)
    clean = pushed(MultichannelEngine(bundle, 32_000, CHANNELS), sound, 16_000)
    assert engine.bad_samples == len(sound)
    assert {each.activity for each in found if each.channel != 1} == {"silence"}
    for one, other in zip(found[::3], clean[::3], strict=True):
        assert one.record() == other.record()


def test_what_was_remembered_can_be_gone_on_from(bundle: Bundle, sound: NDArray[np.float32]) -> None:
    first, second = MultichannelEngine(bundle, 32_000, CHANNELS), MultichannelEngine(bundle, 32_000, CHANNELS)
    first.push(sound[:64_000])
    second.resume(first.state)
    for engine, before in zip(second.engines.values(), first.engines.values(), strict=True):
        assert np.array_equal(engine.state.heatmap, before.state.heatmap)
    with pytest.raises(ValueError, match="zip"):
        second.resume(first.state[:2])


def test_a_checkpoint_holds_all_channels(bundle: Bundle, sound: NDArray[np.float32], tmp_path: Path) -> None:
    before, after, fewer = (
        MultichannelEngine(bundle, 32_000, channels) for channels in (CHANNELS, CHANNELS, CHANNELS[:2])
    )
    checkpoint = Checkpoint(tmp_path / "state", before, "digest", "fusion of 1, 5, 12")
    for affect in before.push(sound[:64_000]):
        checkpoint.send(affect)
    checkpoint.close()
    assert Checkpoint(tmp_path / "state", after, "digest", "fusion of 1, 5, 12").resume()
    for number in CHANNELS:
        assert np.array_equal(after.engines[number].state.heatmap, before.engines[number].state.heatmap)
    assert not Checkpoint(tmp_path / "state", fewer, "digest", "fusion of 1, 5").resume()


@pytest.mark.parametrize("channels", [(), (1, 2, 1), (0,), (-3,), (10_000,)])
def test_channels_that_cannot_be_meant_are_refused(bundle: Bundle, channels: tuple[int, ...]) -> None:
    with pytest.raises(InputError) as refused:
        MultichannelEngine(bundle, RATE, channels)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("shape", [(100,), (100, 2), (100, 4), (100, 3, 1)])
def test_another_number_of_columns_is_a_mistake_of_the_program(bundle: Bundle, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="are wanted"):
        MultichannelEngine(bundle, RATE, CHANNELS).push(np.zeros(shape, dtype=np.float32))


def under(number: int) -> dict[str, str]:
    """The addresses of one channel, with their types."""
    return {address.replace("/valaro/", f"/valaro/{number}/"): tags for address, tags in TAGS.items()}


def test_a_file_s_channels_go_out_under_their_numbers_and_a_replay_repeats_it(
    bundle: Bundle, sound: NDArray[np.float32], tmp_path: Path
) -> None:
    path, recording = tmp_path / "band.wav", tmp_path / "show.jsonl"
    soundfile.write(path, sound[: 3 * 16_000], 32_000, subtype="FLOAT")
    printed = [tmp_path / "live", tmp_path / "again"]
    with oscdump(printed[0]) as port:
        source, recorder = AudioFile(path), Recorder(recording)
        outlet = OutputScheduler([(Osc(f"127.0.0.1:{port}"), None), (recorder, None)], Controls())
        Session(source, MultichannelEngine(bundle, source.rate, (1, 2, 3)), [outlet]).run()
        wait_for(lambda: len(bundles(printed[0].read_text())) == 9)
        live = [content for _, content in bundles(printed[0].read_text())]
    assert [set(content) for content in live] == [set(under(number)) for _ in range(3) for number in (1, 2, 3)]
    for k, content in enumerate(live):
        assert {address: values[0] for address, values in content.items()} == under(k % 3 + 1)
    heatmaps = {number: live[number - 1][f"/valaro/{number}/heatmap"] for number in (1, 2, 3)}
    assert len({tuple(values) for values in heatmaps.values()}) == 3
    with oscdump(printed[1]) as port:
        sink = Osc(f"127.0.0.1:{port}")
        assert Replay(recording, speed=100.0).run([sink]) == 9
        wait_for(lambda: len(bundles(printed[1].read_text())) == 9)
        sink.close()
    assert [content for _, content in bundles(printed[1].read_text())] == live


def band() -> Iterator[Affect]:
    for k in (1, 2):
        for number in CHANNELS:
            yield replace(neutral(0.5 * k, level=number / 100 + k / 10), channel=number)


def test_cells_and_maps_keep_the_channels_apart(tmp_path: Path) -> None:
    def maps(number: int) -> list[Mapped]:
        return [Mapped("level", f"/layer/{number}/opacity", release=9.0)]

    with oscdump(tmp_path / "printed") as port:
        first = Mapped("level", "/master", attack=1e-9)
        sink = Osc(f"127.0.0.1:{port}", contract=False, cells=True, maps=[first], channel_maps=maps)
        for affect in band():
            sink.send(affect)
        wait_for(lambda: (tmp_path / "printed").read_text().count("/valaro/12/cell/10/10") == 2)
        sink.close()
    found: dict[str, list[float]] = {}
    for line in (tmp_path / "printed").read_text().splitlines():
        _, address, *rest = line.split()
        if address != "/knock":
            found.setdefault(address, []).append(float(rest[1]))
    assert {address for address in found if "cell" in address} == {
        f"/valaro/{number}/cell/{a}/{v}" for number in CHANNELS for a in range(11) for v in range(11)
    }
    assert all(values == pytest.approx([1 / 121] * 2, abs=1e-6) for name, values in found.items() if "cell" in name)
    assert found["/master"] == pytest.approx([0.11, 0.21])  # the first channel's alone
    for number in CHANNELS:
        assert found[f"/layer/{number}/opacity"] == pytest.approx([number / 100 + 0.1, number / 100 + 0.2])


def test_plain_messages_and_the_sound_as_a_whole_stay_as_they_were(tmp_path: Path) -> None:
    with oscdump(tmp_path / "printed") as port:
        sink = Osc(f"127.0.0.1:{port}", False, maps=[Mapped("level", "/master")], channel_maps=lambda _: [])
        sink.send(neutral(0.5, level=0.5))
        wait_for(lambda: "/master" in (tmp_path / "printed").read_text())
        sink.close()
    lines = [line.split() for line in (tmp_path / "printed").read_text().splitlines()]
    assert {line[1] for line in lines} == {"/knock", "/master", *TAGS}
