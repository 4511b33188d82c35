"""A small training that several files of tests share: clips no one could mistake, a model of their size."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from valaro.models.training import parallel, train
from valaro.models.training.cache import extract_all
from valaro.models.training.corpus import activity_scenes
from valaro.models.training.corpus import examples as examples_module
from valaro.models.training.corpus.examples import Example, gather
from valaro.models.training.evaluation import baselines, evaluate
from valaro.models.training.fit import aeg, crf_inputs, lstm
from valaro.models.training.synthesis import speech

from . import synthetic

CLIPS = 20
SECONDS = 6.0


@contextmanager
def small_training(cache: Path) -> Iterator[None]:
    """Few components, few steps, one process, a cache of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VALARO_CACHE", str(cache))
        patch.setattr(examples_module, "extract_all", partial(extract_all, processes=1))
        patch.setattr(aeg, "COMPONENTS", {"recordings": 8, "piano": 4})
        patch.setattr(aeg, "RIDGE", 1.0)
        patch.setattr(baselines, "_C", (3.0,))  # a grid of twenty SVMs takes longer than all else
        patch.setattr(baselines, "_GAMMA", (0.3,))
        patch.setattr(lstm, "EPOCHS", 6)  # of a step or two each: fewer teach it nothing that is worth pooling
        patch.setattr(lstm, "EMISSIONS", 12)
        patch.setattr(parallel, "PROCESSES", 1)
        patch.setattr(train, "ALTERED", 0)
        patch.setattr(evaluate, "ALTERED", 0)
        patch.setattr(activity_scenes, "COUNTS", dict.fromkeys(activity_scenes.COUNTS, 1))
        patch.setattr(speech, "VOICES", speech.VOICES[:5])
        patch.setattr(speech, "SECONDS", 8)
        patch.setitem(crf_inputs.CHAIN, "iterations", 6)
        patch.setitem(crf_inputs.BY_PATHS, "iterations", 3)
        yield


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one file of tests has measured and learnt, the next need not."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def small(shared_cache: Path) -> Iterator[None]:
    """The small training, for all tests of a file."""
    with small_training(shared_cache):
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
    with small_training(shared_cache):
        return gather(folder, say=lambda _: None)
