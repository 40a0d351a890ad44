"""A fitted warm start as arrays and plain values, and back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from coldstart.adapters import ADAPTERS
from coldstart.errors import ArtefactError, ColdstartError
from coldstart.evidence import SoftGate
from coldstart.fitted import Fitted, trained_of
from coldstart.prior import Prior, all_finite
from coldstart.serving import Belief, Extras, Learned, solve_believed
from coldstart.strength import WHOSE, Fallback, Strength
from coldstart.targets import Target, Trained, target_from
from coldstart.targets.base import plain
from coldstart.vocabulary import Vocabulary

__all__ = [
    "Unregistered",
    "adapter_from",
    "adapter_to_json",
    "damage_told",
    "from_parts",
    "to_parts",
]

Arrays = dict[str, NDArray[Any]]
Floats = NDArray[np.float32]


def to_parts(fitted: Fitted) -> tuple[Arrays, dict[str, Any]]:
    """A fitted warm start as arrays, and plain values that name the rest."""
    prior, nulls = fitted.belief.prior, fitted.belief.nulls
    arrays = {
        "mapped_ids": fitted.ids[0].ids,
        "other_ids": fitted.ids[1].ids,
        "mapped_factors": fitted.trained.rows,
        "other_factors": fitted.trained.columns,
        "seen_indptr": fitted.matrix.indptr,
        "seen_indices": fitted.matrix.indices,
        "seen_data": fitted.matrix.data,
        "mapped": fitted.belief.mapped,
        **{f"prior_{name}": getattr(prior, name) for name in _PRIOR},
        **{f"nulls_{name}": getattr(nulls, name) for name in _PRIOR},
        **{f"extra_{name}": getattr(fitted.extras, name) for name in _EXTRAS},
    }
    values: dict[str, Any] = {
        "side": fitted.target.side,
        "target": fitted.target.to_json(),
        "shape": list(fitted.matrix.shape),
        "strength": fitted.belief.strength.to_json(),
        "open": list(fitted.belief.open),
        "fallback": fitted.belief.fallback.to_json(),
        "unknown": fitted.belief.unknown.to_json(),
    }
    if fitted.belief.soft is not None:
        values["soft"] = fitted.belief.soft.to_json()
    if fitted.added is not None:
        arrays |= {f"added_{part}": getattr(fitted.added, part) for part in _CSR}
        arrays["before"] = fitted.before
        values["base"] = list(fitted.counted)
    for name, learned in (("learned", fitted.belief.learned), ("others", fitted.others)):
        if learned is not None:
            arrays[f"{name}_place"] = learned.place
            arrays |= {f"{name}_{part}": getattr(learned.prior, part) for part in _PRIOR}
            values[f"{name}_columns"] = learned.columns
    return {name: array for name, array in arrays.items() if array is not None}, values


def from_parts(arrays: Arrays, values: dict[str, Any]) -> Fitted:
    """Read what `to_parts` gave, or what version 3 of the format had in its place."""
    _check_kinds(arrays)
    ids = Vocabulary(arrays["mapped_ids"]), Vocabulary(arrays["other_ids"])
    rows, columns = arrays["mapped_factors"], arrays["other_factors"]
    belief = Belief(
        _prior(arrays, "prior"),
        arrays["mapped"],
        _prior(arrays, "nulls"),
        Strength.from_json(values["strength"]),
        tuple(values["open"]),
        Fallback.from_json(values["fallback"]),
        Fallback.from_json(values["unknown"]),
        SoftGate.from_json(values["soft"]) if "soft" in values else None,
        _learned(arrays, values, "learned"),
    )
    if [type(opened) for opened in belief.open] != [bool] * len(belief.strength.shots):
        raise ValueError(f"the gate is {belief.open} for shots {belief.strength.shots}")
    if belief.nulls.shared is None or belief.nulls.mean.shape != (
        len(WHOSE),
        belief.prior.width,
    ):
        raise ValueError(
            f"{belief.nulls} is no prior around the means of all, of anchors and half way"
        )
    n, m = len(ids[0]), len(ids[1])
    if "target" not in values:
        rows, values = _of_version_3(arrays, values, belief)
    if not (len(rows) + 1 == n + 1 == len(belief.prior) == len(belief.mapped)):
        raise ValueError(f"{n} ids do not fit the factors or the priors")
    if len(columns) != m:
        raise ValueError(f"{m} ids do not fit {len(columns)} rows of factors")
    n_fitted, m_fitted = map(int, values["shape"])
    matrix = _csr(arrays, "seen", (n_fitted, m_fitted))
    if matrix.shape[0] > n or matrix.shape[1] > m:
        raise ValueError(f"interactions {matrix.shape} do not fit {n} and {m} ids")
    added, before, base = _added(arrays, values, (n, m))
    if base is not None and not (n_fitted <= base[0] <= n and m_fitted <= base[1] <= m):
        raise ValueError(f"{base} ids before the last ones do not fit {n} and {m}")
    target = target_from(values["target"], values["side"])
    trained = trained_of(target, rows, columns, matrix, added)
    _check_widths(target, trained, belief)
    extras = Extras(*(arrays[f"extra_{name}"] for name in _EXTRAS))
    if len(extras.rows) != n + 1 or len(extras.columns) != m:
        raise ValueError(f"{len(extras.rows)} rows of the row map do not fit {n} ids")
    others = _learned(arrays, values, "others")
    return Fitted(target, trained, belief, ids, matrix, extras, added, before, others, base)


def _added(
    arrays: Arrays, values: dict[str, Any], shape: tuple[int, int]
) -> tuple[sp.csr_matrix | None, NDArray[Any] | None, tuple[int, int] | None]:
    """Interactions (n, m) that came after the fit, the rows (k, f) of those with some as they were
    before, and the numbers of ids then.
    """
    if "added_data" not in arrays:
        return None, None, None
    added, before = _csr(arrays, "added", shape), arrays["before"]
    kept = np.count_nonzero(np.diff(added.indptr)), arrays["mapped_factors"].shape[1]
    if before.shape != kept:
        raise ValueError(f"rows {kept} changed, and {before.shape} were kept")
    return added, before, (int(values["base"][0]), int(values["base"][1]))


def _check_kinds(arrays: Arrays) -> None:
    """See that arrays hold the kind of numbers that their names promise."""
    for name, array in arrays.items():
        if name.endswith("_ids"):
            continue
        whole = name.endswith(("_indptr", "_indices", "_place"))
        wanted = "b" if name == "mapped" else "i" if whole else "f"
        if array.dtype.kind != wanted:
            raise ValueError(f"{name} holds {array.dtype}")


def _of_version_3(
    arrays: Arrays, values: dict[str, Any], belief: Belief
) -> tuple[Floats, dict[str, Any]]:
    """Rows and values as they are now: the target was ALS, and rows of the source alone were not
    saved.
    """
    rows, columns = arrays["mapped_factors"], arrays["other_factors"]
    shape = len(rows), len(columns)
    target = {"name": "PriorALS", "settings": values["model"], "upgraded": False}
    values = {**values, "target": target, "shape": shape}
    others = np.arange(len(rows), len(belief.mapped) - 1)
    nothing = sp.csr_matrix((len(others), len(columns)), dtype=np.float32)
    trained = target_from(target, values["side"]).trained(rows, columns, nothing)
    return np.vstack([rows, solve_believed(belief, others, nothing, trained.loss)]), values


def _csr(arrays: Arrays, name: str, shape: tuple[int, int]) -> sp.csr_matrix:
    found = sp.csr_matrix(tuple(arrays[f"{name}_{part}"] for part in _CSR), shape)
    found.check_format()
    if found.data.dtype != np.float32 or not (all_finite(found.data) and (found.data > 0).all()):
        raise ValueError(f"values of {name} interactions are not positive and finite")
    return found


def _learned(arrays: Arrays, values: dict[str, Any], name: str) -> Learned | None:
    if f"{name}_place" not in arrays:
        return None
    place, prior = arrays[f"{name}_place"], _prior(arrays, name)
    if place.min(initial=0) < -1 or place.max(initial=-1) >= len(prior):
        raise ValueError(f"{name}_place points beyond {len(prior)} rows")
    return Learned(place, prior, int(values[f"{name}_columns"]))


def _check_widths(target: Target, trained: Trained, belief: Belief) -> None:
    """See that factors are as wide as the model says, and as what is believed of them."""
    rows, columns = trained.rows, trained.columns
    for array, bias in ((rows, trained.layout.row_bias), (columns, trained.layout.column_bias)):
        if array.ndim != 2 or array.shape[1] != target.width + bias:
            raise ValueError(f"factors are {array.shape}, but the model is {target.width} wide")
        if array.dtype != np.float32 or not all_finite(array):
            raise ValueError("factors hold NaN or inf, or are not float32")
    if belief.prior.width != rows.shape[1]:
        raise ValueError(f"priors are {belief.prior.width} wide, rows {rows.shape[1]}")


_PRIOR = ("mean", "precision", "shared", "origin")
_CSR = ("data", "indices", "indptr")
_EXTRAS = ("rows", "columns", "popularity")


def _prior(arrays: Arrays, kind: str) -> Prior:
    mean, precision, shared, origin = (arrays.get(f"{kind}_{name}") for name in _PRIOR)
    if mean is None or precision is None:
        raise KeyError(f"{kind}_mean or {kind}_precision")
    return Prior(mean, precision, shared=shared, origin=origin)


@dataclass(frozen=True)
class Unregistered:
    """Stands for an adapter that is not in `ADAPTERS`: the saved model answers, but cannot be
    fitted again before it is given one.
    """


def adapter_to_json(adapter: Any) -> dict[str, Any] | None:
    """Name and settings of a registered adapter, and of those it is made of; None for any other."""
    for name, kind in ADAPTERS.items():
        if type(adapter) is kind:
            settings = plain(adapter.get_params())
            if settings.get("adapters") is not None:
                settings["adapters"] = [adapter_to_json(part) for part in settings["adapters"]]
                if None in settings["adapters"]:
                    return None
            return {"name": name, "settings": settings} if _is_plain(settings) else None
    return None


def adapter_from(values: dict[str, Any] | None) -> Any:
    """An unfitted adapter as `adapter_to_json` described it; `Unregistered` for any other."""
    if values is None or values["name"] not in ADAPTERS:
        return Unregistered()
    settings = dict(values["settings"])
    if settings.get("adapters") is not None:
        settings["adapters"] = [adapter_from(part) for part in settings["adapters"]]
        if Unregistered() in settings["adapters"]:
            return Unregistered()
    return ADAPTERS[values["name"]](**settings)


_DAMAGE = (
    *(LookupError, TypeError, ValueError, AttributeError, ArithmeticError, AssertionError),
    *(RecursionError, MemoryError, ColdstartError),
)


@contextmanager
def damage_told() -> Iterator[None]:
    """Say of what goes wrong meanwhile that the saved model is damaged."""
    try:
        yield
    except _DAMAGE as error:
        why = " ".join(f"{type(error).__name__}: {error}".split())
        raise ArtefactError(f"the saved model is damaged ({why}): save it again") from error


def _is_plain(settings: dict[str, Any]) -> bool:
    """Whether JSON can hold the settings."""
    try:
        json.dumps(settings)
    except TypeError:
        return False
    return True
