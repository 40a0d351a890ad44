"""implicit's LMF as a target.

Its user factors end with a column of ones and the users' biases, its item factors with the items'
biases and a column of ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import scipy.sparse as sp
from implicit.cpu.lmf import LogisticMatrixFactorization

from coldstart.foreign import Parts, parted

from .base import Side
from .stochastic import StochasticTarget, column_of

__all__ = ["LMFTarget"]

SETTINGS = (
    *("factors", "learning_rate", "regularization", "num_threads", "neg_prop", "random_state"),
)


@dataclass(frozen=True)
class LMFTarget(StochasticTarget):
    """`implicit.lmf.LogisticMatrixFactorization`."""

    name: ClassVar[str] = "LMF"
    by_popularity: ClassVar[bool] = True
    weighted: ClassVar[bool] = True

    @classmethod
    def of(cls, model: LogisticMatrixFactorization, side: Side) -> LMFTarget:
        """As it came."""
        settings = {name: getattr(model, name) for name in SETTINGS}
        return cls(settings, side, int(model.iterations))

    @property
    def model(self) -> LogisticMatrixFactorization:
        """A fresh object of the library with these settings."""
        return LogisticMatrixFactorization(**self.settings, iterations=self.epochs)

    @property
    def width(self) -> int:
        """Factors, without biases."""
        return int(self.settings["factors"])

    @property
    def kind(self) -> str:
        """Points."""
        return "points"

    def variants(self) -> Sequence[LMFTarget]:
        """With three times the epochs, and with some popularity added."""
        return [replace(self, epochs=3 * self.epochs), replace(self, popularity=0.5)]

    def _weights(self) -> dict[str, float]:
        """As many contrasts as implicit draws: at most as many as a row has entries."""
        return {
            "per_interaction": float(self.settings["neg_prop"]),
            "most": float(self.width + 2),
        }

    def _learn(self, user_items: sp.csr_matrix, show_progress: bool) -> Parts:
        model = self.model
        model.fit(user_items, show_progress=show_progress)
        return parted("LMF", model.user_factors, model.item_factors)

    def _assembled(self, learned: Parts) -> LogisticMatrixFactorization:
        model = self.model
        users, items = learned.users, learned.items
        ones = [np.ones((len(side), 1), np.float32) for side in (users, items)]
        model.user_factors = np.hstack([users, ones[0], column_of(learned.user_biases)])
        model.item_factors = np.hstack([items, column_of(learned.item_biases), ones[1]])
        return model
