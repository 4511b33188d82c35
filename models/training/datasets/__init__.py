"""The data sets: their files as clips, pieces and traces with labels.

- ``folder``: Everything under one folder, and what is missing there.
- ``labels``: Clips, pieces, traces and points: the labels that the sets have.
- ``tables``: CSV as columns, each fault one line.
- ``quadrants``: 4Q and EMOPIA: a quadrant a clip.
- ``vgmidi``: VGMIDI: raters' traces over MIDI.
- ``midi_score``: Tempo map and length of a MIDI file.
- ``traces``: emoMusic, DEAM, MediaEval and PMEmo: means over raters, over time.
- ``static_annotations``: One judgement of a whole song, of the same sets.
- ``moodswings``: MoodSwings: every rater's labels over time.
- ``listeners``: Who rated what: agreement, Emotify, film soundtracks.
- ``liris``: LIRIS-ACCEDE: film clips.
- ``unlabelled``: Music without labels, and the teacher's view of it.
"""
