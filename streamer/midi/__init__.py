"""MIDI in both directions.

- ``messages``: An emission as MIDI messages.
- ``ports``: Finds, opens and watches MIDI ports by name.
- ``jack``: A port on JACK, in a process of its own.
- ``sink``: Sends emissions to a port.
- ``receiver``: Ratings from two controllers or an XY pad.
"""
