"""From what was heard to a heatmap.

- ``base``: What a decoder is given (Evidence) and what every decoder is.
- ``aeg``: Acoustic Emotion Gaussians.
- ``crf``: The chain-structured conditional random field, stepped as a filter.
- ``lstm``: The recurrent network, stepped by ONNX Runtime.
- ``fusion``: The calibrated log-linear pool of several decoders.
"""
