"""General tools that know nothing of music, for every package of the streamer.

- ``address``: Parses, resolves and binds network addresses.
- ``files``: A file that is replaced atomically.
- ``http``: What the small HTTP servers have in common.
- ``process``: This process's version and memory.
- ``rate_limit``: Token buckets.
- ``stderr``: Silences what native libraries print on their own.
"""
