"""Tasks in processes of their own: in order, their errors as they are, a death as one line."""

import math
import os

import pytest
from valaro.models.errors import DataError
from valaro.models.training import parallel
from valaro.models.training.parallel import side_by_side


@pytest.fixture(autouse=True)
def two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "PROCESSES", 2)


def test_results_come_in_the_order_of_the_tasks() -> None:
    assert list(side_by_side(math.sqrt, [16.0, 1.0, 9.0])) == [4.0, 1.0, 3.0]
    assert list(side_by_side(math.sqrt, [])) == []


def test_each_is_worked_on_elsewhere_but_a_single_one_here(monkeypatch: pytest.MonkeyPatch) -> None:
    who = "__import__('os').getpid()"
    assert os.getpid() not in side_by_side(eval, [who, who])
    assert list(side_by_side(eval, [who])) == [os.getpid()]
    monkeypatch.setattr(parallel, "PROCESSES", 1)
    assert list(side_by_side(eval, [who, who])) == [os.getpid()] * 2


def test_what_fails_is_raised_and_a_process_that_dies_is_one_line() -> None:
    with pytest.raises(ValueError, match=r"domain|nonnegative"):
        list(side_by_side(math.sqrt, [4.0, -1.0]))
    with pytest.raises(DataError, match="a process died"):
        list(side_by_side(os._exit, [3, 3]))
