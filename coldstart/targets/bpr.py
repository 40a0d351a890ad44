"""implicit's BPR as a target.

Its user factors end with a column of ones, and its item factors with the items' biases.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import scipy.sparse as sp
from implicit.cpu.bpr import BayesianPersonalizedRanking

from coldstart.foreign import Parts, parted

from .base import Side
from .stochastic import StochasticTarget, column_of

__all__ = ["BPRTarget"]

SETTINGS = (
    *("factors", "learning_rate", "regularization", "num_threads"),
    *("verify_negative_samples", "random_state"),
)


@dataclass(frozen=True)
class BPRTarget(StochasticTarget):
    """`implicit.bpr.BayesianPersonalizedRanking` of the CPU, in float32."""

    name: ClassVar[str] = "BPR"
    by_popularity: ClassVar[bool] = True

    @classmethod
    def of(cls, model: BayesianPersonalizedRanking, side: Side) -> BPRTarget:
        """With log popularity added once, which puts scores on the scale of what is liked."""
        settings = {name: getattr(model, name) for name in SETTINGS}
        return cls(settings, side, int(model.iterations), 1.0)

    @property
    def model(self) -> BayesianPersonalizedRanking:
        """A fresh object of the library with these settings."""
        return BayesianPersonalizedRanking(**self.settings, iterations=self.epochs)

    @property
    def width(self) -> int:
        """Factors, without biases."""
        return int(self.settings["factors"])

    @property
    def kind(self) -> str:
        """Pairs of items."""
        return "pairs"

    def variants(self) -> Sequence[BPRTarget]:
        """With three times the epochs, and with less of popularity."""
        longer = replace(self, epochs=3 * self.epochs)
        return [longer, *(replace(self, popularity=weight) for weight in (0.5, 0.0))]

    def _learn(self, user_items: sp.csr_matrix, show_progress: bool) -> Parts:
        model = self.model
        model.fit(user_items, show_progress=show_progress)
        return parted("BPR", model.user_factors, model.item_factors)

    def _assembled(self, learned: Parts) -> BayesianPersonalizedRanking:
        model, ones = self.model, np.ones((len(learned.users), 1), np.float32)
        model.user_factors = np.hstack([learned.users, ones])
        model.item_factors = np.hstack([learned.items, column_of(learned.item_biases)])
        return model
