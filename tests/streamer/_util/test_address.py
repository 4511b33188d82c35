"""Every form of address, where one sends and where one listens."""

import socket
from contextlib import ExitStack

import pytest
from valaro.streamer._util.address import listening_at, parse_destination, parse_listening, place, resolve
from valaro.streamer.errors import InputError

UNSPECIFIED = ["*:9000", "0.0.0.0:9000", "[::]:9000", "0:9000", "[::ffff:0.0.0.0]:9000", "[0:0::0]:9000"]
WIDE_ZERO, WIDE_STAR = "\uff10", "\uff0a"  # of East Asian keyboards


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("9000", ("127.0.0.1", 9000)),
        (" stage.local:9000 ", ("stage.local", 9000)),
        ("192.168.1.255:7000", ("192.168.1.255", 7000)),
        ("[::1]:9000", ("::1", 9000)),
        ("[fe80::1%lo]:7000", ("fe80::1%lo", 7000)),
    ],
)
def test_a_form_means_the_same_where_one_sends_and_where_one_listens(text: str, expected: tuple[str, int]) -> None:
    assert parse_destination(text) == parse_listening(text, "OSC input") == expected


@pytest.mark.parametrize("text", [*UNSPECIFIED, f"{WIDE_ZERO}.{WIDE_ZERO}.0.0:9000"])
def test_all_interfaces_are_for_listening_and_refused_for_sending(text: str) -> None:
    with pytest.raises(InputError, match="every address of this machine"):
        parse_destination(text)
    assert parse_listening(text, "OSC input")[1] == 9000


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("osc.udp://10.0.0.2:9000/", "is a URL: write 10.0.0.2:9000 alone"),
        ("http://stage:9000/valaro", "is a URL: write stage:9000 alone"),
        ("127.0.0.1:9000,127.0.0.1:9001", "is a list: give one HOST:PORT each time"),
        ("9000, 9001", "is a list"),
        ("", "has no port"),
        (":9000", "has no port"),
        ("0", "from 1 to 65535"),
        ("70000", "from 1 to 65535"),
        ("::1:9000", "brackets"),
        ("[]:9000", "has no host"),
        ("**:9000", "no host name"),
        ("st*ge:9000", "no host name"),
        (f"{WIDE_STAR}:9000", "no host name"),
    ],
)
def test_what_is_no_address_gets_a_line_that_helps(text: str, says: str) -> None:
    for parse in (parse_destination, lambda each: parse_listening(each, "OSC input")):
        with pytest.raises(InputError, match=says) as caught:
            parse(text)
        assert "\n" not in str(caught.value)


def test_no_resolver_is_asked_for_a_star() -> None:
    with pytest.raises(UnicodeError):
        resolve("*", 9000)


def test_two_ways_to_write_one_place() -> None:
    assert place("9000") == place("localhost:9000") == place("127.0.0.1:9000") == place("127.1:9000")
    assert place("[::1]:9000") == place("[0:0::1]:9000") != place("9000")
    assert place("Stage.local:9000") == place("stage.local.:9000") != place("stage.local:9001")


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
def test_a_star_is_every_interface_of_both_kinds(kind: socket.SocketKind) -> None:
    with ExitStack() as stack:
        opened = [stack.enter_context(each) for each in listening_at("*", 0, kind)]
        assert opened[0].getsockname()[0] == "0.0.0.0"
        assert len({each.getsockname()[1] for each in opened}) == 1
        assert [each.getsockname()[0] for each in opened[1:]] in ([], ["::"])
