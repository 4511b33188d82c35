"""How good a model is, on clips that it was not fitted to.

- ``evaluate``: ``valaro evaluate``.
- ``cross_validation``: Decoders fitted without a fold, decoded on it; pools fitted to the others.
- ``scoring``: Figures of one fold's streams.
- ``metrics``: Agreement, likelihood and correlation.
- ``reliability``: Whether the heatmaps' probabilities mean what they say.
- ``baselines``: Predictions that know less, and the usual offline classifier.
- ``annotator_lag``: How far raters trail the music.
- ``report``: Tables, Markdown and the reliability diagram.
- ``activity``: How well music, speech and noise are told apart.
- ``activity_report``: The same as tables.
- ``adaptation``: What adapting to a listener is worth.
"""
