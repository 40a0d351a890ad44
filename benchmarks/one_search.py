"""Warm starts with and without a gate that ask held-out people once."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from coldstart.arms import Task
from coldstart.decision import Decision
from coldstart.heldout import Scorer
from coldstart.tuning import Found
from coldstart.warmstart import WarmStart


class OneSearch(WarmStart):
    """A warm start that goes on from what held-out people chose for another one.

    Gated and not, a warm start with the same arguments and data has the same search: the first one
    to be fitted leaves it in `search`. Let it be the gated one: past its budget it would not look
    at other target models for the arm without a source.
    """

    def __init__(self, *args: Any, search: list[Found | None], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.search = search

    def _find(self, *args: Any) -> Found | None:
        if not self.search:
            self.search.append(super()._find(*args))
        return self.search[0]


class OneSearchArm:
    """`WarmStart` as an arm; those that share a `search` choose once."""

    uses_source = True

    def __init__(self, name: str, adapter: Any, gate: bool, search: list[Found | None]) -> None:
        self.name = name
        self._adapter, self._gate, self._search = adapter, gate, search

    def fit(self, task: Task) -> OneSearchArm:
        """Fit on the training log."""
        self._warm = OneSearch(
            task.new_model(),
            self._adapter,
            gate=self._gate,
            rng=task.seed,
            num_threads=task.num_threads,
            search=self._search,
        ).fit(task.source, task.train)
        self._rows = self._warm.ids("users").rows(task.source.users.ids)
        return self

    def scorer(self, source: NDArray[np.int64], history: sp.csr_matrix, shots: int) -> Scorer:
        """Fold people in around their own priors, or by what a closed gate serves."""
        served = self._warm.served_
        rows = served.queries(served.mapped, self._rows[source], history, self._warm.num_threads)
        columns = served.catalog(served.other)
        return lambda block: rows[block] @ columns.T

    def settings(self) -> dict[str, Any]:
        """The report of the fit."""
        return self._warm.report_.to_json()

    @property
    def gate(self) -> Decision | None:
        """What the gate decided, None where it had too few people to ask."""
        return self._warm.report_.gate
