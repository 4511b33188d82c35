"""A day through the real session, as fast as it goes: ``python -m bench.soak --hours 24`` (`make soak`).

The stream's clock is not the wall's, so months can be had in minutes: the sound of :mod:`.soak_sound` goes through the
ring, the engine with the default bundle and a listener, and the outlet to OSC, a recording and MIDI, with checkpoint
and metrics, as it does in ``valaro listen``. Nothing may be lost, nothing drift, and the memory stay where it is: exit
code 1 when a bound is broken. The recording takes 25 MB an hour in the folder for temporary files, and is read back at
the end.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from valaro.models import load_bundle
from valaro.streamer import Affect, Engine, Session
from valaro.streamer.app.losses import Losses
from valaro.streamer.app.monitoring.sinks import Facts, upkeep_sinks
from valaro.streamer.core.controls import Controls
from valaro.streamer.core.replay import Replay
from valaro.streamer.core.session import Counters
from valaro.streamer.listeners.adaptation import OnlineAdaptation
from valaro.streamer.listeners.store import Listeners
from valaro.streamer.osc.packets import values_by_address
from valaro.streamer.osc.receiver import OscIn, Status
from valaro.streamer.sinks import Osc, Recorder
from valaro.streamer.sinks.mapping import Mapped
from valaro.streamer.sinks.scheduler import OutputScheduler

from .outputs import jack, midi
from .soak_sound import RATE, Programme, recordings
from .soak_watch import Rater, Receipt, Sample, Values, Watch, free_port, sample

DAY = 86_400.0  # s
WARM_UP = 3600.0  # s of stream, or a third of a short run: from here on the memory must be flat
SLOPE = 1.0  # MB a day of resident memory
SHORT = DAY / 4  # of less a day's slope is a guess: what the heap grew by is judged instead, which has no pages
HEAP = 2.0  # MB
OBJECTS = 1_000  # of Python's: less than one an emission in ten minutes
AHEAD = 0.25  # s of sound that the engine may have been given beyond an emission


_SOURCES = ("valence", "arousal", "confidence", "level", "q1", "max(q2, q3) / 2", "cell(5, 5)", "abs(valence)")


def soak(hours: float, *, with_midi: bool = True) -> dict[str, Any]:
    """Run it; the figures, and under ``faults`` what is wrong with them, in words."""
    with tempfile.TemporaryDirectory(prefix="valaro-soak-") as folder, ExitStack() as stack:
        figures = _run(hours, Path(folder), stack, with_midi)
    return figures | {"faults": list(faults(figures))}


def _run(hours: float, folder: Path, stack: ExitStack, with_midi: bool) -> dict[str, Any]:
    songs = recordings()
    programme = Programme(hours, songs)
    bundle = load_bundle()
    controls = Controls(listener="ana")
    learning = OnlineAdaptation(bundle, controls, lambda: Listeners(folder / "listeners.db"))
    stack.callback(learning.close)
    controls.hear_ratings(learning.rate)
    learning.load()
    port = free_port()
    osc_in = OscIn(str(port), controls, lambda: Status("listening", controls.listener, 0.0, 0.0, 0, 0, 0))
    stack.callback(osc_in.close)
    notes, words = midi(stack.enter_context(jack())) if with_midi else ([], "left out")
    recorder = Recorder(folder / "show.jsonl")
    controls.hear_ratings(recorder.rate)
    maps, same = _maps(), _maps()
    receipts = Receipt(values_by_address), Receipt(lambda affect: _by_address(same, affect))
    oscs = Osc(receipts[0].destination), Osc(receipts[1].destination, contract=False, maps=maps)
    every = 60.0 if hours * 3600.0 < SHORT else 300.0
    running: list[Session] = []  # the metrics ask before there is one

    def counters() -> Counters | None:
        return running[0].counters if running else None

    rater, watch = Rater(port), Watch(lambda: running[0].counters.frames, RATE, every)
    # A receipt comes after its destination: it takes the packet back before the next emission is made.
    sinks = [oscs[0], receipts[0], oscs[1], receipts[1], recorder, *notes, rater, watch]
    outlet = OutputScheduler([(sink, None) for sink in sinks], controls)
    engine = Engine(bundle, RATE, listener=learning)
    kept = upkeep_sinks(
        engine,
        Facts(bundle, None, "fusion", RATE),
        counters,
        Losses(RATE),
        checkpoint=folder / "checkpoint.npz",
        metrics=str(folder / "valaro.prom"),
    )
    session = Session(programme, engine, [outlet, *kept])
    running.append(session)
    fresh, began, began_cpu = sample(0.0), time.perf_counter(), time.process_time()
    session.run()
    wall, cpu = time.perf_counter() - began, time.process_time() - began_cpu
    learning.close()  # all ratings are kept then, or lost
    done = session.counters
    return {
        "hours": hours,
        "recordings": len(songs),
        "wall_s": wall,
        "cpu_s": cpu,
        "frames": done.frames,
        "frames_due": round(hours * 3600 * RATE),
        "frames_dropped": done.dropped,
        "troubles": dict(programme.troubles),
        "bad_samples": done.bad_samples,
        "bad_samples_due": programme.bad_samples,
        "emissions": done.emissions,
        "emissions_due": 2 * done.frames // RATE,
        "received": [receipt.received for receipt in receipts],
        "recorded": sum(1 for _ in Replay(recorder.path)),
        "lost": sum(receipt.lost for receipt in receipts),
        "wrong": sum(receipt.wrong for receipt in receipts),
        "late": watch.late,
        "broken": watch.broken,
        "ahead_s": watch.ahead,
        "sink_faults": done.sink_faults + outlet.faults + recorder.faults + sum(osc.faults for osc in oscs),
        "midi": words,
        "midi_overtaken": sum(note.skipped for note in notes),
        "ratings": rater.sent,
        "ratings_kept": learning.stored,
        "ratings_refused": rater.refused,
        "memory": memory([fresh, *watch.samples], hours * 3600.0),
    }


def _maps() -> list[Mapped]:
    return [Mapped(source, f"/layers/{k}", curve=2.0, attack=0.2, release=1.5) for k, source in enumerate(_SOURCES, 1)]


def _by_address(maps: list[Mapped], affect: Affect) -> Values:
    return {entry.address: [entry(affect)] for entry in maps}


def memory(samples: list[Sample], seconds: float) -> dict[str, Any]:
    """What became of it from the end of the warm-up on.

    The slope is Theil and Sen's, which no single jump bends; what has ``grown`` is the median of the later half less
    that of the half before, since heap and files go up and down with every recording that is opened.
    """
    from scipy import stats  # only now: it would be in the memory that is looked at

    warm = min(WARM_UP, seconds / 3)
    later = [each for each in samples if each.time >= warm] or samples
    middle = (len(later) + 1) // 2
    before, after = np.median(later[:middle], axis=0), np.median(later[-middle:], axis=0)

    def slope(looks: list[Sample]) -> list[float]:
        """MB a day, and where it lies with 95 %."""
        if len(looks) < 2:
            return [0.0, 0.0, 0.0]
        found = stats.theilslopes([look.resident for look in looks], [look.time / DAY for look in looks])
        return [float(found[k]) for k in (0, 2, 3)]

    return {
        "warm_s": warm,
        "start_mb": samples[0].resident,
        "warm_mb": later[0].resident,
        "end_mb": later[-1].resident,
        **dict(zip(("mb_a_day", "mb_a_day_from", "mb_a_day_to"), slope(later), strict=True)),
        "mb_a_day_in_the_later_half": slope(later[-middle:])[0],
        **{f"{name}_grown": float(more) for name, more in zip(Sample._fields, after - before, strict=True)},
        "samples": [each._asdict() for each in samples],
    }


def faults(figures: dict[str, Any]) -> Iterator[str]:
    """Each bound that is broken, in words."""
    f, m = figures, figures["memory"]
    equal = [
        ("frames went through, due were", f["frames"], f["frames_due"]),
        ("frames were dropped", f["frames_dropped"], 0),
        ("bad samples were counted, injected were", f["bad_samples"], f["bad_samples_due"]),
        ("emissions were made, due were", f["emissions"], f["emissions_due"]),
        *(("packets were received, emissions made", received, f["emissions"]) for received in f["received"]),
        ("emissions were recorded, made", f["recorded"], f["emissions"]),
        ("packets were lost", f["lost"], 0),
        ("packets said what the emission did not", f["wrong"], 0),
        ("emissions came at another time than k * 0.5 s", f["late"], 0),
        ("heatmaps were not finite, or did not sum to 1", f["broken"], 0),
        ("times an output failed", f["sink_faults"], 0),
        ("ratings were kept, given", f["ratings_kept"], f["ratings"]),
        ("ratings were refused", f["ratings_refused"], 0),
    ]
    for words, found, due in equal:
        if found != due:
            yield f"{found:,} {words}" + (f" {due:,}" if due else "")
    if f["ahead_s"][0] < 0.0 or f["ahead_s"][1] >= AHEAD:
        yield f"the sound was ahead of the emissions by {f['ahead_s'][0]:.3f} to {f['ahead_s'][1]:.3f} s"
    if 3600.0 * f["hours"] >= SHORT and m["mb_a_day"] >= SLOPE:
        yield f"the memory grows by {m['mb_a_day']:.2f} MB a day"
    for name, most in (("heap", HEAP), ("objects", OBJECTS), ("files", 1), ("threads", 0)):
        if m[f"{name}_grown"] > most:
            yield f"{name}: {m[f'{name}_grown']:+,.1f} while the memory should be flat"


def table(figures: dict[str, Any]) -> Iterator[str]:
    """The figures, line by line."""
    f, m = figures, figures["memory"]
    seconds = 3600.0 * f["hours"]
    troubles = ", ".join(f"{count:,} {kind}" for kind, count in sorted(f["troubles"].items()))
    yield f"{f['hours']:g} h of 48 kHz stereo: {f['recordings']} recordings, the built-in piece, tones, noise, silence"
    yield f"{'troubles':24}{troubles}"
    yield f"{'took':24}{f['wall_s']:.0f} s, {seconds / f['wall_s']:.0f} x real time ({f['cpu_s']:.0f} s of CPU)"
    yield f"{'sound':24}{f['frames']:,} frames, {f['frames_dropped']} dropped"
    yield f"{'no sound at all':24}{f['bad_samples']:,} samples counted, {f['bad_samples_due']:,} injected"
    yield f"{'emissions':24}{f['emissions']:,} made, {f['emissions_due']:,} due, {f['late']} off their time"
    received = " and ".join(f"{each:,}" for each in f["received"])
    yield f"{'OSC':24}{received} received, {f['lost']} lost, {f['wrong']} wrong"
    yield f"{'recorded':24}{f['recorded']:,}"
    yield f"{'MIDI':24}{f['midi']}; {f['midi_overtaken']:,} overtaken by a newer one"
    yield f"{'heatmaps':24}{f['broken']} not finite or not of sum 1"
    yield f"{'ahead of an emission':24}{f['ahead_s'][0]:.3f} to {f['ahead_s'][1]:.3f} s of sound, at any time"
    yield f"{'faults of outputs':24}{f['sink_faults']}"
    yield f"{'ratings':24}{f['ratings']} given, {f['ratings_kept']} kept, {f['ratings_refused']} refused"
    yield (
        f"{'memory, MB':24}{m['start_mb']:.1f} at the start, {m['warm_mb']:.1f} after {m['warm_s'] / 60:.0f} minutes, "
        f"{m['end_mb']:.1f} at the end"
    )
    yield (
        f"{'  a day, MB':24}{m['mb_a_day']:+.2f} (95 %: {m['mb_a_day_from']:+.2f} to {m['mb_a_day_to']:+.2f}) "
        f"after the warm-up, {m['mb_a_day_in_the_later_half']:+.2f} in the later half"
    )
    grown = f"{m['heap_grown']:+.2f} MB of heap, {m['objects_grown']:+,.0f} objects, {m['files_grown']:+.0f} files"
    yield f"{'  half to half':24}{grown}, {m['threads_grown']:+.0f} threads"
    yield from (f"BROKEN: {fault}" for fault in f["faults"])


def main() -> int:
    """The command; 1 when a bound is broken."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--hours", type=float, default=24.0, help="of the stream (default: 24)")
    parser.add_argument("--json", action="store_true", help="the figures as one JSON object")
    chosen = parser.parse_args()
    figures = soak(chosen.hours)
    for line in [json.dumps(figures)] if chosen.json else table(figures):
        print(line)
    return 1 if figures["faults"] else 0


if __name__ == "__main__":
    sys.exit(main())
