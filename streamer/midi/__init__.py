"""MIDI in both directions.

- ``messages``: An emission as MIDI messages.
- ``ports``: Finds, opens and watches MIDI ports by name.
- ``alsa``: What is connected to a port of ALSA's sequencer.
- ``jack``: A port on JACK, in a process of its own.
- ``sink``: Sends emissions to a port.
- ``receiver``: Ratings from two controllers or an XY pad.
"""
