"""Users' own copies of DEAM, emoMusic, PMEmo, MediaEval and MoodSwings, laid out as their authors publish them."""

from pathlib import Path

import numpy as np
import pytest
from valaro.models.errors import DataError
from valaro.models.training.datasets.folder import read_folder
from valaro.models.training.datasets.labels import Trace

from .. import synthetic

DYNAMIC = "annotations/annotations averaged per song/dynamic (per second annotations)"
STATIC = "annotations/annotations averaged per song/song_level"
SONGS = 12


def level(song: int, axis: str) -> float:
    """Valence rises with the song's number, arousal jumps about: their song means do not correlate."""
    return -0.5 + song / SONGS if axis == "valence" else 0.3 * (-1.0) ** (song // 3)


def write_deam(root: Path, crossed: bool = True) -> Path:
    """Songs 0..11; those with odd numbers end a second early, and arousal has one column less than valence."""
    deam = root / "DEAM"
    for axis, samples in (("valence", 8), ("arousal", 7)):
        header = ["song_id", *(f"sample_{15000 + 500 * i}ms" for i in range(samples))]
        rows = [
            [song, *((f"{level(song, axis):.3f}" if i < samples - 2 * (song % 2) else "") for i in range(samples))]
            for song in range(SONGS)
        ]
        synthetic.table(deam / DYNAMIC / f"{axis}.csv", header, rows)
    one, two = ("arousal", "valence") if crossed else ("valence", "arousal")
    header = ["song_id", " valence_mean", " valence_std", " arousal_mean", " arousal_std"]
    for name, songs in (("1_2000", range(8)), ("2000_2058", range(8, SONGS))):
        rows = [[song, 5 + 4 * level(song, one), 1.0, 5 + 4 * level(song, two), 2.0] for song in songs]
        synthetic.table(deam / STATIC / f"static_annotations_averaged_songs_{name}.csv", header, rows)
    # The raters' own files lie beside them under the same words; so do the features.
    synthetic.table(
        deam / "annotations/annotations per each rater/dynamic (per second annotations)/arousal/1.csv",
        ["WorkerId", "sample_15000ms"],
        [["w", 0.5]],
    )
    (deam / "MEMD_audio").mkdir(parents=True)
    (deam / "MEMD_audio" / "3.mp3").touch()
    return deam


def write_emomusic(folder: Path) -> None:
    header = ["song_id", *(f"sample_{ms}ms" for ms in (15000, 15500, 16000))]
    for axis in ("valence", "arousal"):
        for kind, spread in (("average", 0.0), ("std", 0.25)):
            rows = [[song, *([spread or round(level(song, axis), 3)] * 3)] for song in range(SONGS)]
            synthetic.table(folder / "annotations" / f"{axis}_cont_{kind}.csv", header, rows)
    header = ["song_id", "mean_arousal", "std_arousal", "mean_valence", "std_valence"]
    rows = [[s, 5 + 4 * level(s, "arousal"), 2.0, 5 + 4 * level(s, "valence"), 1.0] for s in range(SONGS)]
    synthetic.table(folder / "annotations" / "static_annotations.csv", header, rows)
    synthetic.table(folder / "annotations" / "songs_info.csv", ["song_id", "Artist"], [[2, "Somebody"]])
    (folder / "clips_45sec" / "clips_45seconds").mkdir(parents=True)
    (folder / "clips_45sec" / "clips_45seconds" / "2.mp3").touch()


def write_pmemo(folder: Path) -> None:
    annotations = folder / "annotations"
    times = (15.0, 15.5)
    rows = [[song, t, 0.25, 0.5 + 0.25 * (t > 15)] for song in (1, 4) for t in times]
    synthetic.table(
        annotations / "dynamic_annotations.csv", ["musicId", "frameTime", "Arousal(mean)", "Valence(mean)"], rows
    )
    rows = [[song, t, 0.1, 0.2] for song in (1, 4) for t in times]
    synthetic.table(
        annotations / "dynamic_annotations_std.csv", ["musicId", "frameTime", "Arousal(std)", "Valence(std)"], rows
    )
    synthetic.table(annotations / "static_annotations.csv", ["musicId", "Arousal(mean)", "Valence(mean)"], [[1, 0, 1]])
    (folder / "chorus").mkdir()
    (folder / "chorus" / "4.mp3").touch()


def write_moodswings(folder: Path) -> None:
    rows = [
        ["s1", "w1", 1, 0.5, -0.5],
        ["s1", "w1", 2, 0.6, -0.6],
        ["s1", "w2", 2, -1, 1],
        ["s2", "w2", 1, 0, 0],
    ]
    synthetic.table(folder / "labels.csv", ["song", "worker", "second", "valence", "arousal"], rows)
    (folder / "songs").mkdir()
    (folder / "songs" / "s1.mp3").touch()


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def by_id(traces: tuple[Trace, ...]) -> dict[str, Trace]:
    return {trace.id: trace for trace in traces}


def test_deam_as_it_is_published(tmp_path: Path) -> None:
    write_deam(tmp_path)
    folder = read_folder(tmp_path)
    songs = by_id(folder.deam)
    assert len(songs) == SONGS
    assert songs["2"].times.tolist() == [15, 15.5, 16, 16.5, 17, 17.5, 18]  # what both axes have
    assert songs["3"].times.tolist() == [15, 15.5, 16, 16.5, 17]  # ends early
    assert songs["3"].valence == pytest.approx(level(3, "valence"), abs=1e-3)
    assert songs["3"].arousal == pytest.approx(level(3, "arousal"))
    assert np.isnan(songs["3"].valence_std).all()
    assert (songs["3"].path, songs["2"].path) == (tmp_path / "DEAM" / "MEMD_audio" / "3.mp3", None)
    assert any(line.startswith("deam: 11 of 12 clips have labels but no audio") for line in folder.missing)


@pytest.mark.parametrize("crossed", [True, False])
def test_deams_static_axes_are_told_by_its_curves_not_by_their_names(tmp_path: Path, crossed: bool) -> None:
    write_deam(tmp_path, crossed)
    folder = read_folder(tmp_path)
    overall = {each.id: each for each in folder.overall}
    assert len(overall) == SONGS
    for song in range(SONGS):
        assert overall[str(song)].valence == pytest.approx(level(song, "valence"))
        assert overall[str(song)].arousal == pytest.approx(level(song, "arousal"))
    deviations = (overall["3"].valence_std, overall["3"].arousal_std)
    assert deviations == ((0.5, 0.25) if crossed else (0.25, 0.5))  # on a scale of 1..9
    assert any("name valence what the curves name arousal: exchanged" in line for line in folder.missing) == crossed


def test_static_annotations_that_nothing_can_check_are_left_out(tmp_path: Path) -> None:
    write_pmemo(tmp_path / "PMEmo2019")
    folder = read_folder(tmp_path)
    assert folder.overall == ()
    assert any(line.startswith("pmemo: static annotations are left out") for line in folder.missing)


def test_emomusic_as_it_is_published(tmp_path: Path) -> None:
    write_emomusic(tmp_path / "emoMusic")
    folder = read_folder(tmp_path)
    song = by_id(folder.emomusic)["2"]
    assert song.path is not None
    assert song.path.name == "2.mp3"
    assert song.valence == pytest.approx(level(2, "valence"), abs=1e-3)
    assert song.arousal_std.tolist() == [0.25] * 3
    assert len(folder.overall) == SONGS
    assert (folder.overall[2].valence_std, folder.overall[2].arousal_std) == (0.25, 0.5)


def test_one_song_in_two_copies_counts_once_and_with_its_audio(tmp_path: Path) -> None:
    synthetic.write_emomusic(tmp_path / "1000Songs", 0.1)  # 2 and 3, audio of 2
    write_emomusic(tmp_path / "emoMusic")  # 0..11, audio of 2
    (tmp_path / "emoMusic" / "clips_45sec" / "3.wav").touch()
    songs = by_id(read_folder(tmp_path).emomusic)
    assert len(songs) == SONGS
    assert songs["2"].path == tmp_path / "1000Songs" / "audio" / "2.opus"
    assert songs["3"].path == tmp_path / "emoMusic" / "clips_45sec" / "3.wav"


def test_the_sets_that_share_songs_share_groups(tmp_path: Path) -> None:
    write_deam(tmp_path)
    write_emomusic(tmp_path / "emoMusic")
    write_pmemo(tmp_path / "PMEmo2019")
    folder = read_folder(tmp_path)
    assert by_id(folder.deam)["4"].group == by_id(folder.emomusic)["4"].group
    assert by_id(folder.pmemo)["4"].group != by_id(folder.emomusic)["4"].group


def test_pmemo_as_it_is_published(tmp_path: Path) -> None:
    write_pmemo(tmp_path / "PMEmo2019")
    songs = by_id(read_folder(tmp_path).pmemo)
    assert songs["4"].path == tmp_path / "PMEmo2019" / "chorus" / "4.mp3"
    assert songs["1"].path is None
    assert songs["1"].times.tolist() == [15.0, 15.5]
    assert songs["1"].valence.tolist() == [0, 0.5]
    assert songs["1"].arousal.tolist() == [-0.5, -0.5]
    assert songs["1"].valence_std == pytest.approx([0.4, 0.4])
    assert songs["1"].arousal_std == pytest.approx([0.2, 0.2])


def test_the_short_form_of_deam(tmp_path: Path) -> None:
    path = tmp_path / "deam" / "dynamic_mean_0to1.csv"
    header = ["musicId", "frameTime", "Arousal(mean)", "Valence(mean)"]
    synthetic.table(path, header, [[2, 15.0, 0.25, 1.0], [2, 15.5, 0.5, 0.75]])
    synthetic.compress(path)
    (song,) = read_folder(tmp_path).deam
    assert (song.valence.tolist(), song.arousal.tolist()) == ([1.0, 0.5], [-0.5, 0.0])
    assert np.isnan(song.arousal_std).all()


def test_the_tasks_of_mediaeval_in_parts(tmp_path: Path) -> None:
    header = ["song_id", "sample_15000ms", "sample_15500ms"]
    for part, song in (("development", 1001), ("evaluation", 2)):
        for axis in ("valence", "arousal"):
            table = tmp_path / "MediaEval2014_EmotionInMusic" / part / "annotations" / f"{axis}.csv"
            synthetic.table(table, header, [[song, 0.1, 0.2]])
    assert set(by_id(read_folder(tmp_path).mediaeval)) == {"1001", "2"}


def test_moodswings_keeps_its_workers_apart(tmp_path: Path) -> None:
    write_moodswings(tmp_path / "MoodSwingsTurk")
    folder = read_folder(tmp_path)
    first, second = folder.moodswings
    assert first.path == tmp_path / "MoodSwingsTurk" / "songs" / "s1.mp3"
    assert second.path is None
    assert "moodswings: 1 of 2 songs have labels but no audio" in folder.missing
    assert first.times.tolist() == [1, 2]
    assert first.valence == pytest.approx(np.array([[0.5, 0.6], [np.nan, -1]]), nan_ok=True)
    points = first.points()
    assert (points.emission.tolist(), points.rater.tolist()) == ([1, 3, 3], [0, 0, 1])  # 1 s and 2 s
    assert points.valence.tolist() == [0.5, 0.6, -1]
    assert points.arousal.tolist() == [-0.5, -0.6, 1]
    assert first.points(annotator_lag=1.0).emission.tolist() == [1, 1]  # what was said at 1 s is about no emission
    assert first.points(emissions=3).emission.tolist() == [1]


@pytest.mark.parametrize(
    ("table", "old", "new", "message"),
    [
        (f"DEAM/{DYNAMIC}/valence.csv", "-0.250,-0.250", "-0.250,", r"valence\.csv, song 3: a gap between two values"),
        (f"DEAM/{DYNAMIC}/valence.csv", "-0.250", "-1.250", r"valence\.csv, song 3: valence outside -1\.\.1"),
        (f"DEAM/{DYNAMIC}/arousal.csv", "\n3,", "\n4,", r"arousal\.csv: song 4 comes twice"),
        (f"DEAM/{DYNAMIC}/arousal.csv", "\n3,", "\n77,", r"arousal\.csv and valence\.csv: not the same songs"),
        (f"DEAM/{DYNAMIC}/arousal.csv", "0.300", "loud", r"arousal\.csv, row 2: sample_15000ms is 'loud'"),
        (
            f"DEAM/{STATIC}/static_annotations_averaged_songs_1_2000.csv",
            "6.2,1.0",
            "9.2,1.0",
            r"songs_1_2000\.csv, row 2: outside 1\.\.9",
        ),
        (
            "PMEmo2019/annotations/dynamic_annotations_std.csv",
            "4,15.0",
            "3,15.0",
            r"std\.csv: not the same songs and times, row by row, as dynamic_annotations\.csv",
        ),
        ("PMEmo2019/annotations/dynamic_annotations.csv", "0.25,", "1.25,", r"annotations\.csv, row 2: .* outside 0"),
        ("MoodSwings/labels.csv", "0.6,-0.6", "0.6,-6", r"labels\.csv, row 3: valence or arousal outside -1\.\.1"),
        ("MoodSwings/labels.csv", "w1,2", "w1,1", r"row 3: worker w1 has labelled second 1 before"),
        ("MoodSwings/labels.csv", "w1,2", "w1,-2", r"row 3: second is -2, before the song"),
    ],
)
def test_a_published_table_that_cannot_be_true_is_refused_by_name(
    tmp_path: Path, table: str, old: str, new: str, message: str
) -> None:
    write_deam(tmp_path)
    write_pmemo(tmp_path / "PMEmo2019")
    write_moodswings(tmp_path / "MoodSwings")
    read_folder(tmp_path)
    edit(tmp_path / table, old, new)
    with pytest.raises(DataError, match=message):
        read_folder(tmp_path)


def test_a_set_with_one_axis_is_reported_and_left_out(tmp_path: Path) -> None:
    write_deam(tmp_path)
    write_pmemo(tmp_path / "PMEmo2019")
    (tmp_path / "DEAM" / DYNAMIC / "arousal.csv").unlink()
    folder = read_folder(tmp_path)
    assert folder.deam == ()
    assert "deam: arousal.csv is absent, the set is left out" in folder.missing
