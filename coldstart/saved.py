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
from coldstart.errors import ArtefactError
from coldstart.evidence import SoftGate
from coldstart.prior import Prior, all_finite
from coldstart.serving import Belief, Extras, Served
from coldstart.strength import WHOSE, Fallback, Strength
from coldstart.targets import Target, Trained, target_from
from coldstart.vocabulary import Vocabulary

__all__ = ["Fitted", "Unregistered", "adapter_from", "adapter_to_json", "damage_told"]

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Fitted:
    """What serving needs of a fit.

    Parameters
    ----------
    target : Target
    trained : Trained
        Its rows are the mapped side, solved around their priors.
    belief : Belief
    ids : (Vocabulary, Vocabulary)
        Of the mapped side, target ids first, and of the other side.
    matrix : csr_matrix (n_target_rows, n_columns)
    extras : Extras
    """

    target: Target
    trained: Trained
    belief: Belief
    ids: tuple[Vocabulary, Vocabulary]
    matrix: sp.csr_matrix
    extras: Extras

    @property
    def served(self) -> Served:
        """Both sides, ready to answer."""
        ridge = self.target.regularization
        parts = self.belief, self.ids, self.matrix, self.extras
        return Served.of(self.trained, ridge, *parts)

    @property
    def model(self) -> Any:
        """A trained model of the caller's class."""
        everybody = np.arange(len(self.trained.rows))
        prior = self.belief.pulled(everybody, np.diff(self.matrix.indptr))
        return self.target.told(self.trained, prior, self.belief.strength.regularization)

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
            "strength": self.belief.strength.to_json(),
            "open": list(self.belief.open),
            "fallback": self.belief.fallback.to_json(),
            "unknown": self.belief.unknown.to_json(),
        }
        if self.belief.soft is not None:
            values["soft"] = self.belief.soft.to_json()
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
        n = len(ids[0]) + 1
        if not (len(rows) < n == len(belief.prior) == len(belief.mapped)):
            raise ValueError(f"{n - 1} ids do not fit the factors or the priors")
        seen = tuple(arrays[f"seen_{part}"] for part in ("data", "indices", "indptr"))
        matrix = sp.csr_matrix(seen, shape=(len(rows), len(ids[1])))
        matrix.check_format()
        if len(columns) != len(ids[1]):
            raise ValueError(f"{len(ids[1])} ids do not fit {len(columns)} rows of factors")
        target = target_from(values["target"], values["side"])
        trained = target.trained(rows, columns, matrix)
        _check_widths(target, trained, belief)
        extras = Extras(*(arrays[f"extra_{name}"] for name in _EXTRAS))
        if len(extras.rows) != n or len(extras.columns) != len(columns):
            raise ValueError(f"{len(extras.rows)} rows of the row map do not fit {n - 1} ids")
        return cls(target, trained, belief, ids, matrix, extras)


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
