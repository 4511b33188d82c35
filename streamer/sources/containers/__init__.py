"""What a sound file really holds, whatever its header says: where its sound lies, and what its header states of it.

libsndfile decodes; here is only found out what it is to be given. It stops where a header tells it to, and a header may
be unfinished (a recorder that was killed), missing (MP3 without a length frame) or of the first of joined files.

- ``sections``: Which sections a file has, by its kind.
- ``chunks``: RIFF, RF64, Wave64, AIFF, CAF and AU: the length of the sound against the bytes that are there.
- ``mpeg``: MP3 and its elders, frame by frame.
- ``ogg``: Ogg, page by page.
- ``flac``: FLAC of a wrong or unknown length.
- ``foreign``: What a file is that cannot be decoded.
- ``splice``: A file that is put together of parts of another.
"""
