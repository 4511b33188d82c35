"""Decoders of other packages in a bundle: carried along, left out where they cannot be had, held in check."""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from valaro.models import Bundle, load_bundle
from valaro.models.bundle import FUSION
from valaro.models.decoders import registry
from valaro.models.decoders.base import Evidence
from valaro.models.decoders.fusion import Pool
from valaro.models.decoders.registry import UNIFORM, Weights
from valaro.models.doors import DECODERS, Plugin, listed
from valaro.models.errors import BundleError
from valaro.models.grid import CELLS
from valaro.models.tracker import Tracker

from ..synthetic_bundle import full_bundle, random_evidence

PLUGIN = Plugin(DECODERS, "tilt", "valaro-tilt", "1.0", "valaro_tilt:Tilt")


class Tilt:
    """Says what its arrays say, and remembers how often it was asked."""

    def __init__(self, weights: Weights) -> None:
        self.scores = weights.arrays["scores"] * weights.settings["factor"]

    def init(self) -> int:
        return 0

    def step(self, state: int, evidence: Evidence) -> tuple[int, NDArray[np.float64]]:
        return state + 1, self.scores


def with_tilt(exponent: float = 0.4) -> Bundle:
    """A bundle whose fusion knows the decoder of another package."""
    bundle = full_bundle()
    fusion = bundle.pools[FUSION]
    exponents = np.hstack([fusion.exponents, np.full((len(fusion.exponents), 1), exponent)])
    pool = Pool((*fusion.names, "tilt"), fusion.kinds, exponents, fusion.bias, fusion.blur)
    weights = Weights("tilt", {"scores": np.linspace(-1.0, 1.0, CELLS)}, {"tilt.txt": b"hello"}, {"factor": 2.0})
    return replace(bundle, others={"tilt": weights}, pools=bundle.pools | {FUSION: pool})


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Weights], Any]], None]:
    """Have a package that brings the kind ``tilt``."""
    own = listed(DECODERS)

    def install(target: Callable[[Weights], Any]) -> None:
        monkeypatch.setattr(registry, "listed", lambda door: [*own, PLUGIN])
        monkeypatch.setattr(registry, "load", lambda plugin: target)

    return install


def test_it_is_carried_along_and_hears(installed: Callable[..., None], tmp_path: Path) -> None:
    installed(Tilt)
    with_tilt().save(tmp_path / "bundle")
    bundle = load_bundle(tmp_path / "bundle")
    assert list(bundle.decoders) == ["aeg", "crf", "lstm", "tilt"]
    weights = bundle.others["tilt"]
    assert (weights.files, weights.settings) == ({"tilt.txt": b"hello"}, {"factor": 2.0})
    state, log_heatmap = bundle.decoders["tilt"].step(0, random_evidence(1)[0])
    assert state == 1
    assert np.exp(log_heatmap).sum() == pytest.approx(1.0)
    assert bundle.pool("tilt").names == ("tilt",)
    assert bundle.pool().names == ("aeg", "crf", "lstm", "tilt")


def test_one_that_is_not_installed_is_named_once_and_its_weight_goes_to_the_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with_tilt().save(tmp_path / "bundle")
    with caplog.at_level(logging.WARNING, logger="valaro"):
        bundle = load_bundle(tmp_path / "bundle")
        pool = bundle.pool()
    [line] = [record.getMessage() for record in caplog.records]
    assert "the decoder tilt is left out, and its weight goes to the others: no installed package brings" in line
    assert list(bundle.missing) == ["tilt"]
    assert pool.names == ("aeg", "crf", "lstm")
    before = with_tilt().pools[FUSION].exponents
    np.testing.assert_allclose(pool.exponents.sum(axis=1), before.sum(axis=1))
    np.testing.assert_allclose(pool.exponents / pool.exponents[:, :1], before[:, :3] / before[:, :1])
    bundle.save(tmp_path / "again")  # what it does not know it keeps
    assert load_bundle(tmp_path / "again").others["tilt"].files == {"tilt.txt": b"hello"}


def test_chosen_by_name_it_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="the decoder tilt of this bundle: no installed package brings") as caught:
        Tracker(with_tilt(), "tilt")
    assert caught.value.exit_code == 2
    with pytest.raises(BundleError, match="did you mean lstm"):
        Tracker(with_tilt(), "lstn")


def test_a_pool_of_nobody_else_is_that_of_the_first(tmp_path: Path) -> None:
    pool = Pool(("tilt",), np.zeros(8, dtype=np.int64), np.ones((1, 1)), np.zeros((1, CELLS)))
    bundle = replace(with_tilt(), pools={FUSION: pool})
    assert bundle.pool().names == ("aeg",)


def test_a_kind_without_weight_beside_it_leaves_equal_weights() -> None:
    pool = Pool(("aeg", "crf", "tilt"), np.zeros(8, np.int64), np.array([[0.0, 0.0, 1.0]]), np.zeros((1, CELLS)))
    rest = pool.without({"tilt"})
    assert rest is not None
    np.testing.assert_allclose(rest.exponents, [[0.5, 0.5]])


@pytest.mark.parametrize("raised", [OSError("no such card"), SystemExit("bye"), KeyError("scores")])
def test_one_that_cannot_be_made_is_missing(installed: Callable[..., None], raised: BaseException) -> None:
    def target(weights: Weights) -> None:
        raise raised

    installed(target)
    bundle = with_tilt()
    assert "the decoder tilt of valaro-tilt cannot be made from its weights" in bundle.missing["tilt"]
    assert bundle.pool().names == ("aeg", "crf", "lstm")


def not_a_number(log_heatmap: NDArray[np.float64], evidence: Evidence) -> Any:
    return np.where(np.arange(CELLS) == 7, np.nan, log_heatmap)


def wrong_shape(log_heatmap: NDArray[np.float64], evidence: Evidence) -> Any:
    return log_heatmap.reshape(11, 11)


def infinite(log_heatmap: NDArray[np.float64], evidence: Evidence) -> Any:
    return np.where(np.arange(CELLS) == 7, -np.inf, log_heatmap)


def no_array(log_heatmap: NDArray[np.float64], evidence: Evidence) -> Any:
    return "happy"


def far_apart(log_heatmap: NDArray[np.float64], evidence: Evidence) -> Any:
    return np.where(np.arange(CELLS) == 7, -1.7e308, 1.7e308)  # finite, and not once it is normalised


def raising(log_heatmap: NDArray[np.float64], evidence: Evidence) -> Any:
    raise SystemExit("bye")


def mutating(log_heatmap: NDArray[np.float64], evidence: Evidence) -> Any:
    evidence.theta[:] = 0.0
    return log_heatmap


@pytest.mark.parametrize("fault", [not_a_number, wrong_shape, infinite, no_array, far_apart, raising, mutating])
def test_whatever_it_does_the_others_go_on(
    installed: Callable[..., None], fault: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    class Faulty(Tilt):
        def step(self, state: int, evidence: Evidence) -> tuple[int, Any]:
            return state + 1, fault(np.zeros(CELLS), evidence)

    installed(Faulty)
    bundle = with_tilt()
    decoder, evidence = bundle.decoders["tilt"], random_evidence(1)[0]
    theta, log_heatmap = evidence.theta.copy(), UNIFORM
    with caplog.at_level(logging.WARNING, logger="valaro"):
        for _ in range(3):
            state, log_heatmap = decoder.step(0, evidence)
            assert state == 0
            np.testing.assert_array_equal(log_heatmap, UNIFORM)
    assert bundle.decoder_faults == 3
    assert len(caplog.records) == 1
    np.testing.assert_array_equal(evidence.theta, theta)
    others = [np.zeros(CELLS)] * 3
    heatmap = bundle.pool()(np.stack([*others, log_heatmap]), np.array([1.0, 0.0]))
    assert np.isfinite(heatmap).all()


def test_what_it_changes_in_its_state_is_nobody_elses(installed: Callable[..., None]) -> None:
    class Counting(Tilt):
        def init(self) -> list[int]:  # type: ignore[override]
            return [0]

        def step(self, state: list[int], evidence: Evidence) -> tuple[list[int], Any]:  # type: ignore[override]
            state[0] += 1
            return state, self.scores

    installed(Counting)
    decoder, evidence = with_tilt().decoders["tilt"], random_evidence(1)[0]
    one, other = decoder.init(), decoder.init()
    after, _ = decoder.step(one, evidence)
    assert (one, other, after) == ([0], [0], [1])


def test_one_of_valaros_kinds_under_another_name_may_not_fit() -> None:
    bundle = replace(full_bundle(), others={"x": Weights("aeg")})
    assert "does not fit together" in bundle.missing["x"]
    with pytest.raises(ValueError, match="a decoder of another package named fusion"):
        replace(full_bundle(), others={"fusion": Weights("tilt")})


def test_the_tracker_gives_a_heatmap_with_one_that_is_broken(installed: Callable[..., None]) -> None:
    class Broken(Tilt):
        def step(self, state: int, evidence: Evidence) -> tuple[int, Any]:
            return state, np.full(CELLS, np.nan)

    installed(Broken)
    tracker = Tracker(with_tilt(), policy="pass")
    state = tracker.init()
    rng = np.random.default_rng(0)
    for _ in range(10):
        state, _ = tracker.step(state, 0.1 * rng.standard_normal(2_400).astype(np.float32))
    assert tracker.heatmap(state).sum() == pytest.approx(1.0)
    assert np.isfinite(tracker.heatmap(state)).all()


def test_valaros_own_come_in_by_the_same_door() -> None:
    assert [plugin.name for plugin in listed(DECODERS) if plugin.own] == ["aeg", "crf", "lstm"]
    assert not isinstance(load_bundle().decoders["crf"], registry.GuardedDecoder)
