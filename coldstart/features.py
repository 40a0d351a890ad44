"""What is known of items or people besides interactions: a vector of numbers per id."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray

from coldstart import frames
from coldstart.errors import DataError
from coldstart.vocabulary import Vocabulary, as_ids

__all__ = ["Features", "feature_columns", "feature_matrix"]

Matrix = Any
"""A ``csr_matrix`` or a dense array."""

Floats = NDArray[np.floating]


@dataclass(frozen=True, eq=False, repr=False)
class Features:
    """One row of numbers for every id. Frozen, and its arrays are read-only.

    A row of zeros says nothing: it is that of an id without features.

    Parameters
    ----------
    ids : Vocabulary of n ids
    matrix : csr_matrix or array (n, p)
        float32 or float64; anything else is converted to float64, and any sparse matrix to CSR.

    Raises
    ------
    DataError
        When lengths do not fit, ids are repeated, or a value is NaN or infinite. It is a
        `ValueError`.

    Examples
    --------
    >>> import pandas as pd
    >>> items = pd.DataFrame({"item": ["a", "b", "c"], "kind": ["tea|green", "tea|black", "jam"]})
    >>> features = Features.from_frame(items, categories=["kind"])
    >>> features
    Features(3 ids x 4 columns, sparse)
    >>> rows, known = features.rows(["c", "z"], missing="mask")
    >>> rows.toarray().sum(axis=1).tolist(), known.tolist()
    ([1.0, 0.0], [True, False])
    """

    ids: Vocabulary
    matrix: Matrix

    def __post_init__(self) -> None:
        matrix = feature_matrix(self.matrix)
        if matrix.shape[0] != len(self.ids):
            raise DataError(
                f"features has {matrix.shape[0]} rows but {len(self.ids)} ids: "
                "pass one id per row, in row order"
            )
        object.__setattr__(self, "matrix", _frozen(matrix))

    @classmethod
    def from_arrays(cls, ids: Iterable[Any], matrix: Any) -> Features:
        """Take n ids and a matrix (n, p), dense or sparse, whose rows are in their order."""
        return cls(ids if isinstance(ids, Vocabulary) else Vocabulary(ids), matrix)

    @classmethod
    def from_frame(
        cls,
        frame: Any,
        *,
        id: str = "item",  # noqa: A002 - the word that says it
        text: Sequence[str] = (),
        categories: Sequence[str] = (),
        numbers: Sequence[str] = (),
        split: str | None = "|",
    ) -> Features:
        """Read a table with one row per id.

        Every column of texts or categories gives rows of length 1, and every number one column of
        variance 1, so that no column of the table counts for more because of its unit. An empty
        text or category is a row of zeros.

        Parameters
        ----------
        frame : DataFrame of pandas or polars, or Table of pyarrow
        id : str
            Column of ids, each once.
        text : sequence of str
            Columns of free text such as titles: TF-IDF of their words, each counted by
            ``1 + log(count)``. Words that only one row has are left out: they relate it to none.
        categories : sequence of str
            Columns of categories, one or several in a field: a column for each that occurs.
        numbers : sequence of str
            Columns such as prices: ``sign(x) log(1 + |x|)``, less the mean, by the standard
            deviation.
        split : str or None, default "|"
            What stands between the categories of one field, such as ``"|"`` or ``","``; None where
            a field is one category.

        Raises
        ------
        DataError
            When a column is missing, no column is named, ids are null or repeated, a number is
            missing or not finite, or no word of a text occurs in two rows.
        """
        columns = feature_columns(text, categories, numbers)
        table = frames.opened(frame, [id, *columns])
        ids = _distinct(frames.ids(table, id), id)
        words = [_tfidf(frames.texts(table, name), name) for name in text]
        kinds = [_kinds(frames.texts(table, name), split) for name in categories]
        sizes = [_standard(frames.numbers(table, name, "features"), name) for name in numbers]
        parts = [*words, *kinds, *sizes]
        if len(sizes) == len(parts):
            return cls(ids, np.hstack(sizes))
        return cls(ids, sp.csr_matrix(sp.hstack(parts, format="csr")))

    @property
    def width(self) -> int:
        """Number of columns p."""
        return int(self.matrix.shape[1])

    def rows(
        self, ids: Iterable[Any], *, missing: Literal["raise", "mask"] = "raise"
    ) -> tuple[Matrix, NDArray[np.bool_]]:
        """Line the features up with `ids`, any m of them.

        Parameters
        ----------
        ids : sequence, array or Vocabulary (m,)
        missing : {"raise", "mask"}, default "raise"
            What to do about ids without features: raise, or give them rows of zeros.

        Returns
        -------
        matrix (m, p), sparse or dense as here, and known : array (m,) of bool
            Whether an id has features.

        Raises
        ------
        UnknownIdError
            When an id is unknown and `missing` is ``"raise"``.
        DataError
            When ids are integers here and strings there, or the other way round: none would match.
        """
        wanted = as_ids(ids)
        kind = "str" if wanted.dtype == object else "int"
        if len(wanted) and len(self) and kind != self.ids.kind:
            raise DataError(
                f"ids are {kind} but those of the features are {self.ids.kind}, so none match: "
                "convert one of them, for example with str"
            )
        places = self.ids.rows(wanted, missing=missing)
        known = places >= 0
        if known.all():
            return self.matrix[places], known
        if sp.issparse(self.matrix):
            lengths = np.zeros(len(places), np.int64)
            found = self.matrix[places[known]]
            lengths[known] = np.diff(found.indptr)
            parts = found.data, found.indices, np.concatenate([[0], np.cumsum(lengths)])
            return sp.csr_matrix(parts, shape=(len(places), self.width)), known
        matrix = np.zeros((len(places), self.width), self.matrix.dtype)
        matrix[known] = self.matrix[places[known]]
        return matrix, known

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        form = "sparse" if sp.issparse(self.matrix) else "dense"
        return f"Features({len(self)} ids x {self.width} columns, {form})"

    def __reduce__(self) -> tuple[type[Features], tuple[Any, ...]]:
        return Features, (self.ids, self.matrix)


def feature_columns(
    text: Sequence[str], categories: Sequence[str], numbers: Sequence[str]
) -> list[str]:
    """All columns of a table that are named, or an error where they are not named in lists."""
    for name, given in (("text", text), ("categories", categories), ("numbers", numbers)):
        if isinstance(given, str):
            raise TypeError(f"{name} must be a sequence of columns: put {given!r} in a list")
    columns = [*text, *categories, *numbers]
    if not columns:
        raise DataError("no column was named: pass some as text, categories or numbers")
    return columns


def feature_matrix(values: Any) -> Matrix:
    """Features as a CSR matrix or a dense array (n, p), of float32 or float64 and finite."""
    matrix: Any = values.tocsr() if sp.issparse(values) else np.asarray(values)
    if matrix.ndim != 2:
        raise DataError(f"features must be (n, p), got an array of shape {matrix.shape}")
    if matrix.dtype.kind not in "fiub":
        raise DataError(
            f"features must be numbers, got dtype {matrix.dtype}: "
            "Features.from_frame turns texts and categories into some"
        )
    if matrix.dtype not in (np.float32, np.float64):
        matrix = matrix.astype(np.float64)
    entries: Floats = matrix.data if sp.issparse(matrix) else matrix
    wrong = entries.size - np.count_nonzero(np.isfinite(entries))
    if wrong:
        raise DataError(f"features holds {wrong} NaN or inf: fill them, or drop those rows")
    return sp.csr_matrix(matrix) if sp.issparse(matrix) else matrix


def _frozen(matrix: Matrix) -> Matrix:
    """A read-only copy of what somebody could still write to; sparse ones in canonical form, which
    scipy would bring about in place.
    """
    canonical = not sp.issparse(matrix) or matrix.has_canonical_format
    if canonical and not any(p.flags.writeable or not p.flags.owndata for p in _parts(matrix)):
        return matrix
    matrix = matrix.copy()
    if not canonical:
        matrix.sum_duplicates()
    for part in _parts(matrix):
        part.flags.writeable = False
    return matrix


def _parts(matrix: Matrix) -> tuple[NDArray[Any], ...]:
    return (matrix.data, matrix.indices, matrix.indptr) if sp.issparse(matrix) else (matrix,)


def _distinct(ids: NDArray[Any], name: str) -> Vocabulary:
    try:
        return Vocabulary(ids)
    except DataError as error:
        raise DataError(f"column {name!r}: {error}: keep one row of each") from None


def _tfidf(texts: list[str], name: str) -> sp.csr_matrix:
    """TF-IDF of the words (n, n_words), rows of length 1."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    try:
        words = TfidfVectorizer(min_df=2, sublinear_tf=True, dtype=np.float32).fit_transform(texts)
    except ValueError:
        raise DataError(
            f"column {name!r} has no word that two rows share: leave it out, "
            "or pass it as categories"
        ) from None
    return sp.csr_matrix(words)


def _kinds(fields: list[str], split: str | None) -> sp.csr_matrix:
    """A column for each category (n, n_categories), rows of length 1."""
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.preprocessing import normalize

    counted = CountVectorizer(analyzer=_splitter(split), binary=True, dtype=np.float32)
    try:
        matrix = counted.fit_transform(fields)
    except ValueError:  # not one category
        return sp.csr_matrix((len(fields), 0), dtype=np.float32)
    return sp.csr_matrix(normalize(matrix))


def _splitter(split: str | None) -> Callable[[str], list[str]]:
    def categories(field: str) -> list[str]:
        parts = [field] if split is None else field.split(split)
        return [part.strip() for part in parts if part.strip()]

    return categories


def _standard(values: ArrayLike, name: str) -> Floats:
    """``sign(x) log(1 + |x|)`` with mean 0 and variance 1 (n, 1); zeros where all are equal."""
    x = np.asarray(values, np.float64)
    wrong = x.size - np.count_nonzero(np.isfinite(x))
    if wrong:
        raise DataError(
            f"column {name!r} holds {wrong} numbers of {x.size} that are missing or not finite: "
            "fill them, or drop those rows"
        )
    x = np.sign(x) * np.log1p(np.abs(x))
    x -= x.mean()
    size = x.std()
    scaled: Floats = (x / (size if size > 1e-12 else 1.0)).astype(np.float32)[:, None]
    return scaled
