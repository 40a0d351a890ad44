"""From two fitted catalogs to priors: embeddings, anchors, and the adapter between them."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from coldstart.adapters.base import Adapter, AnchorContext, Tunable, sphere
from coldstart.als import PriorALS
from coldstart.anchors import Anchors
from coldstart.factors import Factors
from coldstart.interactions import Interactions
from coldstart.prior import Prior
from coldstart.threads import one_blas_thread
from coldstart.vocabulary import Vocabulary

__all__ = [
    "Space",
    "candidates",
    "fit_adapter",
    "null_priors",
    "predict",
    "source_space",
    "target_space",
]

Floats = NDArray[np.float32]

VARIES = 1e-7  # variance of a direction that says something, as a share of the largest


@dataclass(frozen=True, eq=False)
class Space:
    """The rows of one catalog as an adapter sees them.

    Parameters
    ----------
    ids : Vocabulary of n ids
    rows : array (n, d)
    matrix : csr_matrix (n, m) or None
        Their interactions, where they are at hand.
    other : array (m, d) or None
        Factors of the columns.
    alpha : float or None
    """

    ids: Vocabulary
    rows: Floats
    matrix: sp.csr_matrix | None = None
    other: Floats | None = None
    alpha: float | None = None

    @property
    def active(self) -> NDArray[np.bool_]:
        """Rows (n,) with at least one interaction, or with an embedding that is not zero."""
        counts = self.counts
        return np.any(self.rows, axis=1) if counts is None else counts > 0

    @property
    def counts(self) -> NDArray[np.int64] | None:
        """Interactions per row (n,), where they are at hand."""
        return None if self.matrix is None else np.diff(self.matrix.indptr).astype(np.int64)

    @cached_property
    def moments(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean (d,) and covariance (d, d) of the active rows."""
        rows = self.rows[self.active].astype(np.float64)
        if not len(rows):
            return np.zeros(self.rows.shape[1]), np.eye(self.rows.shape[1])
        mean = rows.mean(axis=0)
        return mean, (rows - mean).T @ (rows - mean) / len(rows)


def target_space(model: PriorALS, catalog: Interactions) -> Space:
    """The exact rows of a fitted model."""
    matrix = catalog.user_items
    return Space(catalog.users, model.fold_in(matrix), matrix, model.item_factors, model.alpha)


def source_space(source: Interactions | Factors, model: Any, *, show_progress: bool) -> Space:
    """Embed the rows of the source: with `model`, or as they come from elsewhere."""
    if isinstance(source, Factors):
        return Space(source.users, spanning(source.user_factors), None, source.item_factors)
    if isinstance(model, PriorALS):
        model.fit(source.user_items, show_progress=show_progress)
        rows = spanning(model.fold_in(source.user_items))
        return Space(source.users, rows, source.user_items, model.item_factors, model.alpha)
    model = copy.deepcopy(model)
    # other libraries want arrays that they could write to
    model.fit(source.user_items.copy(), show_progress=show_progress)
    rows, columns = (np.asarray(f, np.float32) for f in (model.user_factors, model.item_factors))
    return Space(source.users, spanning(rows), source.user_items, columns)


def spanning(rows: Floats) -> Floats:
    """The rows (n, d), or their coordinates along their principal directions where columns are
    constant or combinations of each other, as those of a model with too many factors may be.
    """
    centred = rows.astype(np.float64)
    centred -= centred.mean(axis=0) if len(rows) else 0.0
    values, vectors = np.linalg.eigh(centred.T @ centred)
    varies = values > VARIES * values[-1:]
    if varies.all() or not varies.any():
        return rows
    along: Floats = (rows @ vectors[:, varies]).astype(np.float32)
    return along


def null_priors(space: Space, anchors: NDArray[np.int64]) -> Prior:
    """Priors that know no source, two rows: the mean of all target rows, and that of the rows
    `anchors`. Both have the covariance of all rows.
    """
    mean, covariance = space.moments
    rows = space.rows[anchors].astype(np.float64)
    means = np.stack([mean, rows.mean(axis=0) if len(rows) else mean])
    n = int(space.active.sum())
    proper = (n * covariance + sphere(covariance)) / (n + 1)
    return Prior(means, shared=np.linalg.inv(proper), origin=mean)


def candidates(adapter: Adapter) -> Sequence[Adapter]:
    """What held-out people may choose between: the adapter's open settings spelled out, or a copy
    of it.
    """
    return adapter.candidates() if isinstance(adapter, Tunable) else [copy.deepcopy(adapter)]


def fit_adapter(adapter: Adapter, source: Space, target: Space, anchors: Anchors) -> Adapter:
    """A copy of the adapter, fitted on the anchors; or on all active rows of both catalogs, where
    the adapter is `unpaired`: its rows need not correspond.
    """
    mean, covariance = target.moments
    unpaired = bool(getattr(adapter, "unpaired", False))
    if unpaired:
        anchors = Anchors(np.flatnonzero(source.active), np.flatnonzero(target.active))
    paired = {
        "source_rows": None if source.matrix is None else source.matrix[anchors.source],
        "target_rows": None if target.matrix is None else target.matrix[anchors.target],
    }
    context = AnchorContext(
        **({} if unpaired else paired),
        other_factors=target.other,
        alpha=target.alpha,
        mean=mean,
        covariance=covariance,
        source_covariance=source.moments[1],
    )
    rows = source.rows[anchors.source], target.rows[anchors.target]
    with one_blas_thread():
        return copy.deepcopy(adapter).fit(*rows, context=context)


def predict(adapter: Adapter, source: Space, rows: NDArray[Any]) -> Prior:
    """What a fitted adapter says of some rows of the source."""
    matrix = None if source.matrix is None else source.matrix[rows]
    return adapter.predict(source.rows[rows], context=AnchorContext(source_rows=matrix))
