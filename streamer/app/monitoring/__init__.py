"""What lets a session run unattended for months.

- ``sinks``: The monitoring sinks that a session asks for.
- ``checkpoint``: The engine's state on disk, from which a restart resumes.
- ``metrics``: The session's numbers for Prometheus.
- ``metrics_server``: The HTTP server of ``/metrics``.
- ``logs``: JSON lines, suppression of repeats, and an hourly heartbeat.
- ``systemd``: Readiness and watchdog notifications to systemd.
"""
