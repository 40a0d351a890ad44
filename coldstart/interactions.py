"""Who interacted with what: one sparse matrix, the ids of its rows and columns, and the times."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray

from coldstart import frames
from coldstart.errors import DataError
from coldstart.vocabulary import Vocabulary, as_ids, as_rows

__all__ = ["Interactions"]

Array = NDArray[Any]
Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False, repr=False)
class Interactions:
    """The interactions of one catalog. Frozen, and its arrays are read-only: what wants to write to
    them, such as the `fit` of implicit and LightFM, takes ``user_items.copy()``.

    Build it with `from_frame` or `from_csr`; the class itself takes finished parts only.

    Parameters
    ----------
    user_items : csr_matrix (n_users, n_items)
        Weights, float32 and positive; canonical: sorted, without duplicates or explicit zeros.
    users : Vocabulary of n_users ids
    items : Vocabulary of n_items ids
    timestamps : array (nnz,), int64, optional
        Aligned with ``user_items.data``; only their order means something.
    repeated : int, default 0
        Pairs that came more than once and were merged, counted without their first occurrence.

    Raises
    ------
    DataError
        When sizes do not fit, or a weight is NaN, infinite or negative.

    Examples
    --------
    >>> import pandas as pd
    >>> log = pd.DataFrame({"user": ["ann", "ann", "bob"], "item": ["x", "x", "y"]})
    >>> Interactions.from_frame(log)
    Interactions(2 users x 2 items, 2 interactions)
    """

    user_items: sp.csr_matrix
    users: Vocabulary
    items: Vocabulary
    timestamps: Integers | None = None
    repeated: int = 0

    def __post_init__(self) -> None:
        matrix = self.user_items
        if not isinstance(matrix, sp.csr_matrix) or not _is_canonical(matrix):
            raise DataError(
                "user_items must be a canonical csr_matrix of float32 with int32 indices: "
                "Interactions.from_csr makes one of any matrix"
            )
        for length, ids, side in zip(
            matrix.shape, (self.users, self.items), ("user", "item"), strict=True
        ):
            _check_length(length, len(ids), side)
        _check_weights(matrix.data, self._pair)
        object.__setattr__(self, "user_items", _frozen_matrix(matrix))
        if self.timestamps is not None:
            object.__setattr__(self, "timestamps", _frozen_times(self.timestamps, matrix.nnz))

    @classmethod
    def from_frame(
        cls,
        frame: Any,
        user: str = "user",
        item: str = "item",
        weight: str | None = None,
        timestamp: str | None = None,
    ) -> Interactions:
        """Read a table with one interaction per row; the order of the rows does not matter.

        Parameters
        ----------
        frame : DataFrame of pandas or polars, or Table of pyarrow
        user, item : str
            Columns of ids, integers or strings. Both vocabularies are sorted.
        weight : str, optional
            Column of weights >= 0; without it every row counts 1. Rows of weight 0 are dropped.
            A pair that comes several times keeps the largest weight and the earliest time.
        timestamp : str, optional
            Column of numbers, datetimes, dates, or ISO 8601 strings. Whole numbers stay as they
            are, dates become microseconds, and fractional numbers their ranks.

        Raises
        ------
        DataError
            When a column is missing, the table is empty, an id is null, or a weight is not valid.
        """
        table = frames.opened(frame, [user, item, weight, timestamp])
        user_ids, item_ids = frames.ids(table, user), frames.ids(table, item)
        weights = np.ones(len(user_ids), np.float32)
        if weight is not None:
            weights = frames.numbers(table, weight)
        _check_weights(weights, lambda row: (user_ids[row], item_ids[row]))
        kept = weights > 0
        if not kept.any():
            raise DataError(f"all {kept.size} weights are 0: no interaction is left")
        times = None if timestamp is None else frames.times(table, timestamp)[kept]
        users, items = Vocabulary.distinct(user_ids[kept]), Vocabulary.distinct(item_ids[kept])
        rows, columns = users.rows(user_ids[kept]), items.rows(item_ids[kept])
        return _merged(rows, columns, weights[kept], times, users, items)

    @classmethod
    def from_csr(
        cls,
        user_items: Any,
        users: Iterable[Any] | None = None,
        items: Iterable[Any] | None = None,
        timestamps: ArrayLike | None = None,
    ) -> Interactions:
        """Take a matrix (n_users, n_items) of weights; the input is copied.

        Parameters
        ----------
        user_items : sparse matrix or array of any format, or dense array
            Weights >= 0 of any number type; zeros are no interactions. Entries that come several
            times keep the largest weight and the earliest time.
        users, items : sequences of ids, optional
            In row and column order; row and column numbers by default.
        timestamps : array of integers, optional
            One per stored entry, in the order of ``user_items.data``.
        """
        entries = _entries(user_items)
        n_users, n_items = entries.shape
        user_ids = np.arange(n_users) if users is None else as_ids(users)
        item_ids = np.arange(n_items) if items is None else as_ids(items)
        _check_length(n_users, len(user_ids), "user")
        _check_length(n_items, len(item_ids), "item")
        with np.errstate(over="ignore"):
            weights = entries.data.astype(np.float32)
        _check_weights(weights, lambda e: (user_ids[entries.row[e]], item_ids[entries.col[e]]))
        times = None if timestamps is None else _frozen_times(timestamps, entries.nnz)
        kept = weights > 0
        return _merged(
            entries.row[kept],
            entries.col[kept],
            weights[kept],
            None if times is None else times[kept],
            Vocabulary(user_ids),
            Vocabulary(item_ids),
        )

    @property
    def shape(self) -> tuple[int, int]:
        """``(n_users, n_items)``."""
        return len(self.users), len(self.items)

    @property
    def nnz(self) -> int:
        """Number of interactions."""
        return int(self.user_items.nnz)

    @cached_property
    def T(self) -> Interactions:
        """The same interactions with users and items swapped."""
        return self._part(self._places().T.tocsr(), self.items, self.users, self.repeated)

    def keep_users(self, rows: ArrayLike) -> Interactions:
        """Keep some users, by boolean mask or row number, and the items that they touch.

        The result does not know how many of its pairs were repeated, and says 0.
        """
        users = self.users.take(rows)
        picked = self._places()[as_rows(rows)]
        kept, columns = np.unique(picked.indices, return_inverse=True)
        places = sp.csr_matrix((picked.data, columns, picked.indptr), (len(users), kept.size))
        return self._part(places, users, self.items.take(kept), 0)

    def keep_entries(self, kept: NDArray[np.bool_]) -> Interactions:
        """Keep some interactions, by a mask (nnz,) over ``user_items.data``, and the users and
        items that they touch.

        The result does not know how many of its pairs were repeated, and says 0.
        """
        rows = np.repeat(np.arange(len(self.users)), np.diff(self.user_items.indptr))[kept]
        users, items = np.unique(rows), np.unique(self.user_items.indices[kept])
        cells = np.searchsorted(users, rows), np.searchsorted(items, self.user_items.indices[kept])
        indptr = np.searchsorted(cells[0], np.arange(len(users) + 1))
        parts = np.flatnonzero(kept), cells[1], indptr
        places = sp.csr_matrix(parts, shape=(len(users), len(items)))
        return self._part(places, self.users.take(users), self.items.take(items), 0)

    def _places(self) -> sp.csr_matrix:
        """Where in ``user_items.data`` each interaction stands, as a matrix that can be cut."""
        matrix = self.user_items
        parts = np.arange(matrix.nnz), matrix.indices, matrix.indptr
        return sp.csr_matrix(parts, shape=matrix.shape)

    def _part(
        self, places: sp.csr_matrix, users: Vocabulary, items: Vocabulary, repeated: int
    ) -> Interactions:
        times = None if self.timestamps is None else self.timestamps[places.data]
        parts = self.user_items.data[places.data], places.indices, places.indptr
        return Interactions(_csr(*parts, places.shape), users, items, times, repeated)

    def _pair(self, entry: int) -> tuple[Any, Any]:
        row = int(np.searchsorted(self.user_items.indptr, entry, side="right")) - 1
        return self.users.ids[row], self.items.ids[self.user_items.indices[entry]]

    def __repr__(self) -> str:
        n_users, n_items = self.shape
        return f"Interactions({n_users} users x {n_items} items, {self.nnz} interactions)"

    def __reduce__(self) -> tuple[type[Interactions], tuple[Any, ...]]:
        return Interactions, (
            self.user_items,
            self.users,
            self.items,
            self.timestamps,
            self.repeated,
        )


def _merged(
    rows: Array,
    columns: Array,
    weights: NDArray[np.float32],
    times: Integers | None,
    users: Vocabulary,
    items: Vocabulary,
) -> Interactions:
    """Sort the pairs; of equal ones keep the largest weight and the earliest time."""
    key = rows.astype(np.int64) * len(items) + columns
    order = np.argsort(key, kind="stable")
    key = key[order]
    first = np.flatnonzero(np.diff(key, prepend=-1))  # where each distinct pair begins
    data = np.maximum.reduceat(weights[order], first)
    if times is not None:
        times = np.minimum.reduceat(times[order], first)
    indptr = np.searchsorted(key[first], np.arange(len(users) + 1) * len(items))
    matrix = _csr(data, key[first] % max(len(items), 1), indptr, (len(users), len(items)))
    return Interactions(matrix, users, items, times, int(key.size - first.size))


def _entries(matrix: Any) -> sp.coo_matrix:
    if not sp.issparse(matrix):
        matrix = np.asarray(matrix)
    if matrix.ndim != 2:
        raise ValueError(f"user_items must be a matrix, got an array of shape {matrix.shape}")
    if matrix.dtype.kind not in "biuf":
        raise DataError(f"user_items must hold numbers, got dtype {matrix.dtype}")
    return sp.coo_matrix(matrix)


def _csr(data: Array, indices: Array, indptr: Array, shape: tuple[int, int]) -> sp.csr_matrix:
    """Put a matrix together from new arrays, which become read-only."""
    parts = data.astype(np.float32), indices.astype(np.int32), indptr.astype(np.int32)
    for part in parts:
        part.flags.writeable = False
    return sp.csr_matrix(parts, shape=shape)


def _is_canonical(matrix: sp.csr_matrix) -> bool:
    types = matrix.data.dtype, matrix.indices.dtype, matrix.indptr.dtype
    return bool(
        types == (np.float32, np.int32, np.int32)
        and matrix.has_canonical_format
        and (matrix.data != 0).all()
    )


def _frozen_matrix(matrix: sp.csr_matrix) -> sp.csr_matrix:
    """Copy a matrix that somebody could still write to."""
    parts = matrix.data, matrix.indices, matrix.indptr
    if not any(part.flags.writeable for part in parts):
        return matrix
    return _csr(*parts, matrix.shape)


def _frozen_times(timestamps: ArrayLike, nnz: int) -> Integers:
    times = np.asarray(timestamps)
    if times.dtype.kind not in "iu":
        raise DataError(f"timestamps must be integers, such as seconds, got dtype {times.dtype}")
    if times.shape != (nnz,):
        raise DataError(
            f"timestamps has shape {times.shape} but the matrix has {nnz} entries: "
            "pass one per stored entry"
        )
    times = times.astype(np.int64)
    times.flags.writeable = False
    return times


def _check_length(rows: int, ids: int, side: str) -> None:
    if rows != ids:
        line = "row" if side == "user" else "column"
        raise DataError(
            f"user_items has {rows} {line}s but there are {ids} {side} ids: "
            f"pass one id per {line}, in {line} order"
        )


def _check_weights(weights: Array, pair_of: Callable[[int], tuple[Any, Any]]) -> None:
    wrong = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
    if wrong.size:
        user, item = pair_of(int(wrong[0]))
        raise DataError(
            f"{wrong.size} of {weights.size} weights are NaN, infinite or negative, the first is "
            f"{weights[wrong[0]]:g} of user {_plain(user)!r} and item {_plain(item)!r}: "
            "correct or drop those rows"
        )


def _plain(key: Any) -> int | str:
    return key if isinstance(key, str) else int(key)
