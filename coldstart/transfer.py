"""From two fitted catalogs to priors: embeddings, anchors, and the adapter between them."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from coldstart.adapters.base import (
    Adapter,
    AnchorContext,
    Tunable,
    in_one_space,
    reads_features,
    sphere,
)
from coldstart.adapters.feature_map import rows_told
from coldstart.als import PriorALS
from coldstart.anchors import Anchors
from coldstart.errors import AnchorError
from coldstart.factors import Factors
from coldstart.features import Features
from coldstart.interactions import Interactions
from coldstart.prior import Prior
from coldstart.row_loss import SquaredLoss
from coldstart.rowmap import RowMap
from coldstart.targets import Trained
from coldstart.targets.prior_als import PriorALSTarget
from coldstart.targets.stochastic import StochasticTarget
from coldstart.threads import one_blas_thread
from coldstart.vocabulary import Vocabulary

__all__ = [
    "Space",
    "candidates",
    "fit_adapter",
    "map_rows",
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
    features : csr_matrix or array (n, p), or None
        What is known of the rows besides interactions, zeros where that is nothing.
    appended : int
        How many of the rows, the last ones, are in no catalog: only features know them.
    given : array (n, D) or None
        The rows as they came, where `rows` are their coordinates along the directions that vary.
    """

    ids: Vocabulary
    rows: Floats
    matrix: sp.csr_matrix | None = None
    other: Floats | None = None
    alpha: float | None = None
    features: Any = None
    appended: int = 0
    given: Floats | None = None

    @classmethod
    def spanned(
        cls, ids: Vocabulary, rows: Floats, matrix: sp.csr_matrix | None, other: Floats, **more: Any
    ) -> Space:
        """Rows of the source, as `spanning` leaves them."""
        along = spanning(rows)
        return cls(ids, along, matrix, other, given=None if along is rows else rows, **more)

    @cached_property
    def active(self) -> NDArray[np.bool_]:
        """Rows (n,) of which something is known: those that are `met`, or have features."""
        return self.met if self.features is None else self.met | rows_told(self.features)

    @cached_property
    def met(self) -> NDArray[np.bool_]:
        """Rows (n,) with at least one interaction, or with an embedding that is not zero."""
        counts = self.counts
        return np.any(self.rows, axis=1) if counts is None else counts > 0

    @property
    def counts(self) -> NDArray[np.int64] | None:
        """Interactions per row (n,), where they are at hand."""
        return None if self.matrix is None else np.diff(self.matrix.indptr).astype(np.int64)

    @cached_property
    def moments(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean (d,) and covariance (d, d) of the rows that are `met`."""
        rows = self.rows[self.met].astype(np.float64)
        if not len(rows):
            return np.zeros(self.rows.shape[1]), np.eye(self.rows.shape[1])
        mean = rows.mean(axis=0)
        return mean, (rows - mean).T @ (rows - mean) / len(rows)

    def described(self, features: Features | None) -> Space:
        """The same rows with their features; ids that only the features have follow, as rows of
        zeros without interactions.
        """
        if features is None:
            return self
        ids = self.ids.union(features.ids.take(rows_told(features.matrix)))
        more = len(ids) - len(self.ids)
        matrix = self.matrix
        if matrix is not None:
            parts = matrix.data, matrix.indices, np.append(matrix.indptr, np.full(more, matrix.nnz))
            matrix = sp.csr_matrix(parts, shape=(len(ids), matrix.shape[1]))
        told, _ = features.rows(ids, missing="mask")
        return replace(
            self,
            ids=ids,
            rows=_longer(self.rows, more),
            matrix=matrix,
            features=told,
            appended=more,
            given=None if self.given is None else _longer(self.given, more),
        )

    def seen_by(self, adapter: Adapter) -> Space:
        """The rows as they came, for an adapter that takes source and target for one space."""
        if self.given is None or not in_one_space(adapter):
            return self
        return replace(self, rows=self.given, given=None)

    def crossed(self, anchors: Anchors) -> NDArray[np.bool_]:
        """Rows (n,) that a map may say something of: all, but those with features where the rows
        have some and the catalog itself knows fewer than two of the anchors.
        """
        if self.features is None or self.met[anchors.source].sum() > 1:
            return np.ones(len(self.ids), bool)
        return rows_told(self.features)

    def readable(self, adapter: Adapter, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Of which of some rows (m,) the adapter can say anything: those known by features alone
        are for adapters that read features.
        """
        if self.features is None or reads_features(adapter):
            return np.ones(len(rows), bool)
        return self.met[rows]


def target_space(trained: Trained, catalog: Interactions) -> Space:
    """The rows of a trained target."""
    columns, alpha = _seen_from(trained)
    return Space(catalog.users, trained.rows, catalog.user_items, columns, alpha)


def source_space(source: Interactions | Factors, model: Any, *, show_progress: bool) -> Space:
    """Embed the rows of the source: as they come from elsewhere, or with `model`, a target or any
    object with `fit`, `user_factors` and `item_factors`.
    """
    if isinstance(source, Factors):
        rows, biases = source.user_factors, source.user_biases
        if biases is not None:  # what is liked by all, or likes all, says something too
            rows = np.hstack([rows, biases[:, None]])
        return Space.spanned(source.users, rows, None, source.item_factors)
    log = source.user_items
    if isinstance(model, PriorALS):
        model = PriorALSTarget(model, "users")
    if isinstance(model, PriorALSTarget | StochasticTarget):
        trained = model.fit(log, show_progress=show_progress)
        columns, alpha = _seen_from(trained)
        return Space.spanned(source.users, trained.rows, log, columns, alpha=alpha)
    model = copy.deepcopy(model)
    # other libraries want arrays that they could write to
    model.fit(log.copy(), show_progress=show_progress)
    rows, columns = (np.asarray(f, np.float32) for f in (model.user_factors, model.item_factors))
    return Space.spanned(source.users, rows, log, columns)


def _seen_from(trained: Trained) -> tuple[Floats, float | None]:
    """The columns that rows are multiplied with, and the confidence where the loss is squared."""
    loss = trained.loss
    return loss.columns, loss.alpha if isinstance(loss, SquaredLoss) else None


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


def _longer(rows: Floats, more: int) -> Floats:
    """The rows, and so many rows of zeros after them."""
    return np.vstack([rows, np.zeros((more, rows.shape[1]), np.float32)])


def null_priors(space: Space, anchors: NDArray[np.int64]) -> Prior:
    """Priors that know no source, one row for each of `WHOSE`: the mean of all target
    rows, that of the rows `anchors`, and half way. All have the covariance of all rows.
    """
    mean, covariance = space.moments
    rows = space.rows[anchors].astype(np.float64)
    theirs = rows.mean(axis=0) if len(rows) else mean
    means = np.stack([mean, theirs, (mean + theirs) / 2])
    n = int(space.active.sum())
    proper = (n * covariance + sphere(covariance)) / (n + 1)
    return Prior(means, shared=np.linalg.inv(proper), origin=mean)


def candidates(adapter: Adapter) -> Sequence[Adapter]:
    """What held-out people may choose between: the adapter's open settings spelled out, or a copy
    of it.
    """
    return adapter.candidates() if isinstance(adapter, Tunable) else [copy.deepcopy(adapter)]


def fit_adapter(adapter: Adapter, source: Space, target: Space, anchors: Anchors) -> Adapter:
    """A copy of the adapter, fitted on the anchors that it can read; or on all rows of both
    catalogs that are `met`, where the adapter is `unpaired`: its rows need not correspond.
    """
    source = source.seen_by(adapter)
    readable = source.readable(adapter, anchors.source)
    if len(anchors) and not readable.any() and getattr(adapter, "needs_anchors", True):
        raise AnchorError(
            f"the source rows of all {len(anchors)} anchors are zeros, which say nothing: "
            "check the factors of the source"
        )
    anchors = anchors.take(readable)
    mean, covariance = target.moments
    unpaired = bool(getattr(adapter, "unpaired", False))
    if unpaired:
        anchors = Anchors(np.flatnonzero(source.met), np.flatnonzero(target.met))
    paired = {
        "source_rows": None if source.matrix is None else source.matrix[anchors.source],
        "target_rows": None if target.matrix is None else target.matrix[anchors.target],
        "features": None if source.features is None else source.features[anchors.source],
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
    """What a fitted adapter says of some rows of the source; those that it cannot read have the
    mean prior, with the average precision.
    """
    source = source.seen_by(adapter)
    readable = source.readable(adapter, rows)
    if readable.all():
        return _said(adapter, source, rows)
    # of one row at least, so that there is an average
    said = _said(adapter, source, rows[readable] if readable.any() else _first(source.met))
    place = np.full(len(rows), len(said))  # the row that `pad` appends
    place[readable] = np.arange(np.count_nonzero(readable))
    mean = said.mean.mean(axis=0) if said.origin is None else said.origin
    return said.pad(len(said) + 1, mean).take(place)


def _said(adapter: Adapter, source: Space, rows: NDArray[Any]) -> Prior:
    context = AnchorContext(
        source_rows=None if source.matrix is None else source.matrix[rows],
        features=None if source.features is None else source.features[rows],
    )
    return adapter.predict(source.rows[rows], context=context)


def _first(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Where a mask is first true (1,)."""
    return np.flatnonzero(mask)[:1]


def map_rows(
    source: Space, target: sp.csr_matrix, anchors: Anchors, rows: NDArray[np.int64]
) -> tuple[Floats, Floats]:
    """Coordinates (m, r) of some rows of the source along the columns (n_columns, r) of a row map
    that is fitted on the anchors; zeros where the source has no interactions.

    `target` (n, n_columns) are the target rows of the anchors.
    """
    if source.matrix is None:
        raise ValueError("a row map needs the interactions of the source: blend nothing")
    met = source.met[anchors.source]
    if not met.any():
        return np.zeros((len(rows), 0), np.float32), np.zeros((target.shape[1], 0), np.float32)
    fitted = RowMap.fit(source.matrix[anchors.source[met]], target[met])
    said = fitted.predict(source.matrix[rows])
    said[~source.met[rows]] = 0
    return said, fitted.columns
