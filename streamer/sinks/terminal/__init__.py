"""The live picture in a terminal.

- ``sink``: Draws the newest emission, or prints one line for each where there is no terminal.
- ``channels``: The table of channels that are tracked separately.
- ``widgets``: Gauges, bars and sparklines of rich's segments.
"""
