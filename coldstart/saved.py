"""A fitted warm start as arrays and plain values, and back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from coldstart.adapters import ADAPTERS
from coldstart.als import PriorALS
from coldstart.errors import ArtefactError
from coldstart.prior import Prior
from coldstart.serving import Belief
from coldstart.strength import Strength
from coldstart.vocabulary import Vocabulary

__all__ = ["Fitted", "adapter_from", "adapter_to_json", "damage_told"]

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Fitted:
    """What serving needs of a fit.

    Parameters
    ----------
    model : PriorALS
        Its users are the mapped side, solved around their priors.
    belief : Belief
    ids : (Vocabulary, Vocabulary)
        Of the mapped side, target ids first, and of the other side.
    trained : csr_matrix (n_target_rows, n_columns)
    """

    model: PriorALS
    belief: Belief
    ids: tuple[Vocabulary, Vocabulary]
    trained: sp.csr_matrix

    def to_parts(self) -> tuple[Arrays, dict[str, Any]]:
        """Arrays, and plain values that name the rest."""
        prior = self.belief.prior
        arrays = {
            "mapped_ids": self.ids[0].ids,
            "other_ids": self.ids[1].ids,
            "mapped_factors": self.model.user_factors,
            "other_factors": self.model.item_factors,
            "seen_indptr": self.trained.indptr,
            "seen_indices": self.trained.indices,
            "seen_data": self.trained.data,
            "mapped": self.belief.mapped,
            **{f"prior_{name}": getattr(prior, name) for name in _PRIOR},
        }
        settings = _plain(self.model.get_params())
        if not isinstance(settings["rng"], int):
            settings["rng"] = None
        values = {
            "model": settings,
            "strength": self.belief.strength.to_json(),
            "null": self.belief.null.to_json(),
        }
        return {name: array for name, array in arrays.items() if array is not None}, values

    @classmethod
    def from_parts(cls, arrays: Arrays, values: dict[str, Any]) -> Fitted:
        """Read what `to_parts` gave."""
        ids = Vocabulary(arrays["mapped_ids"]), Vocabulary(arrays["other_ids"])
        rows, columns = arrays["mapped_factors"], arrays["other_factors"]
        belief = Belief(
            _prior(arrays),
            arrays["mapped"],
            Strength.from_json(values["strength"]),
            Strength.from_json(values["null"]),
        )
        n = len(ids[0]) + 1
        if not (len(rows) < n == len(belief.prior) == len(belief.mapped)):
            raise ValueError(f"{n - 1} ids do not fit the factors or the priors")
        seen = tuple(arrays[f"seen_{part}"] for part in ("data", "indices", "indptr"))
        trained = sp.csr_matrix(seen, shape=(len(rows), len(ids[1])))
        trained.check_format()
        model = PriorALS(**values["model"])
        prior = belief.at(np.arange(len(rows)), np.diff(trained.indptr))
        model.restore(rows, columns, prior, belief.strength.regularization)
        if len(columns) != len(ids[1]):
            raise ValueError(f"{len(ids[1])} ids do not fit {len(columns)} rows of factors")
        return cls(model, belief, ids, trained)


_PRIOR = ("mean", "precision", "shared", "origin")


def _prior(arrays: Arrays) -> Prior:
    mean, precision, shared, origin = (arrays.get(f"prior_{name}") for name in _PRIOR)
    if mean is None or precision is None:
        raise KeyError("prior_mean or prior_precision")
    return Prior(mean, precision, shared=shared, origin=origin)


def adapter_to_json(adapter: Any) -> dict[str, Any] | None:
    """Name and settings of a registered adapter; None for any other."""
    for name, kind in ADAPTERS.items():
        if type(adapter) is kind:
            return {"name": name, "settings": _plain(adapter.get_params())}
    return None


def adapter_from(values: dict[str, Any] | None) -> Any:
    """An unfitted adapter as `adapter_to_json` described it; None where it was not registered."""
    if values is None or values["name"] not in ADAPTERS:
        return None
    return ADAPTERS[values["name"]](**values["settings"])


@contextmanager
def damage_told() -> Iterator[None]:
    """Say of what goes wrong meanwhile that the saved model is damaged."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        why = " ".join(f"{type(error).__name__}: {error}".split())
        raise ArtefactError(f"the saved model is damaged ({why}): save it again") from error


def _plain(settings: dict[str, Any]) -> dict[str, Any]:
    """Numbers of numpy as those of Python, which JSON can hold."""
    return {k: v.item() if isinstance(v, np.generic) else v for k, v in settings.items()}
