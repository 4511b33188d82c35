"""What a file is that libsndfile cannot decode, by its first bytes, and what to do about it."""

_CONVERT = "convert it to FLAC or WAV first, such as with `ffmpeg -i FILE FILE.flac`"
_KINDS: tuple[tuple[int, tuple[bytes, ...], str], ...] = (
    (4, (b"ftyp",), f"MPEG-4 sound or video (m4a, mp4, AAC), which is not decoded here: {_CONVERT}"),
    (0, (b"\x1aE\xdf\xa3",), f"Matroska or WebM, which is not decoded here: {_CONVERT}"),
    (0, (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",), f"Windows Media (wma, wmv), which is not decoded here: {_CONVERT}"),
    (0, (b"wvpk",), f"WavPack, which is not decoded here: {_CONVERT}"),
    (0, (b"MAC ",), f"Monkey's Audio, which is not decoded here: {_CONVERT}"),
    (0, (b"DSD ", b"FRM8"), f"DSD, which is not decoded here: {_CONVERT}"),
    (0, (b"\xff\xf1", b"\xff\xf9", b"ADIF"), f"AAC, which is not decoded here: {_CONVERT}"),
    (0, (b"MThd",), "MIDI, which has notes but no sound: render it to a sound file first"),
    (0, (b"#EXTM3U", b"[playlist]"), "a playlist: name the sound files that it lists"),
    (0, (b"version https://git-lfs",), "a Git LFS pointer: fetch the sound itself with `git lfs pull`"),
    (0, (b"PK\x03\x04", b"\x1f\x8b", b"7z\xbc\xaf", b"Rar!"), "an archive: unpack it first"),
    (0, (b"%PDF", b"\x89PNG", b"\xff\xd8\xff", b"GIF8"), "a picture or document, not a sound"),
)
_PAGE = (b"<!doctype", b"<html", b"<?xml", b"<head", b"<body")


def kind(beginning: bytes) -> str:
    """What a file that begins so is, and what to do; "": not known.

    Parameters
    ----------
    beginning : its first bytes, a hundred or so.
    """
    for offset, marks, words in _KINDS:
        if beginning[offset:].startswith(marks):
            return words
    text = beginning.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return "a web page, perhaps of a failed download: fetch the sound itself" if text.startswith(_PAGE) else ""
