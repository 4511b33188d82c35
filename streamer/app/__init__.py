"""A running session: how it is put together from its settings, and what keeps it running.

- ``settings``: What a session is asked for, and what it is made from.
- ``merge``: Options, else the configuration file, else the defaults.
- ``application``: Runs a session or a replay from its settings.
- ``outputs``: The outputs and inputs that the settings ask for.
- ``plugins``: Plugins by name, and how they are made from their tables.
- ``isolation``: Keeps the faults of plugins' sinks away from the session.
- ``steady_source``: Keeps the stream going whatever a plugin's source does.
- ``losses``: What its parts lose, for closing line, status, metrics and exit code.
- ``console``: Notices on standard error.
- ``config``: The configuration file and the presets.
- ``monitoring``: Checkpoint, metrics, logs and systemd's watchdog.
- ``doctor``: The checks of ``valaro doctor``.
"""
