"""Linear regression from whole source rows to whole target rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.linalg
import scipy.sparse as sp
from numpy.typing import NDArray

from coldstart.anchors import Anchors
from coldstart.arms.base import Task, rows_of
from coldstart.arms.neighbours import unit_rows
from coldstart.heldout import Scorer
from coldstart.threads import one_blas_thread

__all__ = ["LinearRowsArm"]

Floats = NDArray[np.float32]

RIDGES = (6.0, 2.0, 20.0, 60.0)
MOST_ANCHORS = 6000  # their products with each other are a dense matrix,
PEOPLE_AT_ONCE = 2000  # and so are those with the people who are scored at one time


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
        source = task.source.user_items
        target = task.train.user_items[self._anchors.target]
        kernels = {
            "raw": _Kernel.of(source, self._anchors.source),
            "unit length": _Kernel.of(unit_rows(source), self._anchors.source),
        }
        # it does not see the shots, so it chooses once, at the fewest
        self.tuned = replace(task, shots=task.shots[:1]).choose(
            {"source_rows": list(kernels), "ridge": RIDGES},
            lambda setting, people, _: _fitted(kernels, setting, target).scorer(people),
        )
        (self._chosen,) = self.tuned.values()
        self._regression = _fitted(kernels, self._chosen, target)
        return self

    def scorer(self, source: NDArray[np.int64], history: sp.csr_matrix, shots: int) -> Scorer:
        """Predict target rows from source rows, whatever has come back by now."""
        return self._regression.scorer(source)

    def settings(self) -> dict[str, Any]:
        """Length of source rows, ridge, and how many anchors were used."""
        return {**self._chosen, "anchors": len(self._anchors)}


@dataclass(frozen=True, eq=False)
class _Kernel:
    """Source rows `rows`, those of the anchors S, ``products`` = k(S, S), and v."""

    rows: sp.csr_matrix
    anchors: sp.csr_matrix
    products: Floats
    size: np.float32

    @classmethod
    def of(cls, rows: sp.csr_matrix, anchors: NDArray[np.int64]) -> _Kernel:
        s = rows[anchors]
        products = (s @ s.T).toarray()
        size = products.diagonal().mean()
        return cls(rows, s, products + size, size)

    def between(self, people: NDArray[np.int64]) -> Floats:
        """``k(S, people)``, (n_anchors, n_people)."""
        similar: Floats = (self.anchors @ rows_of(self.rows, people).T).toarray() + self.size
        return similar

    def ridge(self, ridge: float, target: sp.csr_matrix) -> _Regression:
        """Factorise ``k(S, S) + lambda v I``."""
        shifted = self.products.copy()
        shifted[np.diag_indices_from(shifted)] += ridge * self.size
        with one_blas_thread():  # symmetric, and transposed in the layout of LAPACK: no copy
            factor = scipy.linalg.cho_factor(shifted.T, overwrite_a=True, check_finite=False)
        return _Regression(self, factor, target)


@dataclass(frozen=True, eq=False)
class _Regression:
    """A kernel, the Cholesky factor of its products with the ridge, and the anchors' targets."""

    kernel: _Kernel
    factor: tuple[Floats, bool]
    target: sp.csr_matrix

    def scorer(self, people: NDArray[np.int64]) -> Scorer:
        """Predicted target rows."""
        return lambda block: self.predict(people[block])

    def predict(self, people: NDArray[np.int64]) -> Floats:
        """Target rows (n_people, n_target_columns) of people by their source row numbers."""
        predicted = np.empty((len(people), self.target.shape[1]), np.float32)
        for begin in range(0, len(people), PEOPLE_AT_ONCE):
            part = slice(begin, begin + PEOPLE_AT_ONCE)
            similar = self.kernel.between(people[part])
            with one_blas_thread():
                dual = scipy.linalg.cho_solve(self.factor, similar, check_finite=False)
            predicted[part] = np.ascontiguousarray(dual.T) @ self.target
        return predicted


def _fitted(
    kernels: dict[str, _Kernel], setting: dict[str, Any], target: sp.csr_matrix
) -> _Regression:
    return kernels[setting["source_rows"]].ridge(setting["ridge"], target)


def _sampled(task: Task) -> Anchors:
    anchors = task.anchors
    if len(anchors) <= MOST_ANCHORS:
        return anchors
    rng = np.random.default_rng(task.seed)
    return anchors.take(np.sort(rng.permutation(len(anchors))[:MOST_ANCHORS]))
