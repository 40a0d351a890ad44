"""How alike two embeddings of the same rows are, in measures that no rotation of either changes.

Two factor models are trained apart, so their axes have nothing to do with each other: a distance
between a source row and a target row means nothing. What can be compared is how rows stand to each
other (CKA), and what can be predicted from what (canonical correlations). Both are held against
pairs drawn at random.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from coldstart.threads import one_blas_thread

__all__ = ["Alignment", "Canonical", "alignment", "canonical", "debiased_cka", "permutation_p"]

Array = NDArray[np.float64]

FEWEST = 20  # rows below which nothing is said
FOLDS = 5
LEVEL = 0.95  # of the null distribution that a direction must exceed


@dataclass(frozen=True)
class Alignment:
    """Debiased linear CKA of `rows` pairs, and the p value of pairs drawn at random."""

    cka: float
    p: float
    rows: int

    def __str__(self) -> str:
        return (
            f"CKA {self.cka:.2f} over {self.rows} anchors (0 is unrelated, 1 the same but for a "
            f"rotation; p {self.p:.2g})"
        )


@dataclass(frozen=True)
class Canonical:
    """Canonical correlations on rows that did not choose their directions, in the order found.

    `level` is what 95% of random pairings stay below with their best direction, `above` counts the
    directions beyond it, and `p` is that of the best one.
    """

    correlations: tuple[float, ...]
    level: float
    above: int
    p: float
    rows: int

    def __str__(self) -> str:
        best = max(self.correlations)
        return (
            f"{self.above} of {len(self.correlations)} directions are above the level of random "
            f"pairs ({self.level:.2f}), the best at {best:.2f} on held-out anchors (p {self.p:.2g})"
        )


def debiased_cka(x: Array, y: Array) -> float:
    r"""Linear centred kernel alignment with the unbiased estimate of HSIC.

    With :math:`\tilde K, \tilde L` the kernels ``xx'`` and ``yy'`` without their diagonals,

    .. math:: HSIC = \frac{1}{n(n-3)} \Big( tr(\tilde K \tilde L)
              + \frac{1'\tilde K 1\, 1'\tilde L 1}{(n-1)(n-2)}
              - \frac{2}{n-2} 1'\tilde K \tilde L 1 \Big), \quad
              CKA = \frac{HSIC(K, L)}{\sqrt{HSIC(K, K)\, HSIC(L, L)}}

    It is about 0 for unrelated rows, however wide they are, and may be negative; 1 for rows that
    differ by a rotation, a shift and one scale. No (n, n) matrix is formed.

    Parameters
    ----------
    x : array (n, d_x)
    y : array (n, d_y)

    Returns
    -------
    float
        NaN for fewer than 4 rows, or where one side does not vary.

    References
    ----------
    S. Kornblith, M. Norouzi, H. Lee and G. Hinton (2019). Similarity of neural network
    representations revisited. L. Song, A. Smola, A. Gretton, J. Bedo and K. Borgwardt (2012).
    Feature selection via dependence maximization.

    Examples
    --------
    >>> rows = np.random.default_rng(0).normal(size=(50, 3))
    >>> round(debiased_cka(rows, 2 * rows[:, ::-1] + 1), 6)
    1.0
    """
    if len(x) < 4:
        return float("nan")
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    own = _hsic(x, x) * _hsic(y, y)
    return _hsic(x, y) / float(np.sqrt(own)) if own > 0 else float("nan")


def _hsic(x: Array, y: Array) -> float:
    """Unbiased HSIC of centred rows: then K1 = 0, and what is left of 1'K~L~1 are diagonals."""
    n = len(x)
    k, l = np.einsum("ij,ij->i", x, x), np.einsum("ij,ij->i", y, y)  # noqa: E741
    diagonals = float(k @ l)
    together = float(np.sum((x.T @ y) ** 2)) - diagonals  # tr(K~L~)
    sums = float(k.sum() * l.sum()) / ((n - 1) * (n - 2))
    return (together + sums - 2 / (n - 2) * diagonals) / (n * (n - 3))


def permutation_p(value: float, null: Array) -> float:
    """Share of the null values, `value` among them, that are at least as large."""
    return float((1 + np.sum(null >= value)) / (1 + len(null)))


def alignment(
    x: Array, y: Array, *, permutations: int = 199, rng: np.random.Generator
) -> Alignment | None:
    """CKA of the rows of x (n, d_x) and y (n, d_y), tested; None where there are fewer than 20, or
    one side does not vary.
    """
    if len(x) < FEWEST or np.isnan(value := debiased_cka(x, y)):
        return None
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    with one_blas_thread():  # a permutation changes HSIC(K, L) alone
        null = [_hsic(x, y[rng.permutation(len(y))]) for _ in range(permutations)]
        p = permutation_p(_hsic(x, y), np.array(null))
    return Alignment(value, p, len(x))


def canonical(
    x: Array, y: Array, *, permutations: int = 199, rng: np.random.Generator
) -> Canonical | None:
    r"""Regularised canonical correlations, cross-fitted and tested.

    Four fifths of the rows choose directions: the singular vectors of

    .. math:: (C_x + r_x I)^{-1/2} C_{xy} (C_y + r_y I)^{-1/2}, \quad r = \frac{d}{n} \frac{tr C}{d}

    and the other fifth is projected on them; the correlation of one direction is that of all
    projected rows. So few rows, or wide ones, do not inflate it: without relation it is about 0,
    where canonical correlations on the rows that chose them approach 1. The null distribution
    pairs rows at random within each fifth, and takes the best direction of each pairing.

    Parameters
    ----------
    x : array (n, d_x)
    y : array (n, d_y)
    permutations : int
        Number of random pairings; p is never below 1 / (1 + permutations).
    rng : numpy.random.Generator

    Returns
    -------
    Canonical, or None where there are fewer than 20 rows, or one side does not vary

    References
    ----------
    H. Hotelling (1936). Relations between two sets of variates. H. D. Vinod (1976). Canonical ridge
    and econometrics of joint production.
    """
    if len(x) < FEWEST or not (np.ptp(x, axis=0).any() and np.ptp(y, axis=0).any()):
        return None
    order = rng.permutation(len(x))
    x, y = x[order] - x.mean(axis=0), y[order] - y.mean(axis=0)
    limits = np.linspace(0, len(x), FOLDS + 1).astype(int)
    parts = [slice(*pair) for pair in pairwise(limits)]
    with one_blas_thread():
        sides = [_Side.of(x, part) for part in parts], [_Side.of(y, part) for part in parts]
        found = _cross_fitted(x, y, parts, *sides)
        null = np.array(
            [
                _cross_fitted(x, y[_within(parts, rng)], parts, *sides).max()
                for _ in range(permutations)
            ]
        )
    level = float(np.quantile(null, LEVEL))
    return Canonical(
        correlations=tuple(map(float, found)),
        level=level,
        above=int(np.sum(found > level)),
        p=permutation_p(float(found.max()), null),
        rows=len(x),
    )


@dataclass(frozen=True, eq=False)
class _Side:
    """What one embedding brings to one fold; random pairings within the folds do not change it.

    `count`, `sum` (d,) and `scatter` (d, d) are of the held-out rows, around zero and around the
    mean of the others; `mean` (d,) and `white` (d, d), a root of the inverse covariance, of the
    others.
    """

    count: int
    sum: Array
    scatter: Array
    others: int
    mean: Array
    white: Array

    @classmethod
    def of(cls, rows: Array, part: slice) -> _Side:
        held, others = rows[part], np.delete(rows, part, axis=0)
        mean = others.mean(axis=0)
        covariance = (others - mean).T @ (others - mean) / len(others)
        values, vectors = np.linalg.eigh(covariance)
        ridge = max(float(np.trace(covariance)), 1e-300) / len(others)  # d / n of the mean variance
        white = vectors / np.sqrt(np.maximum(values, 0) + ridge)
        away = held - mean
        return cls(len(held), held.sum(axis=0), away.T @ away, len(others), mean, white)


def _within(parts: Sequence[slice], rng: np.random.Generator) -> NDArray[np.int64]:
    """A permutation that keeps every row in its fold."""
    return np.concatenate([rng.permutation(np.arange(p.start, p.stop)) for p in parts])


def _cross_fitted(
    x: Array, y: Array, parts: Sequence[slice], of_x: Sequence[_Side], of_y: Sequence[_Side]
) -> Array:
    """Correlation (min(d_x, d_y),) of every canonical direction on rows that did not choose it."""
    moments = [x[part].T @ y[part] for part in parts]
    total = np.sum(moments, axis=0)
    sums = np.zeros((3, min(x.shape[1], y.shape[1])))
    for moment, a, b in zip(moments, of_x, of_y, strict=True):
        cross = (total - moment) / a.others - np.outer(a.mean, b.mean)  # C_xy of the others
        left, _, right = np.linalg.svd(a.white.T @ cross @ b.white, full_matrices=False)
        u, v = a.white @ left, b.white @ right.T  # directions (d_x, k), (d_y, k)
        held = moment - np.outer(a.sum, b.mean) - np.outer(a.mean, b.sum)
        held += a.count * np.outer(a.mean, b.mean)  # sum of (x - mean)(y - mean)' held out
        sums += [
            np.einsum("ik,ij,jk->k", one, middle, other, optimize=True)
            for one, middle, other in ((u, held, v), (u, a.scatter, u), (v, b.scatter, v))
        ]
    size = np.sqrt(sums[1] * sums[2])
    return np.asarray(np.divide(sums[0], size, out=np.zeros_like(size), where=size > 0))
