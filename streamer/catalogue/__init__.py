"""The analysis of many files, and what it writes.

- ``discovery``: The sound files among the named paths and folders.
- ``analysis``: What is done with a file: plan, task, analyser, result.
- ``results``: The name of each file's results.
- ``workers``: A pool of processes that analyse files in parallel.
- ``writers``: JSON lines, tables and arrays, each file written atomically.
- ``plot``: A picture of a file's emotion over time.
- ``progress``: A progress bar, or a line every ten seconds.
"""
