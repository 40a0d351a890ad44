"""LightFM as a target, with any of its losses, without features of its own."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp

from coldstart.foreign import Parts, lightfm_parts

from .base import Side
from .stochastic import StochasticTarget

__all__ = ["LightFMTarget"]

EPOCHS = 30  # LightFM has no default that learns anything
KINDS = {"logistic": "points", "bpr": "pairs", "warp": "softmax", "warp-kos": "softmax"}


@dataclass(frozen=True)
class LightFMTarget(StochasticTarget):
    """`lightfm.LightFM`; whatever a row was seen to like counts as 1."""

    name: ClassVar[str] = "LightFM"
    by_popularity: ClassVar[bool] = False

    @classmethod
    def of(cls, model: Any, side: Side) -> LightFMTarget:
        """As it came; its number of epochs is chosen."""
        return cls(copy.deepcopy(model.get_params()), side, EPOCHS)

    @property
    def model(self) -> Any:
        """A fresh object of the library with these settings."""
        from lightfm import LightFM

        return LightFM(**copy.deepcopy(self.settings))

    @property
    def width(self) -> int:
        """Factors, without biases."""
        return int(self.settings["no_components"])

    @property
    def kind(self) -> str:
        """That of its loss: WARP weighs pairs by the rank of what is liked."""
        return KINDS[self.settings["loss"]]

    def seeded(self, seed: int, num_threads: int, *, given: bool = False) -> LightFMTarget:
        """The same with this seed where the caller has given one: LightFM makes a generator of its
        own of any seed and of none.
        """
        settings = {**self.settings, "random_state": seed} if given else self.settings
        return replace(self, settings=settings)

    def __str__(self) -> str:
        return super().__str__().replace("LightFM", f"LightFM ({self.settings['loss']})")

    def variants(self) -> Sequence[LightFMTarget]:
        """With a third and three times the epochs, and with some popularity added."""
        epochs = [replace(self, epochs=number) for number in (self.epochs // 3, 3 * self.epochs)]
        return [*epochs, replace(self, popularity=0.5)]

    def _weights(self) -> dict[str, float]:
        """Its logistic loss knows what is liked and nothing else."""
        return {"per_interaction": 0.0} if self.kind == "points" else {}

    def _learn(self, user_items: sp.csr_matrix, show_progress: bool) -> Parts:
        model, likes = self.model, user_items.tocoo()
        likes.data[:] = 1
        threads = self.settings.get("num_threads") or 1
        model.fit(likes, epochs=self.epochs, num_threads=threads, verbose=show_progress)
        return lightfm_parts(model, None, None)

    def _assembled(self, learned: Parts) -> Any:
        model = self.model
        n_users, n_items = len(learned.users), len(learned.items)
        model._initialize(self.width, n_items, n_users)
        zeros = np.zeros(n_users, np.float32), np.zeros(n_items, np.float32)
        for name, given, nothing in (
            ("user", (learned.users, learned.user_biases), zeros[0]),
            ("item", (learned.items, learned.item_biases), zeros[1]),
        ):
            biases = nothing if given[1] is None else given[1]
            setattr(model, f"{name}_embeddings", np.ascontiguousarray(given[0], np.float32))
            setattr(model, f"{name}_biases", np.ascontiguousarray(biases, np.float32))
        return model
