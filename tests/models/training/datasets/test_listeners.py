"""Listeners, films, the teacher and the recordings without labels, each from a small copy that the test writes."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from valaro.models.errors import DataError
from valaro.models.training.datasets import unlabelled
from valaro.models.training.datasets.folder import read_folder
from valaro.models.training.datasets.liris import read_liris
from valaro.models.training.datasets.listeners import (
    EMOTIONS,
    FEELINGS,
    read_agreement,
    read_emotify,
    read_soundtracks,
)

from .. import synthetic


@pytest.fixture
def data(tmp_path: Path) -> Path:
    synthetic.write_4q(tmp_path / "4q", 2, 0.1)
    synthetic.write_agreement(tmp_path / "agreement")
    synthetic.write_emotify(tmp_path / "emotify")
    synthetic.write_soundtracks(tmp_path / "soundtracks")
    synthetic.write_liris(tmp_path / "liris")
    synthetic.write_teacher(tmp_path / "teacher")
    synthetic.write_open_music(tmp_path / "open_music")
    return tmp_path


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_every_listener_is_kept_apart(data: Path) -> None:
    ratings = read_folder(data).ratings
    assert ratings is not None
    assert (ratings.listeners, ratings.clips) == (("de000", "de001", "de002"), ("MT0", "MT1"))
    assert ratings.language == ("german",) * 3
    assert ratings.emotions.shape == (3, 2, 11)
    assert ratings.emotions[2, 1, EMOTIONS.index("fear")] == 1 + (2 + 1 + 2) % 5
    assert ratings.preference.tolist() == [[1, 1], [2, 2], [3, 3]]
    assert np.all(ratings.familiarity == 5)
    assert np.all(ratings.understanding == 3)


def test_what_was_felt_is_counted_over_listeners(data: Path) -> None:
    (data / "emotify" / "audio" / "002.opus").unlink()
    folder = read_folder(data)
    assert [clip.id for clip in folder.emotify] == ["001", "003"]
    assert "emotify: 1 of 3 files are absent (002.opus)" in folder.missing
    clip = folder.emotify[1]
    assert dict(zip(FEELINGS, clip.felt, strict=True)) == {
        "amazement": 0.5, "solemnity": 0, "tenderness": 0.5, "nostalgia": 0, "calmness": 0, "power": 0,
        "joyful_activation": 0, "tension": 0.5, "sadness": 1,
    }  # fmt: skip
    assert clip.feelings.shape == (2, 9)
    assert (clip.mood.tolist(), clip.age.tolist(), clip.gender.tolist()) == ([3, 5], [21, 34], [1, 0])
    assert (clip.liked.tolist(), clip.disliked.tolist()) == ([True, False], [False, True])
    assert clip.language == ("Dutch", "English")


def test_film_music_keeps_its_own_scales_beside_ours(data: Path) -> None:
    music = read_folder(data).soundtracks
    assert music is not None
    assert (music.raters, music.tracks) == (("2", "7"), ("1", "2"))
    assert (music.rater.tolist(), music.track.tolist()) == ([0, 0, 1], [0, 1, 1])
    assert music.raw.tolist() == [[3, 8, 9], [5, 1, 9], [9, 5, 1]]
    assert (music.valence.tolist(), music.arousal.tolist(), music.tension.tolist()) == (
        [-0.5, 0, 1],
        [0.75, -1, 0],
        [1, 1, -1],
    )
    assert music.musicianship.tolist() == pytest.approx([3.0, np.nan], nan_ok=True)
    assert (music.feature_names, music.features.tolist()) == (("RMS", "MFCC1"), [[0.1, -90], [0.2, 5]])


def test_film_clips_and_films(data: Path) -> None:
    footage = read_folder(data).liris
    assert footage is not None
    assert (footage.valence.tolist(), footage.arousal.tolist()) == ([-1, -0.5, 0], [1, 0.5, 0])  # 1..5 -> -1..1
    assert footage.valence_std == pytest.approx([0.2] * 3)  # variance .16 on a scale twice as wide
    assert footage.arousal_std == pytest.approx([0.1] * 3)
    assert footage.official.tolist() == [0, 1, 2]
    names, values = footage.features("Valence_TAC2015")
    assert names == ("alpha", "zcr")
    assert values[:, 0].tolist() == [0, 10, 20]  # in the order of the clips, not of the file
    (film,) = footage.films
    assert film.times.tolist() == [0, 1, 2]  # to the shorter curve's end
    assert film.valence == pytest.approx([0, 0.1, 0.2])
    with pytest.raises(DataError, match=r"ACCEDEfeaturesArousal_TAC2015\.csv\.gz is absent"):
        footage.features("Arousal_TAC2015")


def test_the_teacher_speaks_in_its_own_scale_and_time(data: Path) -> None:
    folder = read_folder(data)
    assert set(folder.teacher) == {"4q"}
    assert "teacher: no embeddings for emotify, vgmidi" in folder.missing
    taught = unlabelled.read_teacher(folder.teacher["4q"])
    assert {name: one.shape for name, one in taught.items()} == {"MT1": (3, 200), "MT2": (1, 200)}
    assert taught["MT1"].dtype == np.float32
    assert taught["MT1"] == pytest.approx(1.5)
    assert taught["MT2"] == pytest.approx(0.0)
    assert unlabelled.teacher_times(3) == pytest.approx([3.01, 4.01, 5.01])


def test_recordings_come_with_author_and_licence(data: Path) -> None:
    folder = read_folder(data)
    assert [(r.path.name, r.author, r.licence, r.kind) for r in folder.open_music] == [
        ("12-3.hq.ogg", "Bob Voice", "CC-BY 4.0", "speech"),
        ("A_Song.hq.ogg", "Ann Author", "CC-BY", "music"),
        ("Gold Rush.mp3", "Kevin MacLeod", "CC BY 4.0", "music"),
    ]
    assert [line for line in folder.missing if "found on the street.mp3 comes without author" in line]


@pytest.mark.parametrize(
    ("table", "old", "new", "message"),
    [
        ("agreement/ratings.csv", "german,1", "german,6", r"ratings\.csv, row 2: anger is 6, expected 1 to 5"),
        ("agreement/ratings.csv", "MT1,de000", "MT0,de000", r"row 3: listener de000 has rated clip MT0 before"),
        ("agreement/ratings.csv", "MT1,de002", "MT1,de003", r"listener de002 has no rating of clip MT1"),
        ("emotify/ratings.csv", "rock,1", "rock,2", r"ratings\.csv, row 2: amazement is 2, expected 0 to 1"),
        ("emotify/ratings.csv", "sadness", "gladness", r"ratings\.csv: no column sadness"),
        ("emotify/ratings.csv", "rock,0", "folk,0", r"row 3: clip 001 is rock in an earlier row"),
        ("soundtracks/ratings.csv", "3.0,8.0", "0.5,8.0", r"ratings\.csv, row 2: a rating is outside 1\.\.9"),
        ("soundtracks/ratings.csv", "7,2,", "7,3,", r"row 4: track 3 is not in .*features\.csv"),
        ("soundtracks/ratings.csv", "2,2,", "2,1,", r"row 3: rater 2 has rated track 1 before"),
        ("soundtracks/features.csv", "0.2", "loud", r"features\.csv, row 3: RMS is 'loud', expected a number"),
        ("soundtracks/features.csv", "0.2,5", "0.2", r"features\.csv, row 3: another number of values"),
        ("liris/continuous/A_Film_Valence.txt", "0.20", "2.00", r"A_Film_Valence\.txt: valence outside -1\.\.1"),
        ("liris/continuous/A_Film_Arousal.txt", "\n1\t", "\n5\t", r"Arousal\.txt: the times are not 0, 1, 2"),
    ],
)
def test_a_rating_that_cannot_be_true_is_refused_by_name(
    data: Path, table: str, old: str, new: str, message: str
) -> None:
    edit(data / table, old, new)
    with pytest.raises(DataError, match=message):
        read_folder(data)


def test_a_film_with_one_axis_is_refused(data: Path) -> None:
    (data / "liris" / "continuous" / "A_Film_Arousal.txt").unlink()
    with pytest.raises(DataError, match="a film needs both axes"):
        read_folder(data)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([2, "ACCEDE00002.mp4", 6, 1, 0.1, 0.1, 1], r"ratings\.csv\.gz, row 4: a value outside 1\.\.5"),
        ([2, "ACCEDE00002.mp4", 5, 1, 0.1, 0.1, 3], r"row 4: set is 3, expected 0, 1 or 2"),
        ([2, "ACCEDE00001.mp4", 5, 1, 0.1, 0.1, 1], r"clip ACCEDE00001\.mp4 comes twice"),
    ],
)
def test_a_film_clip_that_cannot_be_true_is_refused(tmp_path: Path, row: list, message: str) -> None:
    header = ["id", "name", "valenceValue", "arousalValue", "valenceVariance", "arousalVariance", "set"]
    good = [[i, f"ACCEDE{i:05d}.mp4", 3, 3, 0.1, 0.1, 0] for i in range(2)]
    synthetic.table(tmp_path / "ratings.csv", header, [*good, row])
    synthetic.compress(tmp_path / "ratings.csv")
    with pytest.raises(DataError, match=message):
        read_liris(tmp_path, [])


def test_a_cut_off_table_is_refused(data: Path) -> None:
    path = data / "liris" / "ratings.csv.gz"
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(DataError, match=r"ratings\.csv\.gz cannot be read"):
        read_folder(data)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.write_bytes(b"PK and nothing"), r"musicnn_4q\.npz cannot be read"),
        (lambda path: path.unlink(), "there is no teacher for this set"),
        (lambda path: np.savez(path, mean=np.zeros(3), scale=np.zeros(3)), "mean or scale is not of shape"),
        (
            lambda path: np.savez(path, mean=np.zeros(200), scale=np.zeros(200), MT7=np.zeros((4, 199), np.int8)),
            r"clip MT7: int8 \(4, 199\)",
        ),
    ],
)
def test_a_damaged_teacher_is_refused(data: Path, damage: Callable[[Path], object], message: str) -> None:
    path = data / "teacher" / "musicnn_4q.npz"
    damage(path)
    with pytest.raises(DataError, match=message):
        unlabelled.read_teacher(path)


def test_an_absent_table_is_no_error_of_the_reader(tmp_path: Path) -> None:
    for read in (read_agreement, read_emotify, read_soundtracks, read_liris):
        with pytest.raises(FileNotFoundError):
            read(tmp_path, [])
