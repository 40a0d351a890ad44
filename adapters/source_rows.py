"""Source rows as adapters compare them: embeddings, or the interactions they stand for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from .base import AnchorContext, Array, Rows, scaled

__all__ = ["SourceRows", "canonical", "null_mean", "source_kinds"]

Kind = Literal["embeddings", "interactions"]


@dataclass(frozen=True, eq=False)
class SourceRows:
    """Rows (n, n_columns) of anchors, and how rows of others are brought beside them.

    Parameters
    ----------
    rows : array or csr_matrix (n, n_columns), float64
    unit : bool
        Rows are scaled to length 1; a row of zeros stays.
    rarity : array (n_columns,) or None
        Weights of the columns of interactions.
    """

    rows: Array | sp.csr_matrix
    unit: bool
    rarity: Array | None = None

    @classmethod
    def of(
        cls,
        kind: Kind,
        source: Rows,
        context: AnchorContext,
        *,
        unit: bool,
        idf: bool = False,
    ) -> SourceRows:
        """The anchors' embeddings `source` (n, d_source), or their interactions from `context`.

        With `idf` a column of interactions weighs ``log(1 + n / rows with the column)``.
        """
        if kind == "embeddings":
            return cls(_unit(source.astype(np.float64), unit), unit)
        rows: Any = context.source_rows
        rarity = None
        if idf:
            having = np.bincount(rows.indices, minlength=rows.shape[1])
            rarity = np.log1p(rows.shape[0] / np.maximum(having, 1))
        return cls(_unit(_weighted(rows, rarity), unit), unit, rarity)

    def beside(self, source: Rows, context: AnchorContext | None) -> Array | sp.csr_matrix:
        """Rows (m, n_columns) of others, known by `source` (m, d_source) and `context`."""
        if isinstance(self.rows, np.ndarray):
            return _unit(source.astype(np.float64), self.unit)
        rows = None if context is None else context.source_rows
        if rows is None or rows.shape != (len(source), self.rows.shape[1]):
            found = "none" if rows is None else f"an array of shape {rows.shape}"
            raise ValueError(
                f"context.source_rows must be ({len(source)}, {self.rows.shape[1]}), the columns "
                f"that the adapter was fitted on, got {found}"
            )
        return _unit(_weighted(rows, self.rarity), self.unit)


def source_kinds(rows: str, context: AnchorContext | None) -> tuple[Kind, ...]:
    """What a setting `rows` means with this context: where it brings no interactions, embeddings
    take their place.
    """
    if rows == "embeddings" or context is None or context.source_rows is None:
        return ("embeddings",)
    return ("interactions",) if rows == "interactions" else ("embeddings", "interactions")


def canonical(
    source: Rows, target: Rows, weight: Array
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The anchors that count, in an order that follows from their values alone.

    Returns their positions (n,), sorted by source row and then target row, and numbers (n,) that
    rise with them and are shared by anchors that are equal.
    """
    used = np.flatnonzero(weight > 0)
    rows = np.hstack([source[used], target[used]]).astype(np.float64)
    number = np.unique(rows, axis=0, return_inverse=True)[1].reshape(-1)
    order = np.argsort(number, kind="stable")
    return used[order], number[order]


def null_mean(target: Rows, weight: Array, context: AnchorContext, pseudo: float) -> Array:
    """``(n0 m0 + sum_u w_u t_u) / (n0 + n)`` (d_target,): the mean m0 of all target rows, worth n0
    anchors, and the anchors' own; that alone where the other is not known.
    """
    own: Array = np.average(target, axis=0, weights=weight)
    if context.mean is None:
        return own
    mean: Array = (pseudo * np.asarray(context.mean) + weight.sum() * own) / (pseudo + weight.sum())
    return mean


def _weighted(rows: sp.csr_matrix, rarity: Array | None) -> sp.csr_matrix:
    data = rows.data.astype(np.float64)
    if rarity is not None:
        data *= rarity[rows.indices]
    return sp.csr_matrix((data, rows.indices, rows.indptr), shape=rows.shape)


def _unit(rows: Array | sp.csr_matrix, on: bool) -> Array | sp.csr_matrix:
    if isinstance(rows, np.ndarray):
        return np.asarray(scaled(rows, on), np.float64)
    if not on:
        return rows
    lengths = np.sqrt(np.asarray(rows.multiply(rows).sum(axis=1)).reshape(-1))
    lengths[lengths == 0] = 1
    data = rows.data / np.repeat(lengths, np.diff(rows.indptr))
    return sp.csr_matrix((data, rows.indices, rows.indptr), shape=rows.shape)
