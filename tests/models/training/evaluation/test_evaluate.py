"""The figures: of what was not trained on, by pools that did not see it, and none of them by chance."""

import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from valaro.models import Bundle, load_bundle
from valaro.models.bundle import FUSION
from valaro.models.errors import DataError
from valaro.models.training.corpus.decoding import pooled
from valaro.models.training.corpus.examples import Example, gather
from valaro.models.training.datasets.labels import Trace
from valaro.models.training.evaluation import cross_validation, evaluate, scoring
from valaro.models.training.evaluation.reliability import Calibration, calibrate, calibration_figures
from valaro.models.training.evaluation.report import Report
from valaro.models.training.fit.bundle import fit
from valaro.models.training.recipe import SETS
from valaro.streamer.cli import run

from ...synthetic_bundle import folded_heatmaps
from .. import synthetic
from ..conftest import CLIPS, SMALL
from ..test_train import learnt, piece, quietly, relabelled

pytestmark = pytest.mark.usefixtures("small")
DECODERS = {FUSION, "aeg", "crf", "lstm"}
Measured = tuple[Report, dict[str, Calibration]]


@pytest.fixture(scope="module")
def measured(examples: list[Example], small: None) -> Measured:
    """4Q alone, clean, and under a condition that changes nothing."""
    return evaluate.measure(examples, {"nothing": examples}, recipe=SMALL, progress=quietly)


@pytest.fixture(scope="module")
def outside(examples: list[Example], small: None) -> list[cross_validation.OutOfFold]:
    return [
        row
        for k in range(5)
        for row in cross_validation.out_of_fold(
            cross_validation.fold_bundle(examples, k, 0, SMALL, quietly), examples, k
        )
    ]


def traced(example: Example) -> Example:
    """The clip as one of emoMusic: raters' means and deviations."""
    times = np.arange(1, example.features.emissions + 1) / 2
    flat = np.full(times.size, 0.3)
    trace = Trace(example.id, "emomusic", None, times, flat + times / 100, flat - times / 50, flat, flat)
    return replace(
        example, id=f"emomusic-{example.id}", set="emomusic", group=f"t{example.id}", quadrant=None, trace=trace
    )


@pytest.fixture(scope="module")
def mixed(examples: list[Example]) -> list[Example]:
    """All kinds of label: quadrants, raters' points, means over raters."""
    pieces = [piece(example, i) for i, example in enumerate(examples[::2])]
    return [*examples, *pieces, *(traced(example) for example in examples[:12:3])]


@pytest.fixture(scope="module")
def together(mixed: list[Example], small: None) -> Measured:
    return evaluate.measure(mixed, recipe=SMALL, progress=quietly)


def test_moods_that_differ_are_told_apart_on_artists_that_were_not_heard_before(measured: Measured) -> None:
    figures = measured[0]["figures"]
    assert set(figures) >= DECODERS
    for decoder in (FUSION, "aeg", "crf"):  # the network has hardly been taught
        found = figures[decoder]["4q"]
        assert len(found["accuracy"]["folds"]) == 5
        assert found["accuracy"]["mean"] >= 0.9
        assert found["macro_f1"]["mean"] >= 0.9


def test_with_the_labels_dealt_anew_nothing_is_learnt(examples: list[Example]) -> None:
    """Else the test above would measure a leak."""
    order = np.random.default_rng(5).permutation(CLIPS)
    dealt = [replace(example, quadrant=examples[k].quadrant) for example, k in zip(examples, order, strict=True)]
    figures = evaluate.measure(dealt, recipe=SMALL, progress=quietly)[0]["figures"]
    for decoder in DECODERS:
        assert figures[decoder]["4q"]["accuracy"]["mean"] < 0.6


def test_what_knows_less_stands_in_the_same_table(measured: Measured) -> None:
    figures = measured[0]["figures"]
    assert figures["global prior, smoothed"]["4q"]["accuracy"]["mean"] == pytest.approx(0.25)
    assert figures["SVM on clip statistics, offline"]["4q"]["accuracy"]["mean"] >= 0.8
    assert "macro_f1_5s" in figures[FUSION]["4q"]
    assert "macro_f1_5s" not in figures["SVM on clip statistics, offline"]["4q"]
    for name in ("macro_f1", "accuracy", "valence", "arousal"):  # the mean heatmap of a clip is that of its constant
        constant = figures["fusion, one heatmap a clip"]["4q"][name]["folds"]
        assert figures[FUSION]["4q"][name]["folds"] == pytest.approx(constant)


def test_a_condition_that_changes_nothing_costs_nothing(measured: Measured) -> None:
    for decoder in DECODERS:
        assert measured[0]["drops"][decoder]["4q"]["nothing"]["folds"] == [0.0] * 5


def test_the_pool_that_scores_a_fold_was_fitted_to_the_others(outside: list[cross_validation.OutOfFold]) -> None:
    figures = cross_validation.score_folds(outside, cross_validation.fold_pools(outside, recipe=SMALL))
    for fold in range(5):
        pools = cross_validation.fit_pools([row for row in outside if row.fold != fold], SMALL)
        own = [row for row in outside if row.fold == fold]
        items = [cross_validation.item_of(row.example) for row in own]
        for decoder in DECODERS:
            streams = [pooled(row.outputs, pools[decoder]) for row in own]
            expected = scoring.score_clips(items, streams) | calibration_figures(calibrate(items, streams))
            for name in ("accuracy", "macro_f1", "ece_quadrants_live", "coverage_50"):
                assert figures[decoder]["4q"][name]["folds"][fold] == pytest.approx(expected[name], abs=1e-12)


def test_the_labels_of_a_fold_do_not_move_its_own_heatmaps(outside: list[cross_validation.OutOfFold]) -> None:
    """Were its pool fitted to them, the fold that lies would be told differently from what it is in truth."""
    lying = relabelled([row.example for row in outside], 2)
    rows = [row._replace(example=example) for row, example in zip(outside, lying, strict=True)]
    honest, told = (
        cross_validation.score_folds(each, cross_validation.fold_pools(each, recipe=SMALL)) for each in (outside, rows)
    )
    own = [row for row in rows if row.fold == 2]
    pools = cross_validation.fit_pools([row for row in outside if row.fold != 2], SMALL)
    for decoder in DECODERS:
        streams = [pooled(row.outputs, pools[decoder]) for row in own]
        expected = scoring.score_clips([cross_validation.item_of(row.example) for row in own], streams)
        assert told[decoder]["4q"]["accuracy"]["folds"][2] == pytest.approx(expected["accuracy"])
    moved = [decoder for decoder in DECODERS if honest[decoder]["4q"]["ece_quadrants"]["folds"][1]
             != told[decoder]["4q"]["ece_quadrants"]["folds"][1]]  # fmt: skip
    assert moved  # the other folds' pools were fitted to it


def test_under_a_condition_the_pools_are_those_of_clean_clips(outside: list[cross_validation.OutOfFold]) -> None:
    """Nobody tells the chain that it is now in a noisy room."""
    noisy = [row._replace(outputs=row.outputs._replace(log_heatmaps=row.outputs.log_heatmaps * 2)) for row in outside]
    pools = cross_validation.fit_pools([row for row in outside if row.fold != 0], SMALL)
    own = [row for row in noisy if row.fold == 0]
    items = [cross_validation.item_of(row.example) for row in own]
    expected = calibration_figures(calibrate(items, [pooled(row.outputs, pools["aeg"]) for row in own]))
    found = cross_validation.score_folds(noisy, cross_validation.fold_pools(outside, recipe=SMALL))["aeg"]["4q"]
    assert found["ece_quadrants_live"]["folds"][0] == pytest.approx(expected["ece_quadrants_live"])


def test_a_decoder_that_is_led_astray_by_rooms_and_codecs_counts_for_less(
    outside: list[cross_validation.OutOfFold],
) -> None:
    """The altered copies of the clips have a say in the pool, but no figure is taken from them."""
    lost = list(outside[0].outputs.names).index("aeg")
    rows = []
    for row, other in zip(outside, [*outside[1:], outside[0]], strict=True):
        heatmaps = row.outputs.log_heatmaps.copy()
        heatmaps[lost] = other.outputs.log_heatmaps[lost, : heatmaps.shape[1]]  # what it said of another clip
        rows.append(row._replace(altered=row.outputs._replace(log_heatmaps=heatmaps)))
    before, after = (cross_validation.fit_pools(each, SMALL)[FUSION].exponents[0, lost] for each in (outside, rows))
    assert after < before
    pools = cross_validation.fold_pools(outside, recipe=SMALL)
    assert cross_validation.score_folds(rows, pools) == cross_validation.score_folds(outside, pools)


def test_every_kind_of_label_is_scored_in_its_own_way(together: Measured) -> None:
    report, calibrations = together
    for decoder in DECODERS:
        found = report["figures"][decoder]
        assert set(found) == {"4q", "vgmidi", "emomusic"}
        assert found["vgmidi"]["uniform_log_likelihood"]["mean"] == pytest.approx(-np.log(121))
        assert np.isfinite(found["vgmidi"]["log_likelihood"]["mean"])
        assert any(name.startswith("rmse") for name in found["emomusic"])
        assert {"cells", "quadrants", "quadrants_live", "regions"} <= set(calibrations[decoder])
    assert {"crf by paths, live", "crf by paths, the whole piece known", "one rater"} <= set(report["figures"])
    json.loads(json.dumps(report, allow_nan=False))


def test_the_reliability_is_that_of_all_sets_together(together: Measured, mixed: list[Example]) -> None:
    """A statement of every rating at a piece's moments, and one of each clip."""
    ratings = sum(e.points.valence.size for e in mixed if e.points is not None)
    for found in together[1].values():
        assert found["quadrants"].count.sum() == pytest.approx(4 * (ratings + CLIPS))
        assert found["quadrants_live"].count.sum() == pytest.approx(4 * CLIPS)
        assert found["cells"].count.sum() == pytest.approx(121 * ratings)


def test_a_set_of_one_piece_is_trained_on_and_not_tested(examples: list[Example]) -> None:
    said: list[str] = []
    lone = [*examples, piece(examples[0], 0)]
    report, _ = evaluate.measure(lone, {"nothing": lone}, recipe=SMALL, progress=said.append)
    assert any(line.startswith("vgmidi is trained on but not tested: ") for line in said)
    for decoder in DECODERS:
        assert set(report["figures"][decoder]) == {"4q"}
        assert set(report["drops"][decoder]) == {"4q"}


def test_one_group_alone_cannot_be_tested_on(examples: list[Example]) -> None:
    said: list[str] = []
    with pytest.raises(DataError, match="two groups in two folds") as caught:
        evaluate.measure(
            [example for example in examples if example.group == "Artist 0"], recipe=SMALL, progress=said.append
        )
    assert "\n" not in str(caught.value)
    assert learnt(said) == 0


@pytest.fixture(scope="module")
def bundle(examples: list[Example], outside: list[cross_validation.OutOfFold]) -> Bundle:
    return replace(fit(examples, recipe=SMALL, progress=quietly), pools=cross_validation.fit_pools(outside, SMALL))


def test_a_bundle_is_scored_as_it_is_and_nothing_is_learnt(
    examples: list[Example], bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    said: list[str] = []
    report, _ = evaluate.measure(examples, bundle=bundle, recipe=SMALL, progress=said.append)
    assert learnt(said) == 0
    assert not any("fitting" in line for line in said)
    for decoder in DECODERS:
        streams = [folded_heatmaps(bundle, e.features, decoder) for e in examples]
        expected = scoring.score_clips([cross_validation.item_of(e) for e in examples], streams)
        # Folds of four clips each: the mean over folds is that over clips.
        assert report["figures"][decoder]["4q"]["accuracy"]["mean"] == pytest.approx(expected["accuracy"])
    constant = report["figures"]["fusion, one heatmap a clip"]["4q"]["valence"]["folds"]
    assert report["figures"][FUSION]["4q"]["valence"]["folds"] == pytest.approx(constant)


def test_a_bundle_of_one_decoder_is_scored_too(examples: list[Example], bundle: Bundle) -> None:
    lone = replace(bundle, crf=None, lstm=None, pools={})
    figures = evaluate.measure(examples, bundle=lone, recipe=SMALL, progress=quietly)[0]["figures"]
    assert figures["aeg"]["4q"]["accuracy"] == figures[FUSION]["4q"]["accuracy"]
    assert not {"crf", "lstm"} & set(figures)


def test_broken_and_short_clips_are_in_nobodys_way(folder: Path, tmp_path: Path) -> None:
    data = Path(shutil.copytree(folder, tmp_path / "data"))
    clips = sorted((data / "4q" / "audio").iterdir())
    clips[1].write_bytes(b"OggS and nothing of the kind")
    synthetic.opus(clips[0], synthetic.chord("Q1", 0.3))
    said: list[str] = []
    found = gather(data, said.append, processes=1)
    assert sum(line.startswith("skipped: ") for line in said) == 2
    figures = evaluate.measure(found, recipe=SMALL, progress=quietly)[0]["figures"]
    json.dumps(figures, allow_nan=False)
    assert figures["aeg"]["4q"]["accuracy"]["mean"] >= 0.8


def test_the_command_line_prints_what_was_measured(
    folder: Path,
    bundle: Bundle,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "opensmile", None)  # as on a machine without it: its row alone is left out
    monkeypatch.setattr(evaluate, "evaluate", partial(evaluate.evaluate, recipe=SMALL))
    bundle.save(tmp_path / "model")
    arguments = ["evaluate", "--data", str(folder), "--model", str(tmp_path / "model"), "--clean"]
    assert run([*arguments, "--json"]) == 0
    captured = capsys.readouterr()
    assert "left out: " in captured.err
    assert "openSMILE" in captured.err
    found = json.loads(captured.out)
    assert "SVM on clip statistics, offline" in found["figures"]
    accuracy = found["figures"][FUSION]["4q"]["accuracy"]["mean"]
    assert run([*arguments, "--markdown"]) == 0
    text = capsys.readouterr().out
    assert f"{accuracy:.3f}".lstrip("0") in text
    for label in (FUSION, "aeg", "crf", "lstm", "macro-F1"):
        assert label in text
    assert run(arguments) == 0
    assert "macro-F1" in capsys.readouterr().out


def test_a_bundle_of_another_schema_is_one_line(
    folder: Path, bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle.save(tmp_path / "model")
    manifest = tmp_path / "model" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"schema": 2', '"schema": 1'))
    assert run(["evaluate", "--data", str(folder), "--model", str(tmp_path / "model")]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert "bundle of schema 1, this Valaro reads 2" in captured.err


def test_the_likelihood_over_the_number_of_components(folder: Path) -> None:
    figures = evaluate.component_curve(folder, counts=(2, 4), recipe=SMALL, progress=quietly)["figures"]
    assert list(figures) == ["2 components a kind", "4 components a kind"]
    assert all(np.isfinite(found["4q"]["accuracy"]["mean"]) for found in figures.values())
    assert SMALL.aeg.components == {"recordings": 8, "piano": 4}


def test_all_sets_together(tmp_path: Path) -> None:
    """MIDI is rendered, raters' points are scored."""
    if shutil.which("fluidsynth") is None:
        pytest.skip("no fluidsynth on this machine")
    synthetic.write_4q(tmp_path / "4q", 8, 3.0)
    synthetic.write_emopia(tmp_path / "emopia", 8)
    synthetic.write_vgmidi(tmp_path / "vgmidi", 5)
    said: list[str] = []
    found = gather(tmp_path, said.append, processes=1)
    if any("cannot be rendered" in line for line in said):
        pytest.skip(next(line for line in said if "cannot be rendered" in line))
    counts: Sequence[tuple[str, int]] = [(name, sum(e.set == name for e in found)) for name in SETS]
    assert counts == [("4q", 8), ("emopia", 8), ("vgmidi", 5)]
    bundle = fit(found, recipe=SMALL, progress=quietly)
    assert bundle.acoustic.components == 12
    assert bundle.acoustic.weights.sum() == pytest.approx(1.0)
    bundle.save(tmp_path / "model")
    report, _ = evaluate.measure(found, bundle=load_bundle(tmp_path / "model"), recipe=SMALL, progress=said.append)
    assert set(report["figures"][FUSION]) == {"4q", "emopia", "vgmidi"}
    scored = report["figures"]["aeg"]["vgmidi"]
    assert scored["log_likelihood"]["mean"] > scored["uniform_log_likelihood"]["mean"]  # on what it was fitted to
    json.dumps(report, allow_nan=False)
