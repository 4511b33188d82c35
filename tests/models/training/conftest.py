"""A small training that several files of tests share: clips no one could mistake, a model of their size."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from valaro.models.training.corpus.examples import Example, gather
from valaro.models.training.recipe import RECIPE, ActivitySettings, AEGSettings, LSTMSettings, Recipe, SVMSettings

from . import synthetic

CLIPS = 20
SECONDS = 6.0


SMALL = Recipe(
    aeg=AEGSettings(components={"recordings": 8, "piano": 4}, ridge=1.0),
    crf=replace(RECIPE.crf, iterations=6),
    crf_by_paths=replace(RECIPE.crf_by_paths, iterations=3),
    lstm=LSTMSettings(epochs=6, emissions=12),  # of a step or two each: fewer teach it nothing that is worth pooling
    activity=ActivitySettings(scenes=dict.fromkeys(RECIPE.activity.scenes, 1), voices=5, voice_seconds=8),
    svm=SVMSettings(c=(3.0,), gamma=(0.3,)),  # a grid of twenty SVMs takes longer than all else
    altered=0,
    processes=1,
)
"""Few components, few steps, one process."""


@contextmanager
def own_cache(cache: Path) -> Iterator[None]:
    """A cache of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VALARO_CACHE", str(cache))
        yield


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one file of tests has measured and learnt, the next need not."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def small(shared_cache: Path) -> Iterator[None]:
    """One cache for all tests of a file."""
    with own_cache(shared_cache):
        yield


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with 4Q's set alone: twenty clips of ten artists, five a quadrant, and one for agreement."""
    root = tmp_path_factory.mktemp("data")
    synthetic.write_4q(root / "4q", CLIPS, SECONDS)
    return root


@pytest.fixture(scope="session")
def examples(folder: Path, shared_cache: Path) -> list[Example]:
    """That folder, gathered."""
    with own_cache(shared_cache):
        return gather(folder, lambda _: None, processes=1)
