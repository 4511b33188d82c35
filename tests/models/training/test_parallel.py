"""Tasks in processes of their own: in order, their errors as they are, a death as one line."""

import math
import os

import pytest
from valaro.models.errors import DataError
from valaro.models.training.parallel import side_by_side


def test_results_come_in_the_order_of_the_tasks() -> None:
    assert list(side_by_side(math.sqrt, [16.0, 1.0, 9.0], 2)) == [4.0, 1.0, 3.0]
    assert list(side_by_side(math.sqrt, [], 2)) == []


def test_each_is_worked_on_elsewhere_but_a_single_one_here() -> None:
    who = "__import__('os').getpid()"
    assert os.getpid() not in side_by_side(eval, [who, who], 2)
    assert list(side_by_side(eval, [who], 2)) == [os.getpid()]
    assert list(side_by_side(eval, [who, who], 1)) == [os.getpid()] * 2


def test_what_fails_is_raised_and_a_process_that_dies_is_one_line() -> None:
    with pytest.raises(ValueError, match=r"domain|nonnegative"):
        list(side_by_side(math.sqrt, [4.0, -1.0], 2))
    with pytest.raises(DataError, match="a process died"):
        list(side_by_side(os._exit, [3, 3], 2))
