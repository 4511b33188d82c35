"""The map's expressions against Python's own arithmetic, and its smoothing against the filter's closed form."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from valaro.streamer.core.affect import Affect
from valaro.streamer.errors import InputError
from valaro.streamer.sinks.expressions import compile_expression
from valaro.streamer.sinks.mapping import Mapped, Smoothed, check_address, smooth

HEATMAP = np.random.default_rng(4).dirichlet(np.full(121, 0.3)).reshape(11, 11)
AFFECT = Affect(
    time=12.5,
    valence=-0.25,
    arousal=0.5,
    covariance=np.eye(2),
    heatmap=HEATMAP,
    quadrants=np.array([0.1, 0.2, 0.3, 0.4]),
    confidence=0.6,
    level=0.75,
    activity="music",
    tags={"dark": 0.9, "two words": 0.8, "broken": math.nan},
)


def at(time: float, valence: float) -> Affect:
    return dataclasses.replace(AFFECT, time=time, valence=valence)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("valence", -0.25),
        ("arousal", 0.5),
        ("confidence", 0.6),
        ("level", 0.75),
        ("time", 12.5),
        ("q1", 0.1),
        ("q2", 0.2),
        ("q3", 0.3),
        ("q4", 0.4),
        ("happy", 0.1),
        ("tense", 0.2),
        ("sad", 0.3),
        ("calm", 0.4),
        ("cell(2, 7)", HEATMAP[2, 7]),
        ("cell(0, 0) + cell(10, 10)", HEATMAP[0, 0] + HEATMAP[10, 10]),
        ('tag("dark")', 0.9),
        ("tag('two words')", 0.8),
        ('tag("absent")', 0.0),
        ('tag("broken")', 0.0),
        ("1 - q1 * 2", 0.8),
        ("(1 - q1) * 2", 1.8),
        ("-valence", 0.25),
        ("--valence", -0.25),
        ("2e-1 + 1", 1.2),
        ("1 - 2 - 3", -4.0),
        ("level / 3 / 5", 0.05),
        ("min(q2, q1, q3)", 0.1),
        ("max(q1, -valence)", 0.25),
        ("abs(valence)", 0.25),
        ("  valence \n + arousal  ", 0.25),
        ("q1 / (q1 - q1)", 0.0),
        ("1 + 1 / 0", 1.0),
        ("1e300 * 1e300", 0.0),
        ("1e300 * 1e300 - 1e300 * 1e300", 0.0),
        (" + ".join(f"cell({a}, {v})" for a in range(5, 11) for v in range(11)), HEATMAP[5:].sum()),
    ],
)
def test_expressions(text: str, value: float) -> None:
    found = compile_expression(text).value(AFFECT)
    assert type(found) is float
    assert found == pytest.approx(value, abs=1e-15)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "an expression is missing"),
        ("valance", 'unknown name "valance"; did you mean "valence"?'),
        ("Arousal", 'did you mean "arousal"?'),
        ("joy", "there are valence, arousal"),
        ("valence +", "cannot be read"),
        ("valence; arousal", "cannot be read"),
        ("valence) + (arousal", "cannot be read"),
        ("q1 = 2", "cannot be read"),
        ("a\0b", "cannot be read"),
        ("__import__('os')", 'unknown function "__import__"'),
        ("().__class__", "a dot between names has no place"),
        ("valence.real", "a dot between names"),
        ("(lambda: 1)()", "such a call"),
        ("[q1 for q1 in q2]", "no place"),
        ("9**9**9**9", '"**" has no place'),  # computing it would outlast the machine
        ("q1 ^ 2", '"^"'),
        ("q1 // 2", '"//"'),
        ("q1 < q2", "a comparison"),
        ("q1 if q2 else q3", "no place"),
        ("True", "no place"),
        ("~1", "no place"),
        ("+q1", "no place"),
        ("1j", "no place"),
        ("'valence'", "no place"),
        ("f'{q1}'", "no place"),
        ("(q1 := 2)", "no place"),
        ("1e999", "too large"),
        ("9" * 400, "too large"),
        ("cell", "needs its arguments"),
        ("cell(11, 0)", "two whole numbers from 0 to 10"),
        ("cell(-1, 0)", "two whole numbers from 0 to 10"),
        ("cell(1.0, 0)", "two whole numbers from 0 to 10"),
        ("cell(True, 0)", "two whole numbers from 0 to 10"),
        ("cell(1)", "two whole numbers from 0 to 10"),
        ("cell(a=1, v=2)", "such a call"),
        ("tag(dark)", 'tag("name")'),
        ("min(q1)", "min(a, b)"),
        ("min(*q1, q2)", "no place"),
        ("abs(q1, q2)", "abs(a)"),
        ("abz(q1)", 'did you mean "abs"?'),
        ("q1(2)", "takes no arguments"),
        ("(" * 10_000 + "1" + ")" * 10_000, "at most 1000 characters"),
        ("(" * 400 + "1" + ")" * 400, "cannot be read"),
        ("-" * 999 + "1", "within each other"),
        ("+".join(["q1"] * 200), "within each other"),
    ],
)
def test_all_else_is_refused_in_one_line(text: str, says: str) -> None:
    with pytest.raises(InputError) as refused:
        compile_expression(text)
    message = str(refused.value)
    assert says in message
    assert "\n" not in message
    assert len(message) < 300


@given(st.text(max_size=60) | st.text("q1valencmixtg()+-*/.,\"' 0", max_size=60))
def test_no_text_does_anything_but_compile_or_be_refused(text: str) -> None:
    try:
        value = compile_expression(text).value(AFFECT)
    except InputError:
        return
    assert math.isfinite(value)


def test_ranges_clip_reverse_and_bend() -> None:
    plain = Mapped("valence", "/a")
    assert [plain(at(0, v)) for v in (-2.0, -1.0, 0.0, 0.5, 1.0, 2.0)] == [0.0, 0.0, 0.5, 0.75, 1.0, 1.0]
    reversed_ = Mapped("valence", "/a", out_range=(255.0, 0.0))
    assert [reversed_(at(0, v)) for v in (-1.0, 0.0, 1.0)] == [255.0, 127.5, 0.0]
    turned = Mapped("valence", "/a", source_range=(1.0, 0.0))
    assert [turned(at(0, v)) for v in (-1.0, 0.25, 1.0)] == [1.0, 0.75, 0.0]
    bent = Mapped("valence", "/a", curve=2.0, out_range=(1.0, 2.0))
    assert [bent(at(0, v)) for v in (-1.0, 0.0, 1.0)] == [1.0, 1.25, 2.0]


def test_only_a_bare_name_brings_its_own_range() -> None:
    assert Mapped("arousal", "/a")(AFFECT) == 0.75
    assert Mapped("happy", "/a")(AFFECT) == 0.1
    assert Mapped("-valence", "/a")(AFFECT) == 0.25
    assert Mapped("time", "/a", source_range=(0.0, 50.0))(AFFECT) == 0.25
    with pytest.raises(InputError, match="no natural range"):
        Mapped("time", "/a")


@pytest.mark.parametrize(
    ("choice", "says"),
    [
        ({"source_range": (1.0, 1.0)}, "different"),
        ({"out_range": (0.0, math.nan)}, "finite"),
        ({"out_range": (0.0, 1e39)}, "finite"),
        ({"curve": 0.0}, "above 0"),
        ({"curve": math.inf}, "above 0"),
        ({"attack": -1.0}, "0 or more"),
        ({"release": math.nan}, "0 or more"),
    ],
)
def test_mapped_refuses_what_cannot_be_meant(choice: dict, says: str) -> None:
    with pytest.raises(InputError, match=says):
        Mapped("valence", "/a", **choice)


@pytest.mark.parametrize("address", ["/a", "/composition/layers/1/video/opacity", "/0/dmx/0", "/a-b_c.d:e"])
def test_good_addresses(address: str) -> None:
    assert check_address(address) == address


@pytest.mark.parametrize("address", ["", "a", "valence/x", *(f"/a{sign}b" for sign in " #*,?[]{}\n\0é")])
def test_bad_addresses(address: str) -> None:
    with pytest.raises(InputError, match="an OSC address"):
        check_address(address)


def test_attack_and_release_cover_63_percent_in_their_time() -> None:
    entry = Mapped("valence", "/a", attack=0.2, release=1.5)
    assert entry(at(0.0, -1.0)) == 0.0
    assert entry(at(0.2, 1.0)) == pytest.approx(1 - 1 / math.e)
    entry = Mapped("valence", "/a", attack=0.2, release=1.5)
    assert entry(at(0.0, 1.0)) == 1.0
    assert entry(at(1.5, -1.0)) == pytest.approx(1 / math.e)
    # What is sent rises, where the range is reversed and the source falls.
    entry = Mapped("valence", "/a", out_range=(1.0, 0.0), attack=0.2, release=1.5)
    assert entry(at(0.0, 1.0)) == 0.0
    assert entry(at(0.2, -1.0)) == pytest.approx(1 - 1 / math.e)


def test_the_first_value_is_taken_as_it_is_and_a_loop_begins_afresh() -> None:
    entry = Mapped("valence", "/a", attack=5.0, release=5.0)
    assert entry(at(100.0, 0.5)) == 0.75
    assert entry(at(100.0, -1.0)) == 0.75  # no time has passed
    assert 0.7 < entry(at(100.1, -1.0)) < 0.75
    assert entry(at(0.5, -1.0)) == 0.0
    assert 0.0 < entry(at(1.0, 1.0)) < 0.2


@given(
    start=st.floats(-1e3, 1e3),
    target=st.floats(-1e3, 1e3),
    cuts=st.lists(st.floats(1e-6, 10.0), min_size=1, max_size=20),
    attack=st.just(0.0) | st.floats(1e-3, 100.0),
    release=st.just(0.0) | st.floats(1e-3, 100.0),
)
def test_the_frame_rate_makes_no_difference(
    start: float, target: float, cuts: list[float], attack: float, release: float
) -> None:
    """Any partition of the time ends where one step does, and that is the closed form."""
    state = Smoothed(0.0, start)
    for cut in cuts:
        state = smooth(state, state.time + cut, target, attack, release)
    whole = smooth(Smoothed(0.0, start), state.time, target, attack, release)
    seconds = attack if target > start else release
    closed = target + (start - target) * (math.exp(-state.time / seconds) if seconds else 0.0)
    assert state.value == pytest.approx(whole.value, rel=1e-9, abs=1e-9)
    assert whole.value == pytest.approx(closed, rel=1e-9, abs=1e-9)
    assert min(start, target) - 1e-9 <= state.value <= max(start, target) + 1e-9


@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats()), max_size=20), st.floats(-1e30, 1e30), st.floats(1e-300, 1e3))
def test_what_is_sent_stays_in_its_range(steps: list[tuple[float, float]], low: float, curve: float) -> None:
    high = low + 1.0 + abs(low)
    entry = Mapped("valence", "/a", out_range=(high, low), curve=curve, attack=0.1, release=3.0)
    slack = 1e-9 * (abs(low) + abs(high))
    for moment, valence in steps:
        assert low - slack <= entry(at(moment, valence)) <= high + slack
