"""What a caller of the front door asks for: whether it can be done, and what it leaves open."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, Literal

import numpy as np

from coldstart.adapters import AutoAdapter, RidgeAdapter
from coldstart.adapters.base import Adapter, check_adapter, reads_features
from coldstart.errors import AnchorError, DataError
from coldstart.factors import Factors
from coldstart.features import Features
from coldstart.interactions import Interactions
from coldstart.metrics import metric
from coldstart.saved import Unregistered
from coldstart.strength import Strength
from coldstart.targets import Target, target_of
from coldstart.targets.prior_als import PriorALSTarget

__all__ = ["Request", "checked_gate"]


@dataclass(frozen=True)
class Request:
    """The arguments of `WarmStart` that say what is wanted, as they came; a `loaded` target has
    settings that its model cannot tell, such as LightFM's number of epochs.
    """

    model: Any
    adapter: Any
    side: Any
    strength: Any
    gate: Any
    refine: Any
    loaded: Target | None = None

    @property
    def wanted(self) -> Adapter:
        """The adapter of the caller, or the choice among several; one of them where it is fitted in
        every sweep.
        """
        chosen: Adapter = AutoAdapter() if self.adapter is None else self.adapter
        if self.refine and isinstance(chosen, AutoAdapter) and chosen.adapters is None:
            return RidgeAdapter()
        return chosen

    @property
    def target(self) -> Target:
        """What the model stands for."""
        return target_of(self.model, self.side) if self.loaded is None else self.loaded

    @property
    def fixed(self) -> Strength | None:
        """The strength the caller asked for; the ridge beside a number is a multiple of the
        model's.
        """
        if isinstance(self.strength, str | Strength):
            return None if isinstance(self.strength, str) else self.strength
        return Strength(temper=(float(self.strength),), regularization=1.0)

    def check_anchors(self, anchors: int) -> None:
        """Raise where a choice among adapters has none to learn from."""
        if anchors < 2 and (self.adapter is None or isinstance(self.adapter, AutoAdapter)):
            who = "WarmStart" if self.adapter is None else "AutoAdapter"
            raise AnchorError(
                f"{who} needs at least 2 anchors, {self.side} with interactions in both catalogs: "
                f"it got {anchors}; check that both use the same ids, or use MeanAdapter, which "
                "needs none"
            )

    def check(self, source: Any, target: Any, features: Any) -> None:
        """Raise what is wrong with the arguments, or with what they are to be fitted on."""
        if self.side not in ("users", "items"):
            raise ValueError(f'side must be "users" or "items", got {self.side!r}')
        if not isinstance(source, Interactions | Factors):
            raise TypeError(f"source must be Interactions or Factors, got {type(source).__name__}")
        if not isinstance(target, Interactions):
            raise TypeError(f"target must be Interactions, got {type(target).__name__}")
        for name, catalog in (("source", source), ("target", target)):
            sides = {"users": catalog.users, "items": catalog.items}
            if isinstance(catalog, Factors):  # of which the mapped side is all that counts
                sides = {self.side: sides[self.side]}
            if not all(map(len, sides.values())):
                raise DataError(f"{name} is empty: it has no {' or no '.join(sides)}")
        target_model = self.target  # or an error
        given = self.adapter
        if isinstance(given, Unregistered):
            raise TypeError(
                "the adapter of this saved model could not be saved: pass one before fitting it "
                "again, for example warm.adapter = RidgeAdapter()"
            )
        if given is not None:
            check_adapter(given)
            _check_settings(given)
        self._check_reader(features)
        checked_gate(self.gate)
        strength: Any = self.strength
        number = isinstance(strength, Real) and not isinstance(strength, bool)
        number = number and 0 <= float(strength) < np.inf
        if not (number or isinstance(strength, Strength) or strength == "auto"):
            raise ValueError(
                f'strength must be "auto", a number from 0 on or a Strength, got {strength!r}'
            )
        self._check_refine(target_model)

    def _check_refine(self, target: Target) -> None:
        """Whether what was given can be refined, where it is to be."""
        refine: Any = self.refine
        if not isinstance(refine, Integral) or isinstance(refine, bool) or refine < 0:
            raise ValueError(f"refine must be a whole number of sweeps from 0 on, got {refine!r}")
        if refine and not isinstance(target, PriorALSTarget):
            raise ValueError(
                f"refine={refine} needs ALS as the target model, got {type(self.model).__name__}: "
                "use refine=0"
            )
        if refine and self.gate == "soft":
            raise ValueError(
                f'refine={refine} takes one decision for the whole model, gate="soft" one for '
                "each row: use gate=True, or refine=0"
            )
        if refine and not getattr(self.wanted, "needs_anchors", True):
            raise ValueError(
                f"refine={refine} needs an adapter that learns from anchors, and "
                f"{type(self.adapter).__name__} does not: pass one, for example RidgeAdapter(), or "
                "use refine=0"
            )
        strength: Any = self.strength
        number = isinstance(strength, Real) and float(strength) > 0
        if refine and not (number or strength == "auto"):
            raise ValueError(
                f'with refine={refine}, strength must be "auto" or a number above 0, which pulls '
                f"in every sweep, got {strength!r}"
            )

    def _check_reader(self, features: Any) -> None:
        """See that features are some, and that the adapter reads them."""
        if features is None:
            return
        if not isinstance(features, Features):
            raise TypeError(
                f"features must be Features, got {type(features).__name__}: "
                "make them by Features.from_frame or Features.from_arrays"
            )
        if self.refine:
            raise ValueError(
                f"refine={self.refine} reads no features yet: use refine=0, or leave them out"
            )
        wanted = self.wanted
        if not (isinstance(wanted, AutoAdapter) or reads_features(wanted)):
            raise ValueError(
                f"{type(wanted).__name__} reads no features: pass ContentAdapter(), or leave the "
                "adapter out"
            )


def _check_settings(adapter: Any) -> None:
    """What an adapter has to say of its own settings, before anything is fitted."""
    if hasattr(adapter, "check_settings"):
        adapter.check_settings()
    if isinstance(adapter, AutoAdapter):
        metric(adapter.metric)


def checked_gate(gate: Any) -> bool | Literal["soft"]:
    """The gate as it came, or an error."""
    if isinstance(gate, bool | np.bool_):
        return bool(gate)
    if not isinstance(gate, str) or gate != "soft":
        raise ValueError(f'gate must be True, False or "soft", got {gate!r}')
    return "soft"
