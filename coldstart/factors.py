"""Embeddings of users and items, as a factor model leaves them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from coldstart.errors import DataError
from coldstart.foreign import check_log, ids_in_order, lightfm_parts, model_parts
from coldstart.interactions import Interactions
from coldstart.vocabulary import Vocabulary

__all__ = ["Factors"]

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False, repr=False)
class Factors:
    """User and item embeddings in one space, with the ids of their rows.

    The score of item i for user u is ``x_u . y_i``, plus the biases where there are any. Arrays are
    copied to float32 and read-only. `from_arrays` is the way in for plain arrays and lists of ids.

    Parameters
    ----------
    user_factors : array (n_users, d)
    item_factors : array (n_items, d)
    users : Vocabulary of n_users ids
    items : Vocabulary of n_items ids
    user_biases : array (n_users,), optional
    item_biases : array (n_items,), optional

    Raises
    ------
    DataError
        When lengths or widths do not fit, or a value is not finite.
    TypeError
        When ids are no Vocabulary.

    Examples
    --------
    >>> import numpy as np
    >>> Factors.from_arrays(np.ones((3, 2)), np.ones((4, 2)), users=["ann", "bob", "cem"])
    Factors(3 users and 4 items, 2 wide)
    """

    user_factors: Floats
    item_factors: Floats
    users: Vocabulary
    items: Vocabulary
    user_biases: Floats | None = None
    item_biases: Floats | None = None

    def __post_init__(self) -> None:
        for side, vocabulary in (("user", self.users), ("item", self.items)):
            if not isinstance(vocabulary, Vocabulary):
                raise TypeError(
                    f"{side}s must be a Vocabulary, got {type(vocabulary).__name__}: "
                    "Factors.from_arrays takes plain ids"
                )
            for name, ndim in ((f"{side}_factors", 2), (f"{side}_biases", 1)):
                if (values := getattr(self, name)) is not None:
                    array = _read_only(values, name, ndim, len(vocabulary), f"{side} ids")
                    object.__setattr__(self, name, array)
        widths = self.user_factors.shape[1], self.item_factors.shape[1]
        if widths[0] != widths[1]:
            raise DataError(
                f"user factors are {widths[0]} wide but item factors are {widths[1]} wide: "
                "pass the two sides of one model"
            )

    @classmethod
    def from_arrays(
        cls,
        user_factors: ArrayLike,
        item_factors: ArrayLike,
        users: Iterable[Any] | None = None,
        items: Iterable[Any] | None = None,
        *,
        user_biases: ArrayLike | None = None,
        item_biases: ArrayLike | None = None,
    ) -> Factors:
        """Build factors from arrays of any float type; ids default to row numbers."""
        user_rows, item_rows = np.asarray(user_factors), np.asarray(item_factors)
        return cls(
            user_rows,
            item_rows,
            Vocabulary(range(len(user_rows)) if users is None else users),
            Vocabulary(range(len(item_rows)) if items is None else items),
            None if user_biases is None else np.asarray(user_biases),
            None if item_biases is None else np.asarray(item_biases),
        )

    @classmethod
    def from_implicit(cls, model: Any, interactions: Interactions) -> Factors:
        """Take the embeddings of a trained model of implicit: ALS, BPR or LMF, of the CPU.

        Columns that hold biases become `user_biases` and `item_biases`, columns of ones are left
        out. Rows without interactions are zeros, whatever the library left there: they say nothing.
        The model stays as it is.

        Parameters
        ----------
        model : a fitted model of implicit
        interactions : Interactions
            Those that the model was fitted on, whose ids are those of its rows. implicit takes no
            read-only arrays: fit its models on ``interactions.user_items.copy()``.

        Raises
        ------
        TypeError
            For a model of another library, or of the GPU, and for a bare matrix.
        ValueError
            When the model is not fitted.
        DataError
            When it was fitted on other or transposed interactions, or holds NaN.
        """
        parts = model_parts(model, interactions)
        return cls(parts[0], parts[1], interactions.users, interactions.items, *parts[2:])

    @classmethod
    def from_lightfm(
        cls,
        model: Any,
        interactions: Interactions | None = None,
        *,
        users: Iterable[Any] | None = None,
        items: Iterable[Any] | None = None,
        user_features: Any = None,
        item_features: Any = None,
    ) -> Factors:
        """Take the representations of a trained LightFM model, biases beside them.

        Parameters
        ----------
        model : fitted LightFM
        interactions : Interactions, optional
            Those that the model was fitted on, as ``interactions.user_items.copy()``: LightFM takes
            no read-only arrays. Rows without interactions are zeros where they have no features.
        users, items : ids in row order, or dict of id to row, optional
            Instead of `interactions`: for example parts 0 and 2 of ``Dataset.mapping()``. Row
            numbers by default.
        user_features, item_features : sparse matrix, optional
            Where the model was fitted with some.

        Raises
        ------
        TypeError
            For a model of another library.
        ValueError
            When the model is not fitted.
        DataError
            When ids do not fit the rows of the model.
        """
        parts = lightfm_parts(model, user_features, item_features)
        if interactions is None:
            ids = (
                ids_in_order(given, len(rows), side)
                for given, rows, side in ((users, parts[0], "user"), (items, parts[1], "item"))
            )
            biases = {"user_biases": parts[2], "item_biases": parts[3]}
            return cls.from_arrays(parts[0], parts[1], *ids, **biases)
        check_log(interactions)
        matrix = interactions.user_items
        met = np.diff(matrix.indptr) > 0, np.bincount(matrix.indices, minlength=matrix.shape[1]) > 0
        if tuple(map(len, parts[:2])) != matrix.shape:
            raise DataError(
                f"the model has {len(parts[0])} users and {len(parts[1])} items but the "
                f"interactions have {matrix.shape[0]} and {matrix.shape[1]}: "
                "pass those it was fitted on"
            )
        features = user_features, item_features
        kept = [
            np.where(known | (said is not None), np.asarray(part).T, 0).T
            for known, said, part in zip(met * 2, features * 2, parts, strict=True)
        ]
        return cls(kept[0], kept[1], interactions.users, interactions.items, *kept[2:])

    @property
    def T(self) -> Factors:
        """The same factors with the sides swapped."""
        return Factors(
            self.item_factors,
            self.user_factors,
            self.items,
            self.users,
            self.item_biases,
            self.user_biases,
        )

    @property
    def width(self) -> int:
        """Number of dimensions d."""
        return int(self.user_factors.shape[1])

    def __repr__(self) -> str:
        biases = ", with biases" * (self.user_biases is not None or self.item_biases is not None)
        n_users, n_items = len(self.users), len(self.items)
        return f"Factors({n_users} users and {n_items} items, {self.width} wide{biases})"

    def __reduce__(self) -> tuple[type[Factors], tuple[Any, ...]]:
        return Factors, (
            self.user_factors,
            self.item_factors,
            self.users,
            self.items,
            self.user_biases,
            self.item_biases,
        )


def _read_only(values: ArrayLike, name: str, ndim: int, length: int, ids: str) -> Floats:
    given = np.asarray(values)
    if given.dtype.kind not in "fiu":
        raise DataError(f"{name} must be numbers, got dtype {given.dtype}")
    if given.ndim != ndim:
        shape = "(n, d)" if ndim == 2 else "(n,)"
        raise DataError(f"{name} must be {shape}, got an array of shape {given.shape}")
    if given.shape[0] != length:
        raise DataError(
            f"{name} has {given.shape[0]} rows but there are {length} {ids}: "
            "pass one id per row, in row order"
        )
    with np.errstate(over="ignore"):
        array = np.array(given, dtype=np.float32, order="C")
    wrong = np.count_nonzero(~np.isfinite(array))
    if wrong:
        raise DataError(
            f"{wrong} of {array.size} values of {name} are NaN or infinite in float32: "
            "train that model again with more regularisation"
        )
    array.flags.writeable = False
    return array
