"""A warm start: what `WarmStart` makes of an adapter, every choice made inside its `fit`."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from coldstart.adapters import AutoAdapter, named
from coldstart.decision import Decision
from coldstart.heldout import Scorer
from coldstart.tuning import Limits
from coldstart.warmstart import WarmStart

from .base import Task
from .tuned import Tuned

__all__ = ["WarmArm"]

SHOTS = (0, 1, 2, 5)  # where people have histories of any length


class WarmArm:
    """`WarmStart` with the adapter of that name; it never sees the task's validation people.

    "auto" is `WarmStart` as it comes: everything is chosen, and the gate decides; it makes as many
    trials as its own budget allows, unless the task says how many. Arms of one adapter have no
    gate: they show what the adapter does.

    Parameters
    ----------
    adapter : str
    budget : float or None, default 240.0
        Seconds of the search of "auto", as in `AutoAdapter`, where the task has no budget.
    """

    uses_source = True

    def __init__(self, adapter: str, *, budget: float | None = 240.0) -> None:
        self.name = "auto" if adapter == "auto" else f"warm:{adapter}"
        self._adapter = adapter
        self._budget = budget

    def fit(self, task: Task) -> WarmArm:
        """Fit on the training log; the rows of the task are its users, whichever side they are."""
        adapter = named(self._adapter)
        if isinstance(adapter, AutoAdapter):
            adapter = AutoAdapter(
                budget=self._budget if task.budget is None else task.budget,
                metric=task.metric,
                n=task.n,
                shots=SHOTS if task.known else task.shots,
            )
        self._warm = WarmStart(
            task.new_model(),
            adapter,
            gate=self._adapter == "auto",
            rng=task.seed,
            num_threads=task.num_threads,
        )
        self._warm._limits = self._limits(task)
        self._warm.fit(task.source, task.train)
        self._rows = self._warm.ids("users").rows(task.source.users.ids)
        return self

    def scorer(self, source: NDArray[np.int64], history: sp.csr_matrix, shots: int) -> Scorer:
        """Fold people in around their own priors."""
        served = self._warm.served_
        threads = self._warm.num_threads
        known = np.where(source >= 0, self._rows[source], -1)
        rows = served.queries(served.mapped, known, history, threads)
        columns = served.catalog(served.other)
        return lambda block: rows[block] @ columns.T

    @property
    def decision(self) -> Decision | None:
        """Of the gate, where there is one."""
        return self._warm.report_.gate

    @property
    def tuned(self) -> Tuned:
        """What was tried, on anchors that it held out itself."""
        return Tuned.of(self._warm.space_, self._warm.trials_)

    def _limits(self, task: Task) -> Limits:
        own = task.trials if self._adapter == "auto" else task.most
        return Limits(own, task.budget)

    def settings(self) -> dict[str, Any]:
        """The report of the fit."""
        return self._warm.report_.to_json()
