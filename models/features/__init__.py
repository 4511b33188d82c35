"""From blocks of sound to the acoustic vector.

- ``frame``: Features of one block of 100 ms: timbre, harmony, pulse.
- ``texture``: Running statistics of the last seconds: the acoustic vector.
- ``dc_offset``: What a sound card adds to the sound, tracked and taken out.
"""
