import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from valaro.models.errors import DataError
from valaro.models.training.corpus.splits import grouped_folds, joined_in_pairs


def test_ten_folds_join_to_five() -> None:
    assert joined_in_pairs(range(10)).tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


@given(st.lists(st.integers(0, 30), min_size=2, max_size=60))
def test_each_item_is_tested_once_and_never_with_its_group(artists: list[int]) -> None:
    groups, folds = [f"artist {a}" for a in artists], [a % 5 for a in artists]
    if len(set(folds)) < 2:
        with pytest.raises(DataError):
            grouped_folds(folds, groups)
        return
    tested = np.zeros(len(artists), int)
    for fold in grouped_folds(folds, groups):
        assert sorted([*fold.train, *fold.test]) == list(range(len(artists)))
        assert not {groups[i] for i in fold.train} & {groups[i] for i in fold.test}
        tested[fold.test] += 1
    assert tested.tolist() == [1] * len(artists)


@pytest.mark.parametrize(
    ("folds", "groups", "message"),
    [
        ([0, 1, 1], ["a", "b", "a"], "group 'a' lies in folds 0 and 1"),
        ([0, 1], ["a", "a"], "fewer than two groups"),
        ([], [], "fewer than two groups"),
        ([3, 3], ["a", "b"], "all clips are in fold 3"),
        ([0, -1], ["a", "b"], "fold -1 of group 'b'"),
        ([0, 1, 2], ["a", "b"], "3 fold numbers for 2 groups"),
    ],
)
def test_what_cannot_be_split_is_refused(folds: list[int], groups: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        grouped_folds(folds, groups)
