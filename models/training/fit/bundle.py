"""All decoders of a bundle, fitted to clips."""

from collections.abc import Sequence
from dataclasses import replace
from types import ModuleType

from ...bundle import Bundle
from ...decoders.lstm import LSTM
from ...errors import DataError
from ..corpus.examples import Example, Progress
from ..recipe import RECIPE, Recipe
from .aeg import fit_aeg
from .crf_inputs import fitted_chain


def fit(examples: Sequence[Example], *, seed: int = 0, recipe: Recipe = RECIPE, progress: Progress = print) -> Bundle:
    """All decoders fitted to ``examples``, each calibrated to nothing yet; deterministic given the seed.

    Raises
    ------
    DataError
        No example with a label, fewer frames than components need, or PyTorch is not installed.
    """
    lstm = learning()
    heard = with_copies(examples)
    bundle = fit_aeg(heard, recipe.aeg, seed=seed)
    progress("fitted the acoustic mixture and the affective Gaussians")
    bundle = replace(bundle, crf=fitted_chain(bundle, heard, recipe.crf))
    progress("fitted the chain")
    return replace(bundle, lstm=LSTM(lstm.learnt(examples, recipe.lstm, seed, progress)))


def with_copies(examples: Sequence[Example]) -> list[Example]:
    """Each clip as it is, and once more as each altered copy of it is: to the AEG and the chain, clips of their own."""
    return [*examples, *(replace(e, features=heard, altered=()) for e in examples for heard in e.altered)]


def learning() -> ModuleType:
    """What teaches the network, ``training.fit.lstm``.

    Raises
    ------
    DataError
        If PyTorch is not installed.
    """
    try:
        from . import lstm
    except ImportError as error:
        raise DataError(f"training the network needs {error.name}: pip install 'valaro[train]'") from error
    return lstm
