"""Linear regression from whole source rows to whole target rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import scipy.linalg
import scipy.sparse as sp
from numpy.typing import NDArray

from coldstart.anchors import Anchors
from coldstart.arms.base import Task
from coldstart.arms.neighbours import unit_rows
from coldstart.heldout import Scorer
from coldstart.threads import one_blas_thread

__all__ = ["LinearRowsArm"]

Floats = NDArray[np.float32]

RIDGES = (1.0, 3.0, 10.0, 30.0, 100.0)
MOST_ANCHORS = 6000  # their products with each other are a dense matrix,
PEOPLE_AT_ONCE = 2000  # and so are those with the people who are scored at one time


class _Setting(NamedTuple):
    ridge: float
    unit_length: bool


class LinearRowsArm:
    """Ridge regression from source rows to target rows, in its dual form: a cross-domain EASE.

    With S (n, n_source_columns) and T (n, n_target_columns) the rows of the anchors, someone with
    the source row s gets ::

        scores = k(s, S) (k(S, S) + lambda v I)^-1 T,    k(a, b) = a'b + v

    where v is the mean squared length of the rows S: the intercept is a column like any other, as
    heavy as a row. Validation chooses lambda, and whether source rows are scaled to length 1. The
    arm does not see the shots, so it chooses once, at the fewest of them. Of more than 6,000
    anchors it uses a seeded sample.

    References
    ----------
    H. Steck (2019). Embarrassingly shallow autoencoders for sparse data.
    """

    name = "linear-rows"
    uses_source = True

    def fit(self, task: Task) -> LinearRowsArm:
        """Keep the anchors' rows, choose, and factorise their products."""
        self._anchors = _sampled(task)
        self._target = task.train.user_items[self._anchors.target]
        source = task.source.user_items
        self._rows = {False: source, True: unit_rows(source)}
        fewest = min(task.shots)
        chosen = replace(task, shots=(fewest,)).choose(
            (_Setting(*setting) for setting in product(RIDGES, self._rows)),
            lambda setting, people, _: self._regression(setting)(people),
        )
        self._chosen = chosen[fewest]
        self._predict = self._regression(self._chosen)
        return self

    def scorer(self, source: NDArray[np.int64], history: sp.csr_matrix, shots: int) -> Scorer:
        """Predict target rows from source rows, whatever has come back by now."""
        return self._predict(source)

    def settings(self) -> dict[str, Any]:
        """Ridge, length of source rows, and how many anchors were used."""
        return {**self._chosen._asdict(), "anchors": len(self._anchors)}

    def _regression(self, setting: _Setting) -> Callable[[NDArray[np.int64]], Scorer]:
        """Factorise ``k(S, S) + lambda v I``; gives the scores of people by their source rows."""
        rows = self._rows[setting.unit_length]
        anchors = rows[self._anchors.source]
        kernel = (anchors @ anchors.T).toarray()
        size = kernel.diagonal().mean()
        kernel += size
        kernel[np.diag_indices_from(kernel)] += setting.ridge * size
        with one_blas_thread():  # symmetric, and transposed in the layout of LAPACK: no copy
            factor = scipy.linalg.cho_factor(kernel.T, overwrite_a=True, check_finite=False)

        def scores(people: NDArray[np.int64]) -> Floats:
            predicted = np.empty((len(people), self._target.shape[1]), np.float32)
            for begin in range(0, len(people), PEOPLE_AT_ONCE):
                part = slice(begin, begin + PEOPLE_AT_ONCE)
                similar = (anchors @ rows[people[part]].T).toarray() + size  # (n, n_people)
                with one_blas_thread():
                    dual = scipy.linalg.cho_solve(factor, similar, check_finite=False)
                predicted[part] = np.ascontiguousarray(dual.T) @ self._target
            return predicted

        return lambda people: lambda block: scores(people[block])


def _sampled(task: Task) -> Anchors:
    anchors = task.anchors
    if len(anchors) <= MOST_ANCHORS:
        return anchors
    rng = np.random.default_rng(task.seed)
    return anchors.take(np.sort(rng.permutation(len(anchors))[:MOST_ANCHORS]))
