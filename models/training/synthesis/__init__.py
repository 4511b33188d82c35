"""Sound that no data set has.

- ``acoustics``: Rooms, filters and loudness.
- ``augment``: Clips as other rooms and devices have them.
- ``noises``: Applause, traffic, fans and other noises.
- ``speech``: Voices that eSpeak NG makes.
- ``midi_render``: MIDI played to audio by FluidSynth.
"""
