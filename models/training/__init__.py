"""Fitting and judging models; nothing of it runs live.

- ``train``: ``valaro train``.
- ``evaluation``: How good a model is.
- ``fit``: Each part of a bundle fitted to clips.
- ``corpus``: Clips measured, with labels as targets, in folds.
- ``synthesis``: Sound that is made: augmentations, noises, voices, rendered MIDI.
- ``datasets``: The published data sets, a file each.
- ``recipe``: Every number that a training is asked for.
- ``cache``: What is dear to compute, kept on disk.
- ``source_digest``: Cache keys from code, wherever it stands.
- ``parallel``: Work on several processors.
"""
