"""A fitted warm start as arrays and plain values, and back."""

from __future__ import annotations

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

__all__ = ["Fitted", "adapter_from", "adapter_to_json"]

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
        settings = self.model.get_params()
        if not isinstance(settings["rng"], int | np.integer):
            settings["rng"] = None
        values = {
            "model": {**settings, "regularization": float(self.model.regularization)},
            "strength": self.belief.strength.to_json(),
            "null": self.belief.null.to_json(),
        }
        return {name: array for name, array in arrays.items() if array is not None}, values

    @classmethod
    def from_parts(cls, arrays: Arrays, values: dict[str, Any]) -> Fitted:
        """Read what `to_parts` gave."""
        try:
            ids = Vocabulary(arrays["mapped_ids"]), Vocabulary(arrays["other_ids"])
            rows, columns = arrays["mapped_factors"], arrays["other_factors"]
            belief = Belief(
                _prior(arrays),
                arrays["mapped"],
                Strength.from_json(values["strength"]),
                Strength.from_json(values["null"]),
            )
            seen = tuple(arrays[f"seen_{part}"] for part in ("data", "indices", "indptr"))
            trained = sp.csr_matrix(seen, shape=(len(rows), len(columns)))
            model = PriorALS(**values["model"])
            prior = belief.at(np.arange(len(rows)), np.diff(trained.indptr))
            model.restore(rows, columns, prior, belief.strength.regularization)
        except (KeyError, TypeError, ValueError) as error:
            raise ArtefactError(f"the saved model is damaged: {error}") from None
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
            return {"name": name, "settings": adapter.get_params()}
    return None


def adapter_from(values: dict[str, Any] | None) -> Any:
    """An unfitted adapter as `adapter_to_json` described it; None where it was not registered."""
    return None if values is None else ADAPTERS[values["name"]](**values["settings"])
