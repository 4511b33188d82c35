import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from valaro.models.errors import DataError
from valaro.models.training.datasets.folder import read_folder
from valaro.models.training.datasets.midi_score import read_score

from ....places import DATA
from .. import synthetic


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return synthetic.write_data(tmp_path / "data", clips=4, pieces=2, seconds=0.2)


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_every_set_is_read_in_the_projects_terms(data: Path) -> None:
    folder = read_folder(data)
    assert [(c.id, c.quadrant, c.group, c.fold, c.set) for c in folder.four_q[:2]] == [
        ("MT0000000000", 0, "Artist 0", 0, "4q"),
        ("MT0000000001", 1, "Artist 0", 0, "4q"),
    ]
    assert [(c.id, c.set, c.fold) for c in folder.agreement] == [("MT0000000004", "agreement", -1)]
    assert not {c.id for c in folder.agreement} & {c.id for c in folder.four_q}
    assert [(c.id, c.quadrant, c.group, c.fold) for c in folder.emopia][2] == ("Q3_song_1_0", 2, "song_1", 1)
    assert all(c.path.is_file() for c in folder.four_q + folder.agreement + folder.emopia)
    first = folder.pmemo[0]
    assert (first.valence[0], first.arousal[0]) == (0.5, -0.5)  # 0..1 -> -1..1
    assert (first.valence_std[0], first.arousal_std[0]) == pytest.approx((0.4, 0.2))
    song = folder.emomusic[0]
    assert song.times.tolist() == [15.0, 15.5, 16.0]
    assert song.valence == pytest.approx([0.2, 0.3, 0.2])
    assert song.arousal == pytest.approx([-0.3, -0.2, -0.3])
    assert song.path is not None
    assert folder.emomusic[1].path is None
    assert folder.four_q[0].moods == ("Calm", "Rainy Day")
    assert folder.four_q[0].genres == ("Pop/Rock",)
    silent = [line for line in folder.missing if "1 of 2 clips have labels but no audio" in line]
    assert [line.split(":")[0] for line in silent] == ["emomusic", "pmemo"]


def test_the_sets_that_nothing_needs_may_be_absent(data: Path) -> None:
    folder = read_folder(data)
    absent = {line.split(":")[0] for line in folder.missing if line.endswith("is absent, the set is left out")}
    assert absent == {
        "deam", "mediaeval", "moodswings", "agreement", "emotify", "soundtracks", "liris", "teacher", "open_music",
    }  # fmt: skip
    assert (folder.deam, folder.mediaeval, folder.moodswings, folder.emotify, folder.open_music) == ((),) * 5
    assert (folder.ratings, folder.soundtracks, folder.liris, folder.teacher) == (None, None, None, {})


def test_a_rater_stands_where_the_bar_just_heard_put_them(data: Path) -> None:
    piece = read_folder(data).vgmidi[0]
    assert piece.bar_edges == pytest.approx([0, 2, 4, 6])
    # 120 to the minute: two seconds a bar; the emission at 2.0 s has heard the first bar and nothing of the second.
    assert piece.bar_at_emissions().tolist() == [0] * 4 + [1] * 4 + [2] * 4
    points = piece.points()
    assert points.emission.shape == (12 * synthetic.RATERS,)
    at = (points.emission == 4) & (points.rater == 3)  # emission 4 is t = 2.5 s
    assert points.valence[at] == piece.valence[3, 1]
    assert points.arousal[at] == piece.arousal[3, 1]
    assert piece.points(emissions=7).emission.tolist() == points.emission[: 7 * synthetic.RATERS].tolist()
    assert piece.points(emissions=99).emission.size == points.emission.size


def test_annotator_lag_pairs_the_music_with_what_was_entered_later(data: Path) -> None:
    piece = read_folder(data).vgmidi[0]
    assert piece.bar_at_emissions(annotator_lag=1.0).tolist() == [0] * 2 + [1] * 4 + [2] * 4  # to 6.0 - 1.0 s


def test_bars_are_four_quarters_whatever_the_meter_and_follow_the_tempo(data: Path) -> None:
    path = data / "vgmidi" / "midi" / "Game_0.mid"
    synthetic.midi(path, quarters=12, bpm=60, meter=(3, 4), tempi=[(4, 120), (6, 240)])
    piece = read_folder(data).vgmidi[0]
    assert piece.bar_edges == pytest.approx([0, 4, 4 + 1 + 0.5, 5.5 + 1])
    assert piece.seconds == pytest.approx(6.5)


def test_ratings_stop_with_the_music(data: Path) -> None:
    synthetic.midi(data / "vgmidi" / "midi" / "Game_0.mid", quarters=10, bpm=120)  # the third bar is half a bar
    piece = read_folder(data).vgmidi[0]
    assert piece.bar_edges[-1] == 6.0
    assert piece.bar_at_emissions().tolist() == [0] * 4 + [1] * 4 + [2] * 2


def test_what_is_absent_is_reported_and_the_rest_is_used(data: Path) -> None:
    (data / "emopia" / "folds.csv").unlink()
    (data / "4q" / "audio" / "MT0000000001.opus").unlink()
    (data / "vgmidi" / "midi" / "Game_0.mid").unlink()
    (data / "vgmidi" / "midi" / "Game_1.mid").write_bytes(b"not MIDI")
    folder = read_folder(data)
    assert folder.emopia == ()
    assert folder.vgmidi == ()
    assert [c.id for c in folder.four_q] == ["MT0000000000", "MT0000000002", "MT0000000003"]
    report = "\n".join(folder.missing)
    for part in ("emopia: folds.csv is absent", "1 of 5 files are absent (MT0000000001.opus)"):
        assert part in report
    assert "1 of 2 MIDI files are absent (Game_0.mid)" in report
    assert "1 of 2 MIDI files cannot be read (Game_1.mid)" in report


def test_nothing_at_all_says_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no training data in .*expected 4q/clips\.csv.*vgmidi/traces"):
        read_folder(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("table", "old", "new", "message"),
    [
        ("4q/clips.csv", "MT0000000001,Q2", "MT0000000001,Q5", r"clips\.csv, row 3: quadrant is 'Q5'"),
        ("4q/clips.csv", "train,1", "train,one", r"clips\.csv, row 4: fold is 'one'"),
        ("4q/clips.csv", "train,1", "train,-1", r"row 4: a clip to train on has fold -1"),
        ("4q/clips.csv", "train,1", "held,1", r"row 4: split is 'held'"),
        ("4q/clips.csv", "Pop/Rock,train,1", "Pop/Rock,train", r"row 4: another number of values"),
        ("4q/clips.csv", "quadrant", "quadrat", r"clips\.csv: no column quadrant"),
        ("emopia/folds.csv", ",Q2,", ",Q1,", r"folds\.csv, row 3: Q2_song_0_1\.mid is said to be Q1"),
        ("emomusic/valence_cont_average.csv", "0.2", "1.2", r"average\.csv, song 2: valence outside -1\.\.1"),
        (
            "emomusic/arousal_cont_std.csv",
            "\n3,",
            "\n7,",
            r"arousal_cont_std\.csv and valence_cont_average\.csv: not the same songs \(3, 7\)",
        ),
        ("emomusic/arousal_cont_std.csv", "0.3", "nan", r"arousal_cont_std\.csv, song 2: a gap between two values"),
        ("pmemo/dynamic.csv", "0.75", "-0.75", r"dynamic\.csv, row 2: .* outside 0\.\.1"),
        ("pmemo/dynamic.csv", "4,16.0", "4,15.0", r"dynamic\.csv: the times of song 4 do not rise"),
        ("vgmidi/folds.csv", "1-1,", "1-9,", r"folds\.csv: no fold for 1-1"),
    ],
)
def test_a_label_that_cannot_be_true_is_refused_by_name(
    data: Path, table: str, old: str, new: str, message: str
) -> None:
    edit(data / table, old, new)
    with pytest.raises(DataError, match=message):
        read_folder(data)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda p: p["raters"][2]["arousal"].pop(), r"piece 1-0, rater 2: 2 values of arousal for 3 bars"),
        (lambda p: p["raters"][1]["valence"].__setitem__(0, 1.01), r"piece 1-0: valence outside -1\.\.1"),
        (lambda p: p["raters"][1]["valence"].__setitem__(0, None), r"piece 1-0"),
        (lambda p: p.pop("midi"), r"piece 1-0: not a piece with midi"),
        (lambda p: p["raters"].clear(), r"piece 1-0: no bars or no raters"),
    ],
)
def test_a_trace_out_of_step_or_range_is_refused(data: Path, damage, message: str) -> None:  # noqa: ANN001
    traces = synthetic.read_traces(data / "vgmidi")
    damage(traces["1-0"])
    synthetic.write_traces(data / "vgmidi", traces)
    with pytest.raises(DataError, match=message):
        read_folder(data)


def test_a_cut_off_traces_file_is_refused(data: Path) -> None:
    path = data / "vgmidi" / "traces.json.gz"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match=r"traces\.json\.gz cannot be read"):
        read_folder(data)


def test_a_table_in_another_encoding_is_refused(data: Path) -> None:
    path = data / "4q" / "clips.csv"
    path.write_bytes(path.read_bytes().replace(b"Artist 1", b"Beyonc\xe9"))
    with pytest.raises(DataError, match=r"clips\.csv is not a CSV file in UTF-8"):
        read_folder(data)


def test_the_real_folder_is_what_its_notes_say() -> None:
    root = DATA
    if not (root / "4q" / "clips.csv").is_file():
        pytest.skip("no data folder (set VALARO_DATA)")
    folder = read_folder(root)
    sizes = [
        len(s)
        for s in (folder.four_q, folder.agreement, folder.emopia, folder.vgmidi, folder.emomusic, folder.pmemo,
                  folder.deam, folder.emotify, folder.open_music)
    ]  # fmt: skip
    assert sizes == [698, 22, 990, 170, 737, 762, 1795, 360, 10]
    assert len({mood for clip in folder.four_q + folder.agreement for mood in clip.moods}) == 215
    assert folder.ratings is not None
    assert folder.ratings.emotions.shape == (100, 22, 11)
    assert set(folder.ratings.clips) == {clip.id for clip in folder.agreement}
    assert folder.soundtracks is not None
    assert folder.soundtracks.features.shape == (110, 25)
    assert folder.liris is not None
    assert (len(folder.liris.clips), len(folder.liris.films)) == (9800, 30)
    assert np.bincount(folder.liris.official).tolist() == [4900, 2450, 2450]
    assert folder.liris.features("Arousal_TAC2015")[1].shape == (9800, 23)
    # Both axes of DEAM are emoMusic's own: nothing is crossed.
    own = {trace.id: trace for trace in folder.emomusic}
    pairs = [(own[t.id], t) for t in folder.deam if t.id in own]
    assert len(pairs) > 700
    for axis in ("valence", "arousal"):
        means = np.array([[getattr(trace, axis).mean() for trace in pair] for pair in pairs])
        assert np.corrcoef(means.T)[0, 1] > 0.99
    assert {c.fold for c in folder.four_q} == set(range(10))
    for piece in folder.vgmidi:
        # The last rated bar begins before the music ends: bars of four quarters fit every piece.
        assert piece.bar_edges[-2] < piece.seconds, piece.id
        assert np.all(np.diff(piece.bar_edges) > 0), piece.id
    # The one reading under which they fit: with the notated bars of a piece in 3/4 a quarter of it would be unrated.
    unrated = [1 - p.bar_edges[-1] / p.seconds for p in folder.vgmidi]
    assert max(unrated) < 0.05


def test_a_score_without_tempo_runs_at_120(tmp_path: Path) -> None:
    synthetic.midi(tmp_path / "a.mid", quarters=4, bpm=120)
    assert read_score(tmp_path / "a.mid").seconds_at([0, 1, 8]) == pytest.approx([0, 0.5, 4.0])


def test_a_score_in_a_key_that_there_is_not_is_named_and_not_a_defect(data: Path) -> None:
    path = data / "vgmidi" / "midi" / "broken.mid"
    key = b"\x00\xff\x59\x02\x0f\x05\x00\xff\x2f\x00"  # fifteen sharps in mode five, and the track's end
    path.write_bytes(b"MThd\0\0\0\6\0\0\0\1\1\xe0MTrk" + len(key).to_bytes(4, "big") + key)
    with pytest.raises(DataError, match=r"broken\.mid is not a readable MIDI file"):
        read_score(path)


def test_mido_is_asked_for_only_where_there_are_scores(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mido", None)  # as if it were not installed
    with pytest.raises(DataError, match="pip install"):
        read_folder(data)
    shutil.rmtree(data / "vgmidi")
    assert read_folder(data).four_q
    with pytest.raises(DataError, match="no training data"):
        read_folder(data / "nowhere")
