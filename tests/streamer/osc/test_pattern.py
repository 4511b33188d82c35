"""Address patterns: against a slow twin that tries every way, and patterns that are made to take for ever."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from valaro.streamer.osc.pattern import is_pattern, matching

ADDRESSES = ["/a", "/a/b", "/a/b/c", "/ab", "/abc", "/b-", "/a!"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("/a", ["/a"]),
        ("/?", ["/a"]),
        ("/a?", ["/ab", "/a!"]),
        ("/*", ["/a", "/ab", "/abc", "/b-", "/a!"]),
        ("/*/*", ["/a/b"]),
        ("//b", ["/a/b"]),
        ("/a//c", ["/a/b/c"]),
        ("//c", ["/a/b/c"]),
        ("//a/b", ["/a/b"]),
        ("/{ab,b-,no}", ["/ab", "/b-"]),
        ("/a{,b,bc}", ["/a", "/ab", "/abc"]),
        ("/[ab]*", ["/a", "/ab", "/abc", "/b-", "/a!"]),
        ("/[!a]*", ["/b-"]),
        ("/b[a-]", ["/b-"]),
        ("/a[b!]", ["/ab", "/a!"]),
        ("/[c-a]", ["/a"]),
        ("/a*c", ["/abc"]),
        ("/[", []),
        ("/{ab", []),
        ("/a]", []),
        ("/a.", []),
        ("", []),
    ],
)
def test_it_matches_as_osc_1_0_says(pattern: str, expected: list[str]) -> None:
    assert matching(pattern, ADDRESSES) == expected


def test_what_is_a_pattern() -> None:
    assert not any(is_pattern(address) for address in ADDRESSES)
    assert all(is_pattern(pattern) for pattern in ("/*", "/a?", "//b", "/[a]", "/{a,b}", "/{"))


@pytest.mark.parametrize(
    "pattern", ["/" + "*a" * 31, "/" + "*" * 63, "/" + "{a,aa,}" * 8, "/" + "*{,a}" * 12, "//" * 32, "/*" * 700]
)
def test_no_pattern_takes_more_than_its_length_times_the_addresss(pattern: str) -> None:
    assert matching(pattern, ["/" + "a" * 60 + "b"]) in ([], ["/" + "a" * 60 + "b"])


@given(st.text("a*?/", max_size=8), st.text("ab/", max_size=8))
def test_wildcards_are_those_of_a_regular_expression(pattern: str, address: str) -> None:
    if "//" not in pattern:
        twin = "".join({"*": "[^/]*", "?": "[^/]"}.get(char, re.escape(char)) for char in pattern)
        assert matching(pattern, [address]) == ([address] if re.fullmatch(twin, address) else [])
