"""How the interactions of a row speak of it, the other side held fixed: in its model's own loss.

A row x minimises ``loss(x) + pull(x)``. The pull is a prior and a ridge, and the loss is that of
the model that the columns come from: squared errors of all pairs for ALS, logistic ones of points
or of pairs for models trained by stochastic gradients.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.special import expit, logsumexp

from coldstart.errors import FitError
from coldstart.evidence import FAINT, foretold
from coldstart.prior import Prior
from coldstart.rows import gram_matrix, prior_parts, solve_rows
from coldstart.threads import run_blocks

__all__ = ["Contrast", "LogisticLoss", "RowLoss", "SquaredLoss"]

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

STEPS = 30  # of Newton's method, which takes three to eight
HALVES = 12  # of a step that leads uphill
NEAR = 1e-5  # a step that moves nothing by more, as a share of 1 + the largest entry, is the last
SLACK = 1e-12  # by which a value may rise, as rounding has it
ROWS_AT_ONCE = 64
INTERACTIONS_AT_ONCE = 2048  # whose contrasts are held at one time


class RowLoss(Protocol):
    """The loss of rows (q, f) with interactions, against columns that stand still."""

    @property
    def columns(self) -> Floats:
        """What a row is multiplied with (m, f)."""
        ...

    def solve(
        self,
        matrix: sp.csr_matrix,
        *,
        prior: Prior | None,
        regularization: float,
        num_threads: int = 0,
    ) -> Floats:
        """Rows (q, f) with interactions `matrix` (q, m) under a prior and a ridge: a row without
        any is its prior mean, and zero without a prior.
        """
        ...

    def foretold(
        self,
        matrix: sp.csr_matrix,
        *,
        prior: Prior | None,
        regularization: float,
        num_threads: int = 0,
    ) -> Doubles:
        """Log evidence (q,) of the interactions under what pulls the rows."""
        ...


@dataclass(frozen=True, eq=False)
class SquaredLoss:
    """That of implicit ALS: ``sum_i c_i (p_i - x'y_i)^2`` over all columns.

    Parameters
    ----------
    columns : array (m, d)
    alpha : float
    """

    columns: Floats
    alpha: float

    @cached_property
    def gram(self) -> Doubles:
        """``Y'Y`` (d, d)."""
        return gram_matrix(self.columns)

    def solve(self, matrix: sp.csr_matrix, **pull: Any) -> Floats:
        """Rows (q, d) by the one equation of ALS."""
        return solve_rows(matrix, self.columns, alpha=self.alpha, gram=self.gram, **pull)

    def foretold(self, matrix: sp.csr_matrix, **pull: Any) -> Doubles:
        """As `evidence.foretold`."""
        return foretold(matrix, self.columns, alpha=self.alpha, gram=self.gram, **pull)


@dataclass(frozen=True, eq=False)
class Contrast:
    """What interactions stand out against.

    Parameters
    ----------
    columns : array (s,)
        Numbers of the columns that stand for all without an interaction.
    weights : array (s,)
        How much each counts; they add up to 1.
    per_interaction : float
        Weight of all of them together for each interaction of a row.
    most : float
        Largest weight of all of them together, for one row.
    """

    columns: NDArray[np.int64]
    weights: Doubles
    per_interaction: float = 1.0
    most: float = np.inf

    def total(self, counts: NDArray[Any]) -> Doubles:
        """Weight (q,) of all columns together for rows with so many interactions."""
        return np.minimum(self.per_interaction * counts, self.most)


@dataclass(frozen=True, eq=False)
class LogisticLoss:
    r"""Of models that are trained by stochastic gradients, in expectation over what they sample.

    With scores :math:`s_i = x'y_i + o_i`, weights w of the interactions of the row, and the columns
    j of a contrast, their shares :math:`v_j` and the weight c of all of them, the loss is ::

        points   sum_i w_i log(1 + exp(-s_i)) + c sum_j v_j log(1 + exp(s_j))
        pairs    sum_i w_i sum_j v_j log(1 + exp(s_j - s_i))
        softmax  sum_i w_i log(1 + m sum_j v_j exp(1 + s_j - s_i))

    Points are what LMF and LightFM's logistic loss add up, pairs what BPR does. Softmax is an upper
    bound of the logarithm of how many columns come within 1 of the interaction or before it, which
    WARP weighs its pairs by. All are convex in x, and solved by Newton's method.

    Parameters
    ----------
    columns : array (m, f)
    offsets : array (m,)
        Added to the scores of columns with an interaction, for example their biases.
    kind : {"points", "pairs", "softmax"}
    contrast : Contrast
    against : array (m,), optional
        Added to the scores of columns as contrasts, where that is something else.
    weighted : bool
        Whether the value of an interaction is its weight, which is 1 otherwise.
    """

    columns: Floats
    offsets: Floats
    kind: str
    contrast: Contrast
    against: Floats | None = None
    weighted: bool = False

    def solve(
        self,
        matrix: sp.csr_matrix,
        *,
        prior: Prior | None,
        regularization: float,
        num_threads: int = 0,
    ) -> Floats:
        """Rows (q, f) that minimise ``loss + (R |x|^2 + (x - m)'L(x - m)) / 2``."""
        pull = _Pull.of(prior, *matrix.shape[:1], self.columns.shape[1], regularization)
        out = pull.still()

        def work(rows: NDArray[np.int64]) -> None:
            out[rows] = self._solved(matrix[rows], pull, rows)[0]

        _in_blocks(matrix, work, num_threads)
        if not np.isfinite(out).all():
            raise FitError("rows have no finite solution: raise the regularization")
        return out

    def foretold(
        self,
        matrix: sp.csr_matrix,
        *,
        prior: Prior | None,
        regularization: float,
        num_threads: int = 0,
    ) -> Doubles:
        """Log evidence (q,) by Laplace's method, the ridge being a part of the prior."""
        pull = _Pull.of(prior, *matrix.shape[:1], self.columns.shape[1], regularization)
        out = np.zeros(matrix.shape[0])

        def work(rows: NDArray[np.int64]) -> None:
            _, value, hessian = self._solved(matrix[rows], pull, rows)
            volume = np.linalg.slogdet(hessian)[1] - np.linalg.slogdet(pull.matrices(rows))[1]
            out[rows] = -value - volume / 2

        _in_blocks(matrix, work, num_threads)
        return out

    def _solved(
        self, matrix: sp.csr_matrix, pull: _Pull, rows: NDArray[np.int64]
    ) -> tuple[Doubles, Doubles, Doubles]:
        """Rows (b, f), what is minimised there (b,) and its second derivatives (b, f, f)."""
        precision, mean = pull.matrices(rows), pull.centres(rows)
        terms = self._terms(matrix)

        def whole(x: Doubles) -> tuple[Doubles, Doubles, Doubles]:
            value, slope, curve = terms(x)
            away = np.einsum("bij,bj->bi", precision, x - mean)
            return value + ((x - mean) * away).sum(axis=1) / 2, slope + away, curve + precision

        return _newton(whole, mean)

    def _terms(self, matrix: sp.csr_matrix) -> Terms:
        """The loss of rows as a function of them."""
        own = _Interactions.of(matrix, self.columns, self.offsets, self.weighted)
        there = self.contrast.columns
        y = self.columns[there].astype(np.float64)
        offsets = (self.offsets if self.against is None else self.against)[there]
        shares = np.tile(self.contrast.weights, (len(own.counts), 1))
        if self.kind == "points":
            shares *= self.contrast.total(own.counts)[:, None]
            return _Points(own, y, offsets, shares, self._squares).terms
        if self.kind == "softmax":
            shares *= len(self.columns) * np.e
        shares[matrix[:, there].toarray() != 0] = 0  # a row's own are no contrast to each other
        return _Pairs(own, y, offsets, shares, self._squares, self.kind == "softmax").terms

    @cached_property
    def _squares(self) -> Doubles:
        """Products (s, f * f) of the columns of the contrast with themselves."""
        y = self.columns[self.contrast.columns].astype(np.float64)
        return np.asarray((y[:, :, None] * y[:, None, :]).reshape(len(y), -1))


Terms = Callable[[Doubles], tuple[Doubles, Doubles, Doubles]]
"""Values (b,), slopes (b, f) and curvatures (b, f, f) of a loss at rows (b, f)."""


@dataclass(frozen=True, eq=False)
class _Interactions:
    """Those of b rows, each of which has some: e in all."""

    columns: Doubles  # (e, f)
    offsets: Doubles  # (e,)
    weights: Doubles  # (e,)
    begins: NDArray[np.int64]  # (b,)
    counts: NDArray[np.int64]  # (b,)

    @classmethod
    def of(cls, matrix: sp.csr_matrix, columns: Floats, offsets: Floats, weighted: bool) -> Any:
        weights = matrix.data if weighted else np.ones(matrix.nnz)
        parts = (columns[matrix.indices], offsets[matrix.indices], weights)
        doubles = [np.asarray(part, np.float64) for part in parts]
        return cls(*doubles, matrix.indptr[:-1], np.diff(matrix.indptr))

    def spread(self, rows: Doubles) -> Doubles:
        """For each interaction the entry of its row."""
        return np.repeat(rows, self.counts, axis=0)

    def summed(self, values: Doubles) -> Doubles:
        """For each row the sum over its interactions."""
        return np.asarray(np.add.reduceat(values, self.begins, axis=0))

    def scores(self, x: Doubles) -> Doubles:
        """Scores (e,) of the interactions."""
        return np.asarray(np.einsum("ef,ef->e", self.spread(x), self.columns) + self.offsets)

    def products(self, left: Doubles, right: Doubles) -> Doubles:
        """Sums (b, f, f) of outer products, made symmetric."""
        found = np.empty((len(self.counts), left.shape[1], left.shape[1]))
        for row, (begin, count) in enumerate(zip(self.begins, self.counts, strict=True)):
            some = slice(begin, begin + count)
            found[row] = left[some].T @ right[some]
        return (found + found.transpose(0, 2, 1)) / 2


@dataclass(frozen=True, eq=False)
class _Points:
    own: _Interactions
    y: Doubles
    offsets: Floats
    shares: Doubles
    squares: Doubles

    def terms(self, x: Doubles) -> tuple[Doubles, Doubles, Doubles]:
        own = self.own
        s, t = own.scores(x), x @ self.y.T + self.offsets
        miss, false = own.weights * expit(-s), self.shares * expit(t)
        value = own.summed(own.weights * np.logaddexp(0, -s))
        value = value + (self.shares * np.logaddexp(0, t)).sum(axis=1)
        slope = false @ self.y - own.summed(miss[:, None] * own.columns)
        curve = own.products(own.columns, (miss * expit(s))[:, None] * own.columns)
        curve += ((false * expit(-t)) @ self.squares).reshape(curve.shape)
        return value, slope, curve


@dataclass(frozen=True, eq=False)
class _Pairs:
    own: _Interactions
    y: Doubles
    offsets: Floats
    shares: Doubles
    squares: Doubles
    softmax: bool

    def terms(self, x: Doubles) -> tuple[Doubles, Doubles, Doubles]:
        own, w = self.own, self.own.weights[:, None]
        ahead = own.spread(x @ self.y.T + self.offsets) - own.scores(x)[:, None]
        shares = own.spread(self.shares)
        if self.softmax:
            with np.errstate(divide="ignore"):
                logs = np.log(shares) + ahead
            value = np.logaddexp(0, logsumexp(logs, axis=1))
            pushed = w * np.exp(logs - value[:, None])
            bent = pushed
        else:
            value = (shares * np.logaddexp(0, ahead)).sum(axis=1)
            pushed = w * shares * expit(ahead)
            bent = pushed * expit(-ahead)
        total, toward = pushed.sum(axis=1, keepdims=True), bent @ self.y
        slope = own.summed(pushed) @ self.y - own.summed(total * own.columns)
        stiff = bent.sum(axis=1, keepdims=True)
        curve = own.products(own.columns, stiff * own.columns - 2 * toward)
        curve += (own.summed(bent) @ self.squares).reshape(curve.shape)
        if self.softmax:
            mean = toward - total * own.columns
            curve -= own.products(mean, mean / w)
        return own.summed(own.weights * value), slope, curve


@dataclass(frozen=True, eq=False)
class _Pull:
    """What pulls n rows: a prior and a ridge."""

    prior: Prior
    ridge: float
    n: int

    @classmethod
    def of(cls, prior: Prior | None, n: int, f: int, ridge: float) -> _Pull:
        prior_parts(prior, n, f)  # or an error
        return cls(Prior(np.zeros((1, f)), 0.0) if prior is None else prior, ridge, n)

    def _taken(self, rows: NDArray[np.int64]) -> Prior:
        return self.prior.take(rows if len(self.prior) == self.n else np.zeros_like(rows))

    def matrices(self, rows: NDArray[np.int64]) -> Doubles:
        """Precisions (b, f, f), the ridge among them."""
        ridge = max(self.ridge, FAINT) * np.eye(self.prior.width)
        return np.asarray(self._taken(rows).matrices() + ridge)

    def centres(self, rows: NDArray[np.int64]) -> Doubles:
        """Where (b, f) prior and ridge together pull to."""
        some = self._taken(rows)
        pull = np.einsum("bij,bj->bi", some.matrices(), some.mean.astype(np.float64))
        return np.asarray(np.linalg.solve(self.matrices(rows), pull[:, :, None])[:, :, 0])

    def still(self) -> Floats:
        """Rows (n, f) without interactions: the mean in every dimension the prior knows of."""
        row, spread, shared = self.prior.parts()
        held = row[:, None] * (spread + (shared.diagonal() if shared.size else 0)) > 0
        means = np.where(held, self.prior.mean, 0).astype(np.float32)
        return np.broadcast_to(means, (self.n, means.shape[1])).copy()


def _newton(terms: Terms, start: Doubles) -> tuple[Doubles, Doubles, Doubles]:
    """Where convex functions of rows (b, f) are least, and value and curvature there."""
    x, scale = start, np.ones(len(start))
    value, slope, curve = terms(x)
    step = _step(curve, slope)
    for _ in range(STEPS + HALVES):
        trial = x - scale[:, None] * step
        there = terms(trial)
        better = there[0] <= value + SLACK * np.abs(value)
        x = np.where(better[:, None], trial, x)
        moved = np.abs(scale[:, None] * step).max(axis=1)
        value, slope, curve = (
            np.where(better.reshape(-1, *[1] * (new.ndim - 1)), new, old)
            for new, old in zip(there, (value, slope, curve), strict=True)
        )
        if (moved <= NEAR * (1 + np.abs(x).max(axis=1))).all():
            break
        scale = np.where(better, 1.0, scale / 2)
        step = _step(curve, slope)
    return x, value, curve


def _step(curve: Doubles, slope: Doubles) -> Doubles:
    return np.asarray(np.linalg.solve(curve, slope[:, :, None])[:, :, 0])


def _in_blocks(
    matrix: sp.csr_matrix, work: Callable[[NDArray[np.int64]], None], num_threads: int
) -> None:
    """Call `work` with numbers of rows that have interactions, not too many of these at once."""
    sizes = np.diff(matrix.indptr)
    rows = np.flatnonzero(sizes)
    ends = np.cumsum(np.maximum(sizes[rows], INTERACTIONS_AT_ONCE // ROWS_AT_ONCE))
    parts = np.split(rows, np.flatnonzero(np.diff(ends // INTERACTIONS_AT_ONCE)) + 1)
    run_blocks(lambda begin, _: work(parts[begin]), len(parts), block=1, num_threads=num_threads)
