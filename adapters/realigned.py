"""How far an alignment without anchors is off, from alignments of parts of the two catalogs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from coldstart.errors import AnchorError
from coldstart.prior import Prior

from .alignment import directions, mutual_neighbours, refined
from .base import AnchorContext, Array, folds_of, scaled, sphere
from .linear import RidgeAdapter
from .spread import shapes, shrunk

__all__ = ["Realigned"]

FOLDS = 5

Search = Callable[[Array, Array, Array], Array]
"""From points and masses of the source and points of the target to a rotation."""


@dataclass(frozen=True, eq=False)
class Realigned:
    """Maps from alignments that lacked a part of the rows of either side, each found from scratch.

    A row x with the mean m(s) is off by a residual of covariance C, and by where the alignment
    would have laid it with other rows; the covariance stated for it is ::

        v_u (C + D),    v_u = ((1 + leverage_u) tr C + mean_f |m_f(s_u) - m(s_u)|^2) / tr(C + D)

    with D the mean of ``(m_f(s) - m(s))(m_f(s) - m(s))'`` over folds f and source rows.

    Parameters
    ----------
    maps : tuple of RidgeAdapter
        The m_f.
    residual : array (d_target, d_target)
        C, of rows that are mutual neighbours under an alignment that has seen neither.
    moved : array (d_target, d_target)
        D.
    """

    maps: tuple[RidgeAdapter, ...]
    residual: Array
    moved: Array

    @classmethod
    def of(
        cls,
        rows: tuple[Array, Array],
        mass: Array,
        whole: RidgeAdapter,
        search: Search,
        ridge: float | Literal["gcv"],
        context: AnchorContext,
    ) -> Realigned:
        """Align four fifths of the source rows with four fifths of the target rows, five times.

        Pairs are nearest neighbours, and so closer than what belongs together; those among a fifth
        of either side are less so. Folds in which too few pairs follow say nothing.
        """
        weights = mass, np.ones(len(rows[1]))
        folds = [
            folds_of(side, side[:, :0], weight, FOLDS)
            for side, weight in zip(rows, weights, strict=True)
        ]
        maps, residuals, counted = [], [], []
        for fold in range(FOLDS):
            held = folds[0] == fold, folds[1] == fold
            try:
                found, pairs = _without(rows, mass, held, search, ridge, context)
            except AnchorError:
                continue
            source, target = (side[h] for side, h in zip(rows, held, strict=True))
            maps.append(found)
            residuals.append(target[pairs[1]] - found.predict(source[pairs[0]]).mean)
            counted.append(mass[held[0]][pairs[0]])
        if not maps:
            known = whole.residual_covariance_
            return cls((), known, np.zeros_like(known))
        said = whole.predict(rows[0]).mean
        moved = [_scatter(found.predict(rows[0]).mean - said, mass / mass.sum()) for found in maps]
        off, weight = np.concatenate(residuals), np.concatenate(counted)
        scatter, n = _scatter(off, weight), float(weight.sum())
        size = sphere(scatter / n)[0, 0]
        covariance, _ = shrunk(scatter, n, shapes(size, len(scatter), context))
        return cls(tuple(maps), covariance, np.mean(moved, axis=0))

    def prior(self, said: Prior, source: Array) -> Prior:
        """What the map from all rows `said` of `source` (m, d_source), as sure as that is."""
        own, _, _ = said.parts()  # 1 / (1 + leverage)
        total = self.residual + self.moved
        size = np.trace(self.residual) / own.astype(np.float64)
        if self.maps:
            off = [np.sum((found.predict(source).mean - said.mean) ** 2, 1) for found in self.maps]
            size = size + np.mean(off, axis=0)
        shared = np.linalg.inv(total)
        return Prior(
            said.mean, np.trace(total) / size, shared=(shared + shared.T) / 2, origin=said.origin
        )


def _without(
    rows: tuple[Array, Array],
    mass: Array,
    held: tuple[NDArray[np.bool_], NDArray[np.bool_]],
    search: Search,
    ridge: float | Literal["gcv"],
    context: AnchorContext,
) -> tuple[RidgeAdapter, NDArray[np.int64]]:
    """The map without the rows that are `held`, and their mutual neighbours (2, n_pairs)."""
    kept = rows[0][~held[0]], rows[1][~held[1]]
    weights = mass[~held[0]], np.ones(len(kept[1]))
    points = directions(kept[0], weights[0]), directions(kept[1], weights[1])
    pairs, rotation = refined(*points, search(points[0], weights[0], points[1]))
    found = RidgeAdapter(ridge).fit(
        kept[0][pairs[0]], kept[1][pairs[1]], weight=weights[0][pairs[0]], context=context
    )
    centres = (np.average(k, axis=0, weights=w) for k, w in zip(kept, weights, strict=True))
    seen = [
        np.asarray(scaled(side[h] - centre, True), np.float64)
        for side, h, centre in zip(rows, held, centres, strict=True)
    ]
    return found, mutual_neighbours(seen[0] @ rotation, seen[1])


def _scatter(rows: Array, weight: Array) -> Array:
    """``sum_u w_u r_u r_u'`` (d, d)."""
    scatter: Array = (rows.T * weight) @ rows
    return scatter
