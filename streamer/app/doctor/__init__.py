"""The checks of ``valaro doctor``: what would stop Valaro on this machine.

- ``result``: What a check is, and its result.
- ``runner``: Runs all checks concurrently, some in processes of their own.
- ``software``: Checks of Valaro's own parts: packages, model, audio, MIDI, network, data.
- ``machine``: Checks of the machine: disk, memory, clock, limits, power, text, the user's session.
"""
