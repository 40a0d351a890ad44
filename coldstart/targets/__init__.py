"""Target models: what a warm start can be given, one file each, behind one Protocol."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from implicit.cpu.als import AlternatingLeastSquares
from implicit.cpu.bpr import BayesianPersonalizedRanking
from implicit.cpu.lmf import LogisticMatrixFactorization

from coldstart.als import PriorALS

from .base import Layout, Side, Target, Trained
from .bpr import BPRTarget
from .implicit_als import upgraded
from .lightfm import LightFMTarget
from .lmf import LMFTarget
from .prior_als import PriorALSTarget

__all__ = ["Layout", "Side", "Target", "Trained", "target_from", "target_of"]


def target_of(model: Any, side: Side) -> Target:
    """The target that an object of one of the libraries stands for; the object stays as it is.

    Raises
    ------
    TypeError
        For any other object.
    """
    if isinstance(model, PriorALS):
        return PriorALSTarget(model, side)
    if isinstance(model, AlternatingLeastSquares):
        return replace(PriorALSTarget(upgraded(model), side), upgraded=True)
    if isinstance(model, BayesianPersonalizedRanking):
        return BPRTarget.of(model, side)
    if isinstance(model, LogisticMatrixFactorization):
        return LMFTarget.of(model, side)
    if _is_lightfm(model):
        return LightFMTarget.of(model, side)
    raise TypeError(
        "model must be PriorALS, implicit's AlternatingLeastSquares, BayesianPersonalizedRanking "
        "or LogisticMatrixFactorization (of the CPU), or LightFM: got "
        f"{type(model).__module__}.{type(model).__qualname__}"
    )


def target_from(values: dict[str, Any], side: Side) -> Target:
    """The target that `to_json` described."""
    kinds: tuple[Any, ...] = (PriorALSTarget, BPRTarget, LMFTarget, LightFMTarget)
    for kind in kinds:
        if kind.name == values["name"]:
            found: Target = kind.from_json(values, side)
            return found
    raise ValueError(f"there is no target model {values['name']!r}")


def _is_lightfm(model: Any) -> bool:
    """Whether it is LightFM's, found without importing the library."""
    return any(
        kind.__name__ == "LightFM" and kind.__module__.startswith("lightfm.")
        for kind in type(model).__mro__
    )
