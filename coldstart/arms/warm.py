"""A warm start: what `WarmStart` makes of an adapter, every choice made inside its `fit`."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from coldstart.adapters import named
from coldstart.heldout import Scorer
from coldstart.warmstart import WarmStart

from .base import Task

__all__ = ["WarmArm"]


class WarmArm:
    """`WarmStart` with the adapter of that name; it never sees the task's validation people."""

    uses_source = True

    def __init__(self, adapter: str) -> None:
        self.name = f"warm:{adapter}"
        self._adapter = adapter

    def fit(self, task: Task) -> WarmArm:
        """Fit on the training log; the rows of the task are its users, whichever side they are."""
        self._warm = WarmStart(
            task.new_model(),
            named(self._adapter),
            rng=task.seed,
            num_threads=task.num_threads,
        ).fit(task.source, task.train)
        self._rows = self._warm.ids("users").rows(task.source.users.ids)
        return self

    def scorer(self, source: NDArray[np.int64], history: sp.csr_matrix, shots: int) -> Scorer:
        """Fold people in around their own priors."""
        mapped, other = self._warm.served_.mapped, self._warm.served_.other
        rows = mapped.embed(self._rows[source], history, other, self._warm.num_threads)
        return lambda block: rows[block] @ other.factors.T

    def settings(self) -> dict[str, Any]:
        """The report of the fit."""
        return self._warm.report_.to_json()
