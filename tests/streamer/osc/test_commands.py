"""What packets of any kind are read as: no socket, no clock."""

import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pythonosc.osc_bundle_builder import OscBundleBuilder
from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder
from valaro.streamer.osc.commands import LARGEST, UNKNOWN, Command, Ignored, Refusal, handle

MALFORMED = [Ignored("malformed")]
FOREIGN = [Ignored("foreign")]
LIMITS = {
    "/valaro/rate": (-1, 1),
    "/valaro/rate/xy": (0, 1),
    "/valaro/rate/z": (0, 1),
    "/valaro/rate/xy/z": (0, 1),
    "/valaro/offset": (0, 30),
    "/valaro/pause": (0, 1),
    "/valaro/reply": (1, 65535),
}


def message(address: str, tags: str = "", *values: float | str | bytes | None) -> bytes:
    builder = OscMessageBuilder(address)
    filled = iter(values)
    for tag in tags:
        builder.add_arg({"T": True, "F": False}[tag] if tag in "TF" else next(filled), tag)
    return builder.build().dgram


def bundle(*elements: bytes, timetag: bytes = b"\0\0\0\0\0\0\0\1") -> bytes:
    return b"#bundle\0" + timetag + b"".join(struct.pack(">i", len(element)) + element for element in elements)


@pytest.mark.parametrize(
    ("address", "tags", "values"),
    [
        ("/valaro/rate", "ff", (-1.0, 0.5)),
        ("/valaro/rate", "id", (1, -0.25)),
        ("/valaro/rate", "hf", (0, 1.0)),
        ("/valaro/rate", "ffs", (0.5, -0.5, "ben")),
        ("/valaro/rate/xy", "ff", (0.0, 1.0)),
        ("/valaro/rate/z", "i", (0,)),
        ("/valaro/rate/xy/z", "f", (1.0,)),
        ("/valaro/listener", "s", ("ana",)),
        ("/valaro/listener", "s", ("",)),
        ("/valaro/offset", "d", (29.5,)),
        ("/valaro/pause", "i", (1,)),
        ("/valaro/reply", "i", (9000,)),
        ("/valaro/status", "", ()),
    ],
)
def test_a_message_of_the_right_form_is_a_command(address: str, tags: str, values: tuple) -> None:
    assert handle(message(address, tags, *values)) == [Command(address, values)]


def test_true_and_false_are_one_and_zero() -> None:
    assert handle(message("/valaro/pause", "T")) == [Command("/valaro/pause", (1.0,))]
    assert handle(message("/valaro/pause", "F")) == [Command("/valaro/pause", (0.0,))]


def test_type_tags_may_be_left_out_where_there_is_no_argument() -> None:
    assert handle(b"/valaro/status\0\0") == [Command("/valaro/status", ())]


@pytest.mark.parametrize(
    ("address", "tags", "values", "expected"),
    [
        ("/valaro/rate", "f", (0.5,), "two numbers from -1 to 1"),
        ("/valaro/rate", "fff", (0.5, 0.5, 0.5), "two numbers from -1 to 1"),
        ("/valaro/rate", "ss", ("happy", "loud"), "two numbers from -1 to 1"),
        ("/valaro/rate", "ffss", (0.5, 0.5, "ana", "ben"), "and a name if any"),
        ("/valaro/rate", "ff", (1.001, 0.0), "two numbers from -1 to 1"),
        ("/valaro/rate", "ff", (math.nan, 0.0), "two numbers from -1 to 1"),
        ("/valaro/rate", "fd", (0.0, -math.inf), "two numbers from -1 to 1"),
        ("/valaro/rate", "ih", (2**31 - 1, -(2**63)), "two numbers from -1 to 1"),
        ("/valaro/rate/xy", "ff", (-0.5, 0.5), "two numbers from 0 to 1"),
        ("/valaro/rate/z", "", (), "0 when the finger lifts"),
        ("/valaro/listener", "i", (7,), "name, one string"),
        ("/valaro/listener", "b", (b"ana",), "name, one string"),
        ("/valaro/offset", "f", (-0.1,), "seconds from 0 to 30"),
        ("/valaro/offset", "T", (), "seconds from 0 to 30"),
        ("/valaro/pause", "", (), "1 or T to pause"),
        ("/valaro/pause", "i", (2,), "1 or T to pause"),
        ("/valaro/pause", "N", (None,), "1 or T to pause"),
        ("/valaro/reply", "i", (0,), "from 1 to 65535"),
        ("/valaro/reply", "i", (65536,), "from 1 to 65535"),
        ("/valaro/nonsense", "f", (0.5,), "unknown address"),
    ],
)
def test_a_wrong_message_is_refused_with_what_was_expected(
    address: str, tags: str, values: tuple, expected: str
) -> None:
    (refusal,) = handle(message(address, tags, *values))
    assert isinstance(refusal, Refusal)
    assert refusal.address == address
    assert expected in refusal.expected
    assert "\n" not in refusal.expected


def test_an_unknown_address_comes_back_shortened() -> None:
    (refusal,) = handle(message("/valaro/" + "x" * 1000))
    assert isinstance(refusal, Refusal)
    assert len(refusal.address) == 64


@pytest.mark.parametrize(
    ("tags", "values"), [("f", (1.0,)), ("i", (1,)), ("T", ()), ("ssf", ("a", "b", 0.0)), ("N", (None,))]
)
def test_a_status_is_asked_for_with_whatever_a_button_sends_along(tags: str, values: tuple) -> None:
    assert handle(message("/valaro/status", tags, *values)) == [Command("/valaro/status", ())]


@pytest.mark.parametrize("address", ["/valaro/listener", "/valaro/{listener,no}"])
def test_a_name_that_is_not_utf_8_is_refused(address: str) -> None:
    (refusal,) = handle(message(address, "s", "Jose").replace(b"Jose", b"Jos\xe9"))
    assert isinstance(refusal, Refusal)
    assert refusal.address == "/valaro/listener"
    assert "UTF-8" in refusal.expected


@pytest.mark.parametrize(
    ("pattern", "tags", "values", "expected"),
    [
        ("/valaro/paus?", "T", (), [("/valaro/pause", (1.0,))]),
        ("/valaro/*", "s", ("ana",), [("/valaro/listener", ("ana",))]),
        ("/valaro/*", "", (), [("/valaro/status", ())]),
        ("/*/{pause,offset}", "i", (1,), [("/valaro/offset", (1.0,)), ("/valaro/pause", (1.0,))]),
        ("/valaro/{pause,offset}", "f", (2.0,), [("/valaro/offset", (2.0,))]),  # no value for pause
        ("//pause", "i", (0,), [("/valaro/pause", (0.0,))]),
        ("/valaro/rate*", "ff", (0.5, 0.5), [("/valaro/rate", (0.5, 0.5))]),
        ("/valaro/rate/?y", "ff", (0.5, 0.5), [("/valaro/rate/xy", (0.5, 0.5))]),
        ("/valaro/rate/[w-y][!x]", "ff", (0.5, 0.5), [("/valaro/rate/xy", (0.5, 0.5))]),
    ],
)
def test_a_pattern_is_each_address_that_its_arguments_fit(
    pattern: str, tags: str, values: tuple, expected: list[tuple]
) -> None:
    found = [each for each in handle(message(pattern, tags, *values)) if isinstance(each, Command)]
    assert found == [Command(*each) for each in expected]


@pytest.mark.parametrize(
    ("pattern", "tags", "values", "expected"),
    [
        ("/valaro/no*", "", (), Refusal("/valaro/no*", UNKNOWN)),
        ("/valaro/{pause", "i", (1,), Refusal("/valaro/{pause", UNKNOWN)),
        ("/other/*", "", (), Ignored("foreign", "/other/*")),
        ("/valaro/*/x", "", (), Refusal("/valaro/*/x", UNKNOWN)),
    ],
)
def test_a_pattern_that_matches_nothing_is_an_unknown_address(
    pattern: str, tags: str, values: tuple, expected: Refusal | Ignored
) -> None:
    assert handle(message(pattern, tags, *values)) == [expected]


def test_a_pattern_whose_arguments_fit_nowhere_is_told_what_was_expected() -> None:
    (refusal,) = handle(message("/valaro/{pause,offset}", "s", "on"))
    assert isinstance(refusal, Refusal)
    assert "seconds from 0 to 30" in refusal.expected


def test_another_valaros_answer_is_none_under_a_pattern_either() -> None:
    assert handle(message("/valaro/stat*", "ssffiii", "paused", "ana", 0.0, 1.0, 2, 0, 0)) == FOREIGN


def test_unknown_type_tags_are_wrong_types_and_nothing_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    (refusal,) = handle(b"/valaro/pause\0\0\0,I\0\0")
    assert isinstance(refusal, Refusal)
    (refusal,) = handle(b"/valaro/pause\0\0\0,[i]\0\0\0\0\0\0\0\1")
    assert isinstance(refusal, Refusal)
    assert caplog.records == []


@pytest.mark.parametrize(
    "packet",
    [message("/1/fader1", "f", 0.5), message("/ping"), message("/valarous/rate", "ff", 0.0, 0.0), message("/valaro")],
)
def test_what_is_meant_for_others_is_foreign(packet: bytes) -> None:
    assert handle(packet) == [Ignored("foreign", OscMessage(packet).address)]


def test_answers_are_not_answered() -> None:
    """Or two of them, pointed at each other once, would go on for ever."""
    assert handle(message("/valaro/error", "ss", "/valaro/rate", "expected")) == FOREIGN
    assert handle(message("/valaro/status", "ssffiii", "paused", "ana", 0.0, 1.0, 2, 0, 0)) == FOREIGN


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"\0\0\0\0",
        b"hello, world",
        b"/valaro/status",  # no end
        b"/valaro/\xff\xfe\xfd\0",  # not UTF-8
        b"/valaro/rate\0\0\0\0ff\0\0\0\0\0\0\0\0\0\0",  # no comma
        message("/valaro/rate", "ff", 0.5, 0.5)[:-4],  # python-osc alone would make the second one 0
        message("/valaro/rate", "dd", 0.5, 0.5)[:-1],
        message("/valaro/listener", "s", "ana")[:-4],
        b"#bundle\0",
        b"#bundle\0\0\0\0",
        bundle() + b"\0\0",
        bundle(message("/valaro/status")) + struct.pack(">i", -4),  # python-osc alone would never come back
        bundle(message("/valaro/status")) + struct.pack(">i", 0),
        bundle(message("/valaro/status")) + struct.pack(">i", 4),
        message("/valaro/listener", "s", "x" * 65_000),
        b"/" * 65_507,
    ],
)
def test_what_is_no_osc_is_malformed(packet: bytes) -> None:
    assert handle(packet) == MALFORMED


def test_a_bundle_gives_its_messages_in_order_whatever_its_timetag() -> None:
    builder = OscBundleBuilder(2_000_000_000)  # in 2033
    inner = OscBundleBuilder(1)
    for each, name in ((builder, "ana"), (inner, "bo")):
        content = OscMessageBuilder("/valaro/listener")
        content.add_arg(name)
        each.add_content(content.build())
    builder.add_content(inner.build())
    expected = [Command("/valaro/listener", (name,)) for name in ("ana", "bo")]
    assert handle(builder.build().dgram) == expected


def test_one_bad_message_of_a_bundle_leaves_the_others() -> None:
    packet = bundle(message("/valaro/pause", "T"), b"junk", message("/ping"), message("/valaro/offset", "f", 1.0))
    assert handle(packet) == [
        Command("/valaro/pause", (1.0,)),
        *MALFORMED,
        Ignored("foreign", "/ping"),
        Command("/valaro/offset", (1.0,)),
    ]


def test_an_empty_bundle_says_nothing() -> None:
    assert handle(bundle()) == []


def test_a_bundle_as_deep_as_a_packet_allows_is_read() -> None:
    packet = message("/valaro/status")
    while len(packet) + 20 <= LARGEST:
        packet = bundle(packet)
    assert handle(packet) == [Command("/valaro/status", ())]
    assert handle(bundle(packet)) == MALFORMED


def check(packet: bytes) -> None:
    found = handle(packet)
    assert len(found) <= LARGEST // 8
    for each in found:
        if isinstance(each, Command):
            low, high = LIMITS.get(each.address, (0, 0))
            assert all(isinstance(value, str) or low <= value <= high for value in each.values)
        elif isinstance(each, Refusal):
            assert each.address.startswith("/")
            assert each.expected


@given(st.binary(max_size=2_000))
def test_random_bytes_never_raise(packet: bytes) -> None:
    check(packet)


ADDRESSES = st.sampled_from([*LIMITS, "/valaro/listener", "/valaro/status", "/valaro/", "/valaro/no", "/other"])
PIECES = st.one_of(
    ADDRESSES.map(lambda address: address.encode() + b"\0" * (4 - len(address) % 4)),
    st.text("ifhdsTFbNI[]S", max_size=6).map(lambda tags: f",{tags}".encode() + b"\0" * (4 - (len(tags) + 1) % 4)),
    st.floats(width=32).map(lambda value: struct.pack(">f", value)),
    st.integers(-(2**31), 2**31 - 1).map(lambda value: struct.pack(">i", value)),
    st.binary(max_size=8),
)


@given(st.lists(PIECES, max_size=12).map(b"".join), st.booleans())
def test_almost_messages_never_raise(packet: bytes, bundled: bool) -> None:
    check(bundle(packet, packet) if bundled else packet)


@given(ADDRESSES, st.lists(st.one_of(st.floats(), st.integers(-(2**63), 2**63 - 1), st.booleans(), st.text("ab"))))
def test_whole_messages_of_any_types_are_obeyed_or_refused(address: str, values: list) -> None:
    builder = OscMessageBuilder(address)
    tags = {float: "d", int: "h", str: "s"}
    for value in values[:3]:
        builder.add_arg(value, ("T" if value else "F") if isinstance(value, bool) else tags[type(value)])
    packet = builder.build().dgram
    check(packet)
    assert handle(packet) != MALFORMED
