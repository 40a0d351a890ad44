"""Rotations between two clouds of rows of which nobody knows which belong together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from coldstart.errors import MissingLibraryError

from .base import Array, scaled

__all__ = [
    "Alignment",
    "Cloud",
    "align",
    "clustered",
    "directions",
    "mutual_neighbours",
    "refined",
]

PASSES = 20  # of k-means
SOFTNESS = (0.2, 0.5)  # of Gromov-Wasserstein, each gives a start
QUANTILES = np.linspace(0.01, 0.99, 33)
TEMPERATURES = np.repeat((0.3, 0.2, 0.1, 0.07, 0.05), 3)
BALANCES = 30  # of a coupling, in one step
NEIGHBOURS = 10  # that tell how crowded the place of a row is
ROUNDS = 20


@dataclass(frozen=True, eq=False)
class Cloud:
    """Points of length 1 and their masses.

    Parameters
    ----------
    points : array (k, d)
    mass : array (k,), its sum 1
    """

    points: Array
    mass: Array

    @classmethod
    def of(cls, points: Array, weight: Array, most: int, rng: np.random.Generator) -> Cloud:
        """Stand for points (n, d) of length 1 by themselves, or by the centres of at most `most`
        clusters.
        """
        if len(points) > most:
            labels, points = clustered(points, weight, most, rng)
            weight = np.asarray(np.bincount(labels, weight, minlength=len(points)), np.float64)
        alive = weight > 0
        return cls(points[alive], weight[alive] / weight.sum())


def directions(rows: Array, weight: Array) -> Array:
    """Rows (n, d) seen from their weighted mean, their lengths 1."""
    return np.asarray(scaled(rows - np.average(rows, axis=0, weights=weight), True), np.float64)


def clustered(
    points: Array, weight: Array, count: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], Array]:
    """Clusters (n,) of points (n, d) of length 1, and their centres (count, d), of length 1 too.

    References
    ----------
    Arthur and Vassilvitskii (2007), k-means++: The Advantages of Careful Seeding. Dhillon and Modha
    (2001), Concept Decompositions for Large Sparse Text Data Using Clustering.
    """
    centres = np.empty((count, points.shape[1]))
    far = np.ones(len(points))
    for place in range(count):
        odds = weight * far
        odds = odds / odds.sum() if odds.any() else weight / weight.sum()
        centres[place] = points[rng.choice(len(points), p=odds)]
        far = np.minimum(far, np.maximum(1 - points @ centres[place], 0))
    labels = np.argmax(points @ centres.T, axis=1)
    for _ in range(PASSES):
        members = sp.csr_matrix((weight, (labels, np.arange(len(points)))), (count, len(points)))
        sums = members @ points
        there = np.any(sums, axis=1)
        centres[there] = scaled(sums[there], True)
        before, labels = labels, np.argmax(points @ centres.T, axis=1)
        if np.array_equal(labels, before):
            break
    return labels, centres


@dataclass(frozen=True, eq=False)
class Alignment:
    """A rotation Q (d_source, d_target) and how well it brings one cloud onto the other."""

    rotation: Array
    agreement: float


def align(source: Cloud, target: Cloud, starts: int, rng: np.random.Generator) -> Alignment:
    """The rotation that brings `source` onto `target`, without knowing which points correspond.

    With points a_i of mass p_i and b_j of mass q_j it maximises the agreement ::

        sum_ij T_ij a_i'Q b_j + t H(T),    Q'Q = I or QQ' = I,    T >= 0, T1 = p, T'1 = q

    in turns over the coupling T and the rotation Q, while the temperature t falls. There are many
    local optima: it starts from entropic Gromov-Wasserstein couplings, which compare nothing but
    the cosines inside each cloud, and from `starts` random rotations, and keeps the best.

    References
    ----------
    Peyré, Cuturi and Solomon (2016), Gromov-Wasserstein Averaging of Kernel and Distance Matrices.
    Mémoli (2011), Gromov-Wasserstein Distances and the Metric Approach to Object Matching (the
    profiles it starts from). Grave, Joulin and Berthet (2019), Unsupervised Alignment of Embeddings
    with Wasserstein Procrustes. Alvarez-Melis and Jaakkola (2018), Gromov-Wasserstein Alignment of
    Word Embedding Spaces.
    """
    drawn = rng.normal(size=(starts, source.points.shape[1], target.points.shape[1]))
    couplings = _structural(source, target)
    rotations = np.concatenate([_turning(source, couplings, target), _nearest_rotation(drawn)])
    for temperature in TEMPERATURES:
        likeness = source.points @ rotations @ target.points.T  # (n_starts, k_source, k_target)
        coupling = _coupling(likeness / temperature, source.mass, target.mass)
        rotations = _turning(source, coupling, target)
    agreements = np.sum(coupling * (source.points @ rotations @ target.points.T), axis=(1, 2))
    best = int(np.argmax(agreements))
    return Alignment(rotations[best], float(agreements[best]))


def _structural(source: Cloud, target: Cloud) -> Array:
    """Couplings (n, k_source, k_target) of points that have alike places in their clouds."""
    gromov_wasserstein = _gromov_wasserstein()
    cosines = [cloud.points @ cloud.points.T for cloud in (source, target)]
    profiles = [_profiles(c, m) for c, m in zip(cosines, (source.mass, target.mass), strict=True)]
    cost = np.mean((profiles[0][:, None] - profiles[1]) ** 2, axis=2)
    start = _coupling(-20 * cost[None] / (np.median(cost) or 1), source.mass, target.mass)[0]
    found = [
        gromov_wasserstein(
            *cosines,
            source.mass,
            target.mass,
            "square_loss",
            epsilon=softness,
            G0=start,
            max_iter=20,
            tol=1e-5,
            numItermax=50,
            stopThr=1e-6,
            warn=False,
        )
        for softness in SOFTNESS
    ]
    return np.stack(found)


def _gromov_wasserstein() -> Callable[..., Any]:
    try:
        found: Callable[..., Any] = import_module("ot.gromov").entropic_gromov_wasserstein
    except ImportError as error:
        raise MissingLibraryError(
            "TransportAdapter needs the library POT: pip install 'coldstart[transport]'"
        ) from error
    return found


def _profiles(cosines: Array, mass: Array) -> Array:
    """Quantiles (k, n_quantiles) of what every point sees of the others."""
    order = np.argsort(cosines, axis=1, kind="stable")
    levels = np.cumsum(mass[order], axis=1) - mass[order] / 2
    values = np.take_along_axis(cosines, order, axis=1)
    pairs = zip(levels, values, strict=True)
    return np.stack([np.interp(QUANTILES, level, value) for level, value in pairs])


def _coupling(logits: Array, rows: Array, columns: Array) -> Array:
    """``diag(u) exp(logits) diag(v)`` with the masses wanted, for a stack (n, k, l) of logits.

    References
    ----------
    Cuturi (2013), Sinkhorn Distances: Lightspeed Computation of Optimal Transport.
    """
    kernel = np.exp(logits - logits.max(axis=2, keepdims=True))
    v = np.ones((len(kernel), kernel.shape[2], 1))
    for _ in range(BALANCES):
        u = rows[:, None] / (kernel @ v)
        v = columns[:, None] / (kernel.transpose(0, 2, 1) @ u)
    coupling: Array = u * kernel * v.transpose(0, 2, 1)
    return coupling


def _turning(source: Cloud, couplings: Array, target: Cloud) -> Array:
    """The rotations (n, d_source, d_target) that bring coupled points together."""
    return _nearest_rotation(source.points.T @ couplings @ target.points)


def _nearest_rotation(matrices: Array) -> Array:
    """The nearest matrices with orthonormal columns, or rows where there are fewer.

    References
    ----------
    Schönemann (1966), A Generalized Solution of the Orthogonal Procrustes Problem.
    """
    left, _, right = np.linalg.svd(matrices, full_matrices=False)
    rotations: Array = left @ right
    return rotations


def refined(source: Array, target: Array, rotation: Array) -> tuple[NDArray[np.int64], Array]:
    """Anchors that follow from a rotation, as positions (2, n_pairs) of rows of both sides, and the
    rotation that follows from them.

    In rounds, rows that are each other's nearest are taken for pairs and the rotation fitted to
    them, until the pairs stay the same.

    References
    ----------
    Conneau, Lample, Ranzato, Denoyer and Jégou (2018), Word Translation Without Parallel Data.
    """
    pairs = mutual_neighbours(source @ rotation, target)
    for _ in range(ROUNDS):
        rotation = _nearest_rotation(source[pairs[0]].T @ target[pairs[1]])
        before, pairs = pairs, mutual_neighbours(source @ rotation, target)
        if np.array_equal(pairs, before):
            break
    return pairs, rotation


def mutual_neighbours(source: Array, target: Array) -> NDArray[np.int64]:
    """Positions (2, n_pairs) of rows that are nearest to each other in both directions.

    Near is what has a large ``2 a'b - r(a) - r(b)``, r the mean likeness of a row to its 10 nearest
    on the other side: a row in a crowd is not everybody's neighbour (CSLS).
    """
    likeness = source @ target.T
    columns = np.mean(_largest(likeness.T), axis=1)
    rows = np.mean(_largest(likeness), axis=1)
    likeness = 2 * likeness - columns - rows[:, None]
    there, back = likeness.argmax(axis=1), likeness.argmax(axis=0)
    mutual = np.flatnonzero(back[there] == np.arange(len(source)))
    return np.stack([mutual, there[mutual]])


def _largest(likeness: Array) -> Array:
    """The largest values (n, at most 10) of every row of `likeness` (n, m)."""
    count = min(NEIGHBOURS, likeness.shape[1])
    return np.partition(likeness, -count, axis=1)[:, -count:]
