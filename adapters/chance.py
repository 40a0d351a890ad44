"""Clouds whose structure is destroyed: what an alignment finds in them, it finds by chance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .alignment import clustered, directions
from .base import Array

__all__ = ["Scrambled"]

LOOKED_AT = 500  # rows on which clusters are told from none
COUNTS = (2, 3, 4, 6, 8, 10, 12, 15, 18, 22, 27, 33, 40, 50)  # of clusters that are tried
TRIES = 2
SUBSTANTIAL = 0.25  # a mean silhouette below is no structure


@dataclass(frozen=True, eq=False)
class Scrambled:
    """Rows (n, d) as groups whose centres can be dealt out anew.

    What is kept, because two unrelated catalogs may both have it and align the better for it: the
    spread along every principal axis, how many groups there are, how far out, how large and how
    wide. What is destroyed: where the groups lie relative to each other, which is all that an
    alignment without anchors has to go by. Where rows form no clusters (a mean silhouette below
    0.25) every row is a group.

    Parameters
    ----------
    labels : array (n,)
        The group of every row.
    centres : array (n_groups, d)
        Along the principal axes of the centres.
    inside : array (n, d)
        Rows less their centres, along the same axes.

    References
    ----------
    Rousseeuw (1987), Silhouettes: A Graphical Aid to the Interpretation and Validation of Cluster
    Analysis. Kaufman and Rousseeuw (1990), Finding Groups in Data (the limit of 0.25).
    """

    labels: NDArray[np.int64]
    centres: Array
    inside: Array

    @classmethod
    def of(cls, rows: Array, weight: Array, rng: np.random.Generator) -> Scrambled:
        """Find the groups of `rows` (n, d), which count `weight` (n,) times."""
        rows = rows - np.average(rows, axis=0, weights=weight)
        labels = _groups(directions(rows, weight), weight, rng)
        mass = np.bincount(labels, weight)
        sums = np.stack([np.bincount(labels, weight * column) for column in rows.T], axis=1)
        centres = sums / mass[:, None]
        axes = np.linalg.eigh((centres.T * mass) @ centres)[1]
        return cls(labels, centres @ axes, (rows - centres[labels]) @ axes)

    def draw(self, rng: np.random.Generator) -> Array:
        """Rows (n, d) with every coordinate of the centres dealt out anew among the groups, each
        group as far out as it was.
        """
        dealt = np.stack([rng.permutation(column) for column in self.centres.T], axis=1)
        far, now = (np.linalg.norm(centres, axis=1) for centres in (self.centres, dealt))
        dealt *= (far / np.where(now > 0, now, 1))[:, None]
        rows: Array = dealt[self.labels] + self.inside
        return rows


def _groups(points: Array, weight: Array, rng: np.random.Generator) -> NDArray[np.int64]:
    """Groups (n,) of points (n, d) of length 1, numbered without gaps."""
    from sklearn.metrics import silhouette_score

    some = slice(None, None, -(-len(points) // LOOKED_AT))
    seen, counts = points[some], weight[some]
    apart = np.sqrt(np.maximum(2 - 2 * seen @ seen.T, 0))
    np.fill_diagonal(apart, 0)
    clearest, groups = SUBSTANTIAL, np.arange(len(points))
    for count in COUNTS * TRIES:
        if count > len(seen) / 2:
            continue
        labels, centres = clustered(seen, counts, count, rng)
        if len(np.unique(labels)) < 2:
            continue
        clear = silhouette_score(apart, labels, metric="precomputed")
        if clear > clearest:
            clearest, groups = clear, np.argmax(points @ centres.T, axis=1)
    numbered: NDArray[np.int64] = np.unique(groups, return_inverse=True)[1].reshape(-1)
    return numbered
