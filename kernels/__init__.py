"""Numba-compiled loops on arrays: ndarray in, result written to ``out``; no validation, no state, no I/O.

- ``spectrum``: windows, power spectra and what is read off them.
- ``mel``: mel bands, cepstrum, onset strength.
- ``tonal``: chroma, chords, key, partials.
- ``rhythm``: the onset autocorrelation and its pulse.
- ``texture``: running means and deviations.
- ``filterbanks``: constant tables, made once.
- ``gmm``: densities and posteriors of Gaussian mixtures, and the statistics of EM.
- ``gaussian_grid``: masses of Gaussians in the plane's cells.
- ``crf``: forward, backward and filter of the chain.
- ``sound``: what is done to samples on their way in.
- ``_jit``: the decorator that compiles them.
"""
