"""A running session: how it is put together from its settings, and what keeps it running.

- ``settings``: The settings of a session, merged from options and configuration.
- ``application``: Runs a session or a replay from its settings.
- ``outputs``: The outputs and inputs that the settings ask for.
- ``plugins``: Plugins by name, and how they are made from their tables.
- ``isolation``: Keeps a plugin's faults away from the session.
- ``console``: Notices on standard error.
- ``config``: The configuration file and the presets.
- ``monitoring``: Checkpoint, metrics, logs and systemd's watchdog.
- ``doctor``: The checks of ``valaro doctor``.
"""
