"""Allowances of ratings."""

from types import SimpleNamespace

import pytest
from valaro.streamer._util import rate_limit
from valaro.streamer._util.rate_limit import Allowance


def test_a_flood_under_a_listeners_name_leaves_the_listeners_own_pad_its_ratings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 100.0
    monkeypatch.setattr(rate_limit, "time", SimpleNamespace(monotonic=lambda: now))
    allowance = Allowance()
    flood = own = 0
    for step in range(1_000):
        now += 0.01
        flood += sum(allowance.take("ana", "10.0.0.1:5000") for _ in range(10))
        if step % 20 == 0:
            own += allowance.take("ana", "10.0.0.1:5001")
    assert own == 50
    assert flood == pytest.approx(20 + 10 * 10, abs=1)
    now += 100.0
    allowance.take("ben")
    assert len(allowance._left) == 1
