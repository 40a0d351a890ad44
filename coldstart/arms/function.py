"""An arm of one's own, as a function."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray

from coldstart.heldout import Scorer

from .base import Task
from .tuned import Space

__all__ = ["FunctionArm", "arm"]

Answer = Callable[[NDArray[np.int64], sp.csr_matrix], ArrayLike]


class FunctionArm:
    """An arm that a function makes: ``function(task, **setting)`` learns, and returns a function of
    source rows (n,) and histories (n, n_columns) that returns scores (n, n_columns).

    The function is called once for each setting of `space` that is tried; without a space it is
    called once.
    """

    def __init__(
        self,
        function: Callable[..., Answer],
        *,
        name: str | None = None,
        space: Space | None = None,
        uses_source: bool = True,
    ) -> None:
        self.function = function
        self.name = name or getattr(function, "__name__", "own").replace("_", "-")
        self.space = space or {}
        self.uses_source = uses_source

    def fit(self, task: Task) -> FunctionArm:
        """Let the validation people choose a setting for each number of shots."""
        self._task = task
        self._answers: dict[str, Answer] = {}
        few = task if self.space else replace(task, shots=task.shots[:1])
        self.tuned = few.choose(self.space, self._scored)
        return self

    def scorer(self, source: NDArray[np.int64], history: sp.csr_matrix, shots: int) -> Scorer:
        """What the function says under the setting that was chosen."""
        return self._scored(self.tuned[shots] if self.space else {}, source, history)

    def settings(self) -> dict[str, Any]:
        """What was chosen for each number of shots."""
        return self.tuned.settings()

    def _scored(
        self, setting: dict[str, Any], source: NDArray[np.int64], history: sp.csr_matrix
    ) -> Scorer:
        key = json.dumps(setting, default=repr)
        if key not in self._answers:
            self._answers[key] = self.function(self._task, **setting)
        answer = self._answers[key]
        return lambda block: np.asarray(answer(source[block], history[block]), np.float32)


def arm(
    *, name: str | None = None, space: Space | None = None, uses_source: bool = True
) -> Callable[[Callable[..., Answer]], FunctionArm]:
    """Make an arm of the function below.

    Parameters
    ----------
    name : str, optional
        By default that of the function.
    space : dict of str to sequence, optional
        Knobs of the function and their values, the usual one first. They are tuned as those of
        every other arm: on the same validation people, with the same number of trials.
    uses_source : bool, default True
        Whether it sees the source; arms that do not are what the others are compared with.

    Examples
    --------
    >>> import numpy as np
    >>> from coldstart import evaluate
    >>> from coldstart.datasets import make_cross_domain
    >>> @arm(space={"power": [1.0, 0.5]}, uses_source=False)
    ... def damped(task, power):
    ...     popular = task.train.user_items.getnnz(axis=0).astype(float) ** power
    ...     return lambda source, history: np.tile(popular, (len(source), 1))
    >>> logs = make_cross_domain(200, 60, 50, rng=0)
    >>> results = evaluate(*logs, arms=["popularity", damped], shots=(0,), factors=4)
    >>> results.config["arms"], len(results.trials["damped"]["trials"])
    (['popularity', 'damped'], 2)
    """
    return lambda function: FunctionArm(function, name=name, space=space, uses_source=uses_source)
