"""Audio inputs and outputs.

- ``listing``: The audio inputs of this machine, and the one that a name means.
- ``capture``: Records an input in a process of its own.
- ``identity``: Finds a lost input again by its name.
- ``channel_format``: Adapts a device's rate and channels to the session's.
- ``gap_filler``: How much silence replaces missing sound.
- ``pulseaudio``: Notices when the sound server moves a stream to another source.
- ``playback``: Plays sound on the default output.
"""
