"""What moves together in a listener: features of the components, for ``gaussians.LinearAdaptation``."""

import numpy as np
from numpy.typing import NDArray

from ..decoders.aeg import AffectiveGMM


def mllr_basis(background: AffectiveGMM) -> NDArray[np.float64]:
    """An affine map of the plane (Leggetter & Woodland, Computer Speech & Language 9, 1995): (K, 3) of 1, v, a."""
    return np.column_stack([np.ones(background.components), background.means])


def class_basis(background: AffectiveGMM, classes: NDArray[np.integer]) -> NDArray[np.float64]:
    """A global affine map, and on top of it one for each class of components: (K, 3 + 3 C).

    Parameters
    ----------
    classes
        (K,), 0..C-1. Without ratings of a class its own map stays at the prior, and the global one speaks for it.
    """
    shared = mllr_basis(background)
    member = np.eye(int(classes.max()) + 1)[classes]
    return np.concatenate([shared, *(shared * column[:, None] for column in member.T)], axis=1)


def quadrant_classes(background: AffectiveGMM) -> NDArray[np.intp]:
    """The quadrant of each component's mean: (K,), 0..3 for Q1 V+A+, Q2 V-A+, Q3 V-A-, Q4 V+A-."""
    v, a = background.means.T >= 0
    return np.where(a, np.where(v, 0, 1), np.where(v, 3, 2)).astype(np.intp)


def kernel(places: NDArray[np.float64], length: float) -> NDArray[np.float64]:
    """How alike components are that lie at ``places`` (K, D): (K, K), exp(-distance^2 / 2 length^2), 1 on the diagonal.

    Places are means on the plane, or of the acoustic mixture where what sounds alike is to move together.
    """
    norms = np.square(places).sum(axis=1)
    distance = np.maximum(norms[:, None] + norms - 2.0 * places @ places.T, 0.0)
    np.fill_diagonal(distance, 0.0)
    return np.exp(-0.5 * distance / length**2)


def tied_basis(likeness: NDArray[np.float64], rank: int) -> NDArray[np.float64]:
    """The leading ``rank`` features of a Gaussian process over components with covariance ``likeness`` (K, K).

    (K, rank): basis @ basis.T is the nearest matrix of that rank to ``likeness``. With independent weights of unit
    variance the displacements of components have that covariance.
    """
    values, vectors = np.linalg.eigh(likeness)
    leading = vectors[:, ::-1][:, :rank] * np.sqrt(np.maximum(values[::-1][:rank], 0.0))
    return leading * np.where(leading[np.abs(leading).argmax(axis=0), np.arange(rank)] < 0, -1.0, 1.0)
