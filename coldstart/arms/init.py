"""What people try: preset the factors, then let implicit fit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import scipy.sparse as sp
from implicit.cpu.als import AlternatingLeastSquares
from numpy.typing import NDArray

from coldstart.adapters import AnchorContext, RidgeAdapter
from coldstart.arms.base import Task
from coldstart.heldout import Scorer
from coldstart.threads import one_blas_thread

__all__ = ["InitArm"]

Floats = NDArray[np.float32]

FEW = 3  # sweeps, beside the usual number
RIDGES = (1.0, 0.1, 10.0)  # multiples of the usual one


class InitArm:
    """Implicit's own ALS, whose user factors start at the mapped source rows.

    The people it serves take part in the fit with their history, so every call of `scorer` is a fit
    of its own; those whose history is in the training catalog already take part twice. Validation
    chooses sweeps and ridge once, at the most shots.

    Parameters
    ----------
    use_cg : bool, default True
        Implicit's default. Its exact solver never reads the user factors it starts from; conjugate
        gradients begin there, and forget.
    """

    name = "init"
    uses_source = True

    def __init__(self, use_cg: bool = True) -> None:
        self.use_cg = use_cg

    def fit(self, task: Task) -> InitArm:
        """Map every source row."""
        source = task.source.user_items
        rows = task.new_model().fit(source, show_progress=False).fold_in(source)
        context = AnchorContext(
            mean=task.target_rows.mean(axis=0, dtype=np.float64),
            other_factors=task.target_model.item_factors,
        )
        anchors = task.anchors
        adapter = RidgeAdapter().fit(
            rows[anchors.source], task.target_rows[anchors.target], context=context
        )
        self._mapped: Floats = adapter.predict(rows).mean.astype(np.float32)
        self._task = task
        usual = task.new_model()
        space = {
            "iterations": tuple(dict.fromkeys((usual.iterations, FEW))),
            "regularization": tuple(usual.regularization * by for by in RIDGES),
        }
        # every trial is a fit, and where nobody has interactions all are the same tie
        self.tuned = replace(task, shots=task.shots[-1:]).choose(space, self._scored)
        (self._chosen,) = self.tuned.values()
        return self

    def scorer(self, source: NDArray[np.int64], history: sp.csr_matrix, shots: int) -> Scorer:
        """Fit with the histories as further rows, and score these rows."""
        return self._scored(self._chosen, source, history)

    def settings(self) -> dict[str, Any]:
        """The settings of implicit's model."""
        return {"use_cg": self.use_cg, **self._parameters(), **self._chosen}

    def _scored(
        self, setting: dict[str, Any], source: NDArray[np.int64], history: sp.csr_matrix
    ) -> Scorer:
        train = self._task.train.user_items
        model = self._fitted(setting, sp.vstack([train, history], format="csr"), source)
        users = model.user_factors[train.shape[0] :]
        return lambda block: users[block] @ model.item_factors.T

    def _fitted(
        self, setting: dict[str, Any], user_items: sp.csr_matrix, source: NDArray[np.int64]
    ) -> AlternatingLeastSquares:
        users, items = self._start(user_items.shape, source)
        with one_blas_thread():  # implicit warns of BLAS threads on construction
            model = AlternatingLeastSquares(
                **{**self._parameters(), **setting},
                use_cg=self.use_cg,
                num_threads=self._task.num_threads,
            )
            model.user_factors, model.item_factors = users, items
            model.fit(user_items, show_progress=False)
        return model

    def _start(self, shape: tuple[int, int], source: NDArray[np.int64]) -> tuple[Floats, Floats]:
        """Implicit's random start, users drawn first, with mapped rows where there are any."""
        rng, width = np.random.default_rng(self._task.seed), self._task.factors
        users, items = (rng.random((n, width), dtype=np.float32) * np.float32(0.01) for n in shape)
        anchors = self._task.anchors
        users[anchors.target] = self._mapped[anchors.source]
        met = np.flatnonzero(source >= 0)
        users[len(users) - len(source) + met] = self._mapped[source[met]]
        return users, items

    def _parameters(self) -> dict[str, Any]:
        """Those of the task's own models."""
        names = "factors", "regularization", "alpha", "iterations"
        settings = self._task.new_model().get_params()
        return {name: settings[name] for name in names}
