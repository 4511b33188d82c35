"""Clips as the live chain hears them, with their targets.

- ``measure``: What the live chain measures of a clip, in the cache.
- ``examples``: All annotated clips, clean and altered, with labels.
- ``items``: Clips as they are scored.
- ``targets``: Labels as targets of heatmaps.
- ``splits``: Folds that share no artist, song or piece.
- ``decoding``: Decoders folded over measured clips.
- ``activity_scenes``: Scenes of music, speech and noise, with the right answer.
"""
