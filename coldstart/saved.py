"""A fitted warm start as arrays and plain values, and back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from coldstart.adapters import ADAPTERS
from coldstart.errors import ArtefactError
from coldstart.evidence import SoftGate
from coldstart.prior import Prior, all_finite
from coldstart.serving import Belief, Extras, Learned, Served, Side
from coldstart.strength import WHOSE, Fallback, Strength
from coldstart.targets import Target, Trained, target_from
from coldstart.vocabulary import Vocabulary

__all__ = ["Fitted", "Unregistered", "adapter_from", "adapter_to_json", "damage_told"]

Arrays = dict[str, NDArray[Any]]
Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Fitted:
    """What serving needs of a fit.

    Parameters
    ----------
    target : Target
    trained : Trained
        Its n rows are the mapped side, solved around their priors, and its m columns the other.
    belief : Belief
        Of the rows.
    ids : (Vocabulary, Vocabulary)
        Of the n rows, those of the fitted target first, and of the m columns.
    matrix : csr_matrix
        Interactions of the first rows and columns: the target that was fitted.
    extras : Extras
    added : csr_matrix (n, m), optional
        Interactions that came after the fit.
    before : array (k, f), optional
        The rows of those who have some as they were before.
    others : Learned, optional
        The columns, where they are believed to be what they were.

    Where `belief` has rows that were learned, their interactions in `matrix` speak through it.
    """

    target: Target
    trained: Trained
    belief: Belief
    ids: tuple[Vocabulary, Vocabulary]
    matrix: sp.csr_matrix
    extras: Extras
    added: sp.csr_matrix | None = None
    before: Floats | None = None
    others: Learned | None = None

    @cached_property
    def fresh(self) -> sp.csr_matrix:
        """Interactions (n, m) that do not speak through the belief: all where nothing in it was
        learned.
        """
        if self.belief.learned is None:
            return self.seen
        return sp.csr_matrix(self.shape, dtype=np.float32) if self.added is None else self.added

    @cached_property
    def seen(self) -> sp.csr_matrix:
        """All interactions (n, m)."""
        stored = widened(self.matrix, self.shape)
        return stored if self.added is None else sp.csr_matrix(stored.maximum(self.added))

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of rows and columns."""
        return len(self.ids[0]), len(self.ids[1])

    @property
    def served(self) -> Served:
        """Both sides, ready to answer."""
        trained, (rows, columns), m = self.trained, self.ids, self.matrix.shape[1]
        mapped = Side(rows, trained.rows, self.seen, self.fresh, trained.loss, self.belief)
        plain = Belief.of_mean(trained.columns[:m], self.target.regularization)
        plain = replace(plain.grown(len(columns)), learned=self.others)
        seen = self.seen.T.tocsr()
        fresh = seen if self.fresh is self.seen else self.fresh.T.tocsr()
        other = Side(columns, trained.columns, seen, fresh, trained.back, plain)
        return Served(mapped, other, trained.layout, self.extras)

    @property
    def model(self) -> Any:
        """A trained model of the caller's class, with the rows of the target: all after an
        update.
        """
        n = self.matrix.shape[0] if self.added is None else len(self.trained.rows)
        prior = self.belief.pulled(np.arange(n), np.diff(self.fresh[:n].indptr))
        trained = replace(self.trained, rows=self.trained.rows[:n])
        return self.target.told(trained, prior, self.belief.strength.regularization)

    def to_parts(self) -> tuple[Arrays, dict[str, Any]]:
        """Arrays, and plain values that name the rest."""
        prior, nulls = self.belief.prior, self.belief.nulls
        arrays = {
            "mapped_ids": self.ids[0].ids,
            "other_ids": self.ids[1].ids,
            "mapped_factors": self.trained.rows,
            "other_factors": self.trained.columns,
            "seen_indptr": self.matrix.indptr,
            "seen_indices": self.matrix.indices,
            "seen_data": self.matrix.data,
            "mapped": self.belief.mapped,
            **{f"prior_{name}": getattr(prior, name) for name in _PRIOR},
            **{f"nulls_{name}": getattr(nulls, name) for name in _PRIOR},
            **{f"extra_{name}": getattr(self.extras, name) for name in _EXTRAS},
        }
        values = {
            "side": self.target.side,
            "target": self.target.to_json(),
            "columns": self.matrix.shape[1],
            "strength": self.belief.strength.to_json(),
            "open": list(self.belief.open),
            "fallback": self.belief.fallback.to_json(),
            "unknown": self.belief.unknown.to_json(),
        }
        if self.belief.soft is not None:
            values["soft"] = self.belief.soft.to_json()
        if self.added is not None:
            arrays |= {f"added_{part}": getattr(self.added, part) for part in _CSR}
            arrays["before"] = self.before
        for name, learned in (("learned", self.belief.learned), ("others", self.others)):
            if learned is not None:
                arrays[f"{name}_place"] = learned.place
                arrays |= {f"{name}_{part}": getattr(learned.prior, part) for part in _PRIOR}
                values[f"{name}_columns"] = learned.columns
        return {name: array for name, array in arrays.items() if array is not None}, values

    @classmethod
    def from_parts(cls, arrays: Arrays, values: dict[str, Any]) -> Fitted:
        """Read what `to_parts` gave."""
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
        if not (len(rows) + 1 == n + 1 == len(belief.prior) == len(belief.mapped)):
            raise ValueError(f"{n} ids do not fit the factors or the priors")
        if len(columns) != m:
            raise ValueError(f"{m} ids do not fit {len(columns)} rows of factors")
        matrix = _csr(arrays, "seen", (len(arrays["seen_indptr"]) - 1, values["columns"]))
        if matrix.shape[0] > n or matrix.shape[1] > m:
            raise ValueError(f"interactions {matrix.shape} do not fit {n} and {m} ids")
        added = _csr(arrays, "added", (n, m)) if "added_data" in arrays else None
        before = arrays.get("before")
        target = target_from(values["target"], values["side"])
        trained = trained_of(target, rows, columns, matrix, added)
        _check_widths(target, trained, belief)
        extras = Extras(*(arrays[f"extra_{name}"] for name in _EXTRAS))
        if len(extras.rows) != n + 1 or len(extras.columns) != m:
            raise ValueError(f"{len(extras.rows)} rows of the row map do not fit {n} ids")
        others = _learned(arrays, values, "others")
        return cls(target, trained, belief, ids, matrix, extras, added, before, others)


def trained_of(
    target: Target,
    rows: Floats,
    columns: Floats,
    matrix: sp.csr_matrix,
    added: sp.csr_matrix | None,
) -> Trained:
    """Rows and columns put together that were learned from `matrix`, and were `added` to since."""
    if added is None:
        return target.trained(rows, columns, matrix)
    seen = widened(matrix, added.shape).maximum(added)
    return target.trained(rows, columns, matrix, np.bincount(seen.indices, minlength=len(columns)))


def widened(matrix: sp.csr_matrix, shape: tuple[int, int]) -> sp.csr_matrix:
    """The matrix with empty rows and columns behind those that it has."""
    indptr = np.append(matrix.indptr, np.full(shape[0] - matrix.shape[0], matrix.nnz))
    return sp.csr_matrix((matrix.data, matrix.indices, indptr), shape)


def _csr(arrays: Arrays, name: str, shape: tuple[int, int]) -> sp.csr_matrix:
    found = sp.csr_matrix(tuple(arrays[f"{name}_{part}"] for part in _CSR), shape)
    found.check_format()
    return found


def _learned(arrays: Arrays, values: dict[str, Any], name: str) -> Learned | None:
    if f"{name}_place" not in arrays:
        return None
    return Learned(arrays[f"{name}_place"], _prior(arrays, name), values[f"{name}_columns"])


def _check_widths(target: Target, trained: Trained, belief: Belief) -> None:
    """See that factors are as wide as the model says, and as what is believed of them."""
    rows, columns = trained.rows, trained.columns
    for array, bias in ((rows, trained.layout.row_bias), (columns, trained.layout.column_bias)):
        if array.ndim != 2 or array.shape[1] != target.width + bias:
            raise ValueError(f"factors are {array.shape}, but the model is {target.width} wide")
        if array.dtype != np.float32 or not all_finite(array):
            raise ValueError("factors are not finite numbers of float32")
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
            settings = _plain(adapter.get_params())
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


@contextmanager
def damage_told() -> Iterator[None]:
    """Say of what goes wrong meanwhile that the saved model is damaged."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        why = " ".join(f"{type(error).__name__}: {error}".split())
        raise ArtefactError(f"the saved model is damaged ({why}): save it again") from error


def _is_plain(settings: dict[str, Any]) -> bool:
    """Whether JSON can hold the settings."""
    try:
        json.dumps(settings)
    except TypeError:
        return False
    return True


def _plain(settings: dict[str, Any]) -> dict[str, Any]:
    """Numbers of numpy as those of Python, which JSON can hold."""
    return {k: v.item() if isinstance(v, np.generic) else v for k, v in settings.items()}
