"""The live chain, without any device library.

- ``affect``: What the engine emits twice a second, and its JSON record.
- ``protocols``: The interfaces of sources, sinks, engines and listeners.
- ``controls``: The settings that may change while a session runs, and ratings.
- ``ring``: The ring buffer of audio frames between two threads.
- ``engine``: Samples in, emissions out.
- ``multichannel``: One engine for each channel of an input.
- ``session``: Runs a source through an engine to the sinks.
- ``replay``: Sends a recording to the sinks again.
- ``standstill``: Whether this program stood still, or its machine slept.
- ``signals``: SIGINT, SIGTERM and SIGHUP, handled at a safe moment.
"""
