"""The listeners: their ratings, where these are stored, and the heatmap as each of them feels it.

- ``adaptation``: Online adaptation of a session's heatmap to the listeners who are here.
- ``evidence``: What was heard at a rated moment: topic posterior, heatmap and textures.
- ``writer``: The thread that stores a session's ratings, and answers each when it is committed or lost.
- ``store``: The ratings of all listeners, in SQLite.
- ``records``: A rating as a row.
- ``backup``, ``salvage``: Backups beside the store; what can be read of a damaged one.
- ``schema``: The SQLite file: its place, versions, migrations and faults.
- ``export``: A listener's ratings as JSON.
- ``file_rating``: The evidence of a moment of a sound file.
- ``active_learning``: Which moments to ask a listener about.
"""
