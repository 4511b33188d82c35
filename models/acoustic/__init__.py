"""From the acoustic vector to what sounds.

- ``gmm``: The acoustic mixture and its posteriors.
- ``topics``: The topic posterior, kept as the stream goes, with forgetting.
- ``activity``: Music, speech or noise: the activity classifier and its filter over time.
"""
