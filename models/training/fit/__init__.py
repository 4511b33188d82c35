"""Each part of a bundle, fitted.

- ``bundle``: All decoders.
- ``aeg``: Projection, acoustic mixture and affective Gaussians.
- ``gmm``: The acoustic mixture by EM.
- ``affective``: The affective Gaussians by EM.
- ``crf``: The chain by its exact gradient.
- ``crf_inputs``: What the chain is fitted to.
- ``network``: The recurrent network in PyTorch, and its way into ONNX.
- ``lstm``: Teaching it.
- ``fusion``: The pool of decoders.
- ``activity``: The activity classifier.
- ``listener_prior``: How listeners differ: the prior of adaptation.
"""
