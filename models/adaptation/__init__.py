"""How a listener's ratings change the heatmap.

- ``base``: What every way of adapting offers, and what a rating must be.
- ``heatmap_shift``: The emitted heatmap moved: what the live chain uses.
- ``regression``: Bayesian linear regression of VA on features: sums, posterior, prior over listeners.
- ``gaussians``: The AEG decoder's Gaussians moved, carried over to any heatmap.
- ``map``: Maximum a posteriori adaptation of the Gaussians.
- ``basis``: Features of the components: what moves together in a listener.
"""
