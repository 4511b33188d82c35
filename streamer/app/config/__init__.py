"""The configuration file.

- ``schema``: Its tables and keys, checked by pydantic, and ``load_config``.
- ``errors``: Its faults, as one line with file, line and key.
- ``syntax``: What was meant by a file that is not TOML.
- ``toml_lines``: The line of each key of a TOML text.
- ``presets``: Configurations for known programs.
"""
