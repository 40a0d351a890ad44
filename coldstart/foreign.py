"""Embeddings out of the models of other libraries: what is a factor there, and what a bias."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from coldstart.errors import DataError

if TYPE_CHECKING:
    from coldstart.interactions import Interactions

__all__ = ["Parts", "check_log", "ids_in_order", "lightfm_parts", "model_parts", "parted"]

Floats = NDArray[np.float32]


class Parts(NamedTuple):
    """Factors of users (n, d) and items (m, d), and biases (n,) and (m,) where there are some."""

    users: Floats
    items: Floats
    user_biases: Floats | None = None
    item_biases: Floats | None = None


def parted(kind: str, users: Any, items: Any) -> Parts:
    """Arrays of one of implicit's models, taken apart: of "BPR", "LMF" or any other kind."""
    if kind == "BPR":  # users end with ones
        return Parts(users[:, :-1], items[:, :-1], None, items[:, -1])
    if kind == "LMF":  # users end with ones and biases, items with biases and ones
        return Parts(users[:, :-2], items[:, :-2], users[:, -1], items[:, -2])
    return Parts(users, items)


_KINDS = {"BayesianPersonalizedRanking": "BPR", "LogisticMatrixFactorization": "LMF"}


def model_parts(model: Any, interactions: Interactions) -> Parts:
    """Those of a trained model of implicit. Rows without interactions are zeros: the library leaves
    them where they started.
    """
    check_log(interactions)
    kinds = [k for k in type(model).__mro__ if k.__module__.startswith("implicit.")]
    if not kinds:
        raise TypeError(
            f"model must be one of implicit's factor models, got {type(model).__module__}."
            f"{type(model).__qualname__}: Factors.from_arrays takes plain arrays"
        )
    arrays: list[Any] = [getattr(model, f"{side}_factors", None) for side in ("user", "item")]
    if any(array is None for array in arrays):
        raise ValueError("the model has no factors yet: fit it first")
    if not all(isinstance(array, np.ndarray) for array in arrays):
        raise TypeError("the factors are on a GPU: pass model.to_cpu()")
    shapes = tuple(map(len, arrays))
    if shapes != interactions.shape:
        swapped = ", it seems to be fitted on the transposed matrix: fit it on users x items"
        raise DataError(
            f"the model has {shapes[0]} users and {shapes[1]} items but the interactions have "
            f"{interactions.shape[0]} and {interactions.shape[1]}"
            + (swapped if shapes == interactions.shape[::-1] else ": pass those it was fitted on")
        )
    kind = next((_KINDS[k.__name__] for k in kinds if k.__name__ in _KINDS), "ALS")
    matrix = interactions.user_items
    met = np.diff(matrix.indptr) > 0, np.bincount(matrix.indices, minlength=shapes[1]) > 0
    found = parted(kind, *(np.where(m[:, None], a, 0) for m, a in zip(met, arrays, strict=True)))
    return Parts(*found)


def check_log(interactions: Any) -> None:
    """Fail where it is no `Interactions`, such as a bare matrix."""
    if not hasattr(interactions, "user_items"):
        raise TypeError(
            f"interactions must be Interactions, got {type(interactions).__name__}: "
            "Interactions.from_csr(matrix, users=, items=) gives it ids"
        )


def lightfm_parts(model: Any, user_features: Any, item_features: Any) -> Parts:
    """Those of a trained LightFM model, of rows that may be sums of features."""
    if not hasattr(model, "get_user_representations"):
        raise TypeError(f"model must be LightFM's, got {type(model).__name__}")
    try:
        user_biases, users = model.get_user_representations(user_features)
        item_biases, items = model.get_item_representations(item_features)
    except ValueError as error:
        raise ValueError(f"LightFM gives no representations ({error}): fit it first") from None
    return Parts(users, items, user_biases, item_biases)


def ids_in_order(ids: Iterable[Any] | Mapping[Any, int] | None, n: int, side: str) -> Any:
    """Ids of rows 0 to n - 1: as they come, or by the row number that a mapping gives them."""
    if not isinstance(ids, Mapping):
        return ids
    rows = np.fromiter(ids.values(), np.int64, len(ids))
    if len(ids) < n or not np.array_equal(np.sort(rows)[:n], np.arange(n)):
        raise DataError(
            f"the mapping of {side} ids must name every row from 0 to {n - 1} once: "
            f"it has {len(ids)} ids for rows up to {rows.max(initial=-1)}"
        )
    by_row = sorted(ids, key=ids.__getitem__)
    return by_row[:n]
