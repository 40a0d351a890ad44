"""How the interactions of a row speak of it, the other side held fixed: in its model's own loss.

A row x minimises ``loss(x) + pull(x)``. The pull is a prior and a ridge, and the loss is that of
the model that the columns come from: squared errors of all pairs for ALS, logistic ones of points
or of pairs for models trained by stochastic gradients.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, Protocol

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from coldstart.errors import FitError
from coldstart.evidence import FAINT, foretold
from coldstart.prior import Prior
from coldstart.rows import gram_matrix, prior_parts, solve_rows
from coldstart.threads import run_blocks

__all__ = ["Contrast", "LogisticLoss", "RowLoss", "SquaredLoss"]

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

STEPS = 200  # of Newton's method, which takes three to eight unless scores are huge
LEAST_GAIN = 1e-4  # of a step, as a share of what the slope promised; others are halved
NEAR = 1e-4  # a step that moves nothing by more, as a share of 1 + the largest entry, is the last
TINY = 1e-300  # in place of a sum of nothing
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

    def stiffness(
        self, rows: Floats, matrix: sp.csr_matrix, *, prior: Prior | None, regularization: float
    ) -> tuple[Doubles, Doubles]:
        """Second derivatives of what is minimised at `rows` (q, f): along each of their entries
        (q, f), and the sum (f, f) of all matrices.
        """
        ...

    def afresh(self, known: int) -> RowLoss:
        """The loss of further interactions of rows, around a prior that has all pairs with the
        first `known` columns as they were before.
        """
        ...


@dataclass(frozen=True, eq=False)
class SquaredLoss:
    """That of implicit ALS: ``sum_i c_i (p_i - x'y_i)^2`` over all columns.

    Parameters
    ----------
    columns : array (m, d)
    alpha : float
    counted : (int, int or None)
        Begin and end of the columns that count as zeros where they have no interaction. Columns
        before the first are zeros in the prior: an interaction with one comes on top of its zero.
    """

    columns: Floats
    alpha: float
    counted: tuple[int, int | None] = (0, None)

    @cached_property
    def gram(self) -> Doubles:
        """``Y'Y`` (d, d) of the columns that are counted."""
        return gram_matrix(self.columns[slice(*self.counted)])

    def solve(self, matrix: sp.csr_matrix, *, prior: Prior | None, **pull: Any) -> Floats:
        """Rows (q, d) by the one equation of ALS."""
        if self.counted[0] and prior is not None:
            matrix, prior = self._on_top(matrix, prior)
        settings = {"alpha": self.alpha, "gram": self.gram, "prior": prior, **pull}
        return solve_rows(matrix, self.columns, **settings)

    def _on_top(self, matrix: sp.csr_matrix, prior: Prior) -> tuple[sp.csr_matrix, Prior]:
        """What the equation needs to read ``c (p - x'y)^2`` of pairs whose zero is in the prior.

        It takes a zero from each of its pairs. Taken from a prior that keeps the zero as it was,
        while y moves, that has no minimum: so one is added, and what it adds to the right side is
        taken from the prior's.
        """
        matrix = matrix.copy()
        old = matrix.indices < self.counted[0]
        liked = matrix.copy()
        liked.data = (old & (matrix.data > 0)).astype(np.float32)
        matrix.data = np.where(old, matrix.data + np.sign(matrix.data) / self.alpha, matrix.data)
        matrix.data = matrix.data.astype(np.float32)
        pulled = np.asarray(liked @ self.columns.astype(np.float64))
        return matrix, prior.pulled_by(-pulled)

    def foretold(self, matrix: sp.csr_matrix, **pull: Any) -> Doubles:
        """As `evidence.foretold`."""
        return foretold(matrix, self.columns, alpha=self.alpha, gram=self.gram, **pull)

    def stiffness(
        self, rows: Floats, matrix: sp.csr_matrix, *, prior: Prior | None, regularization: float
    ) -> tuple[Doubles, Doubles]:
        """Of the row equation: the diagonals (q, d) and the sum (d, d) of its matrices."""
        pull = _Pull.of(prior, len(rows), rows.shape[1], regularization)
        excess = abs(matrix * np.float32(self.alpha))
        excess.data -= excess.indices >= self.counted[0]
        along = np.asarray(excess @ self.columns**2 + self.gram.diagonal() + pull.diagonals())
        met = np.bincount(excess.indices, excess.data, minlength=len(self.columns))
        columns = self.columns.astype(np.float64)
        total = (columns * met[:, None]).T @ columns + len(rows) * self.gram
        return along, total + pull.total()

    def afresh(self, known: int) -> SquaredLoss:
        """With the zeros of the first `known` columns in the prior."""
        return replace(self, counted=(known, self.counted[1]))


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
    size : int
        How many columns they stand for.
    """

    columns: NDArray[np.int64]
    weights: Doubles
    per_interaction: float = 1.0
    most: float = np.inf
    size: int = 1

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
        softmax  sum_i w_i log(1 + size sum_j v_j exp(1 + s_j - s_i))

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
        pull = _Pull.of(prior, matrix.shape[0], self.columns.shape[1], regularization)
        out = pull.still()

        def work(rows: NDArray[np.int64]) -> None:
            out[rows] = self._solved(matrix[rows], pull, rows)[0]

        with suppress(np.linalg.LinAlgError), np.errstate(over="ignore", invalid="ignore"):
            _in_blocks(matrix, work, num_threads)
            if np.isfinite(out).all():
                return out
        raise FitError("rows have no finite solution: raise the regularization")

    def foretold(
        self,
        matrix: sp.csr_matrix,
        *,
        prior: Prior | None,
        regularization: float,
        num_threads: int = 0,
    ) -> Doubles:
        """Log evidence (q,) by Laplace's method, the ridge being a part of the prior."""
        pull = _Pull.of(prior, matrix.shape[0], self.columns.shape[1], regularization)
        out = np.zeros(matrix.shape[0])

        def work(rows: NDArray[np.int64]) -> None:
            _, value, hessian = self._solved(matrix[rows], pull, rows)
            volume = np.linalg.slogdet(hessian)[1] - np.linalg.slogdet(pull.matrices(rows))[1]
            out[rows] = -value - volume / 2

        _in_blocks(matrix, work, num_threads)
        return out

    def stiffness(
        self, rows: Floats, matrix: sp.csr_matrix, *, prior: Prior | None, regularization: float
    ) -> tuple[Doubles, Doubles]:
        """The diagonals (q, f) and the sum (f, f) of the second derivatives at `rows` (q, f)."""
        pull = _Pull.of(prior, len(rows), rows.shape[1], regularization)
        along, totals = pull.diagonals(), {-1: pull.total()}

        def work(some: NDArray[np.int64]) -> None:
            _, _, curve = self._terms(matrix[some])(rows[some].astype(np.float64))
            along[some] += np.einsum("bff->bf", curve)
            totals[int(some[0])] = curve.sum(axis=0)

        _in_blocks(matrix, work, 0)
        return along, np.sum([totals[block] for block in sorted(totals)], axis=0)

    def afresh(self, known: int) -> LogisticLoss:
        """The same: its contrasts come with interactions."""
        return self

    def _solved(self, matrix: sp.csr_matrix, pull: _Pull, rows: NDArray[np.int64]) -> Values:
        """Rows (b, f), what is minimised there (b,) and its second derivatives (b, f, f)."""
        precision, mean = pull.matrices(rows), pull.centres(rows)
        terms = self._terms(matrix)

        def whole(x: Doubles) -> Values:
            value, slope, curve = terms(x)
            away = np.einsum("bij,bj->bi", precision, x - mean)
            return value + ((x - mean) * away).sum(axis=1) / 2, slope + away, curve + precision

        return _newton(whole, mean)

    def _terms(self, matrix: sp.csr_matrix) -> Terms:
        """The loss of rows as a function of them."""
        own = _Interactions.of(matrix, self.columns, self.offsets, self.weighted)
        weights = np.tile(self.contrast.weights, (len(own.counts), 1))
        if self.kind == "points":
            weights *= self.contrast.total(own.counts)[:, None]
        else:  # a row's own are no contrast to each other
            weights[matrix[:, self.contrast.columns].toarray() != 0] = 0
        if self.kind == "softmax":
            weights *= self.contrast.size * np.e
        y, offsets, squares = self._against
        return partial(_KINDS[self.kind], own, _Against(y, offsets, weights, squares))

    @cached_property
    def _against(self) -> tuple[Doubles, Doubles, Doubles]:
        """Columns (s, f) of the contrast, their offsets (s,) and squares (s, f * f)."""
        there = self.contrast.columns
        y = self.columns[there].astype(np.float64)
        offsets = (self.offsets if self.against is None else self.against)[there]
        squares = (y[:, :, None] * y[:, None, :]).reshape(len(y), -1)
        return y, offsets.astype(np.float64), squares


Values = tuple[Doubles, Doubles, Doubles]
"""Values (b,), slopes (b, f) and curvatures (b, f, f) of a loss."""

Terms = Callable[[Doubles], Values]
"""Those of a loss at rows (b, f)."""


@dataclass(frozen=True, eq=False)
class _Interactions:
    """Those of b rows, each of which has some: e in all."""

    columns: Doubles  # (e, f)
    offsets: Doubles  # (e,)
    weights: Doubles  # (e,)
    begins: NDArray[Any]  # (b,)
    counts: NDArray[Any]  # (b,)

    @classmethod
    def of(
        cls, matrix: sp.csr_matrix, columns: Floats, offsets: Floats, weighted: bool
    ) -> _Interactions:
        return cls(
            columns[matrix.indices].astype(np.float64),
            offsets[matrix.indices].astype(np.float64),
            matrix.data.astype(np.float64) if weighted else np.ones(matrix.nnz),
            matrix.indptr[:-1],
            np.diff(matrix.indptr),
        )

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
class _Against:
    """The contrast of b rows: s columns and their weights for each row."""

    columns: Doubles  # (s, f)
    offsets: Doubles  # (s,)
    weights: Doubles  # (b, s)
    squares: Doubles  # (s, f * f)

    def scores(self, x: Doubles) -> Doubles:
        """Scores (b, s)."""
        return np.asarray(x @ self.columns.T + self.offsets)

    def products(self, weights: Doubles) -> Doubles:
        """Sums (b, f, f) of the squares of the columns, weighted (b, s)."""
        f = self.columns.shape[1]
        return np.asarray((weights @ self.squares).reshape(-1, f, f))


def _points(own: _Interactions, other: _Against, x: Doubles) -> Values:
    missed, odds, sure = _softplus(-own.scores(x))
    false, pushed, even = _softplus(other.scores(x))
    pulled = own.weights * odds
    value = own.summed(own.weights * missed) + (other.weights * false).sum(axis=1)
    pushed = other.weights * pushed
    slope = pushed @ other.columns - own.summed(pulled[:, None] * own.columns)
    curve = own.products(own.columns, (pulled * sure)[:, None] * own.columns)
    return value, slope, curve + other.products(pushed * even)


def _pairs(own: _Interactions, other: _Against, x: Doubles) -> Values:
    ahead = own.spread(other.scores(x)) - own.scores(x)[:, None]
    value, pushed, even = _softplus(ahead)
    weights = own.spread(other.weights)
    weights *= own.weights[:, None]
    pushed *= weights
    bent = even
    bent *= pushed
    rest = pushed.sum(axis=1, keepdims=True)
    slope = own.summed(pushed) @ other.columns - own.summed(rest * own.columns)
    stiff = bent.sum(axis=1, keepdims=True)
    curve = own.products(own.columns, stiff * own.columns - 2 * (bent @ other.columns))
    value = own.summed(np.einsum("es,es->e", weights, value))
    return value, slope, curve + other.products(own.summed(bent))


def _softmax(own: _Interactions, other: _Against, x: Doubles) -> Values:
    """Every interaction of a row meets the same mean of its contrast, of columns by the exponential
    of their scores: no pair has to be looked at.
    """
    scores = other.scores(x)
    top = scores.max(axis=1, keepdims=True)
    shares = other.weights * np.exp(scores - top)
    total = np.maximum(shares.sum(axis=1, keepdims=True), TINY)
    shares /= total
    mean = shares @ other.columns
    ahead = own.spread((top + np.log(total))[:, 0]) - own.scores(x)
    value, pushed, even = _softplus(ahead)
    pushed *= own.weights
    away = own.spread(mean) - own.columns
    curve = own.products(away, (pushed * even)[:, None] * away)
    around = other.products(shares) - mean[:, :, None] * mean[:, None, :]
    curve += own.summed(pushed)[:, None, None] * around
    return own.summed(own.weights * value), own.summed(pushed[:, None] * away), curve


_KINDS = {"points": _points, "pairs": _pairs, "softmax": _softmax}


def _softplus(a: Doubles) -> tuple[Doubles, Doubles, Doubles]:
    """``log(1 + exp(a))``, its derivative and 1 less that."""
    small = np.exp(-np.abs(a))
    one = 1 / (1 + small)
    other = small * one
    ahead = a > 0
    value = np.maximum(a, 0) + np.log(1 + small)
    return value, np.where(ahead, one, other), np.where(ahead, other, one)


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

    def diagonals(self) -> Doubles:
        """Those (n, f) of the precisions, the ridge among them."""
        row, spread, shared = self.prior.parts()
        along = row[:, None] * (spread + (shared.diagonal() if shared.size else 0))
        return np.broadcast_to(along + self.ridge, (self.n, self.prior.width)).astype(np.float64)

    def total(self) -> Doubles:
        """The sum (f, f) of the precisions of all rows, the ridge among them."""
        row, spread, shared = self.prior.parts()
        row = np.broadcast_to(row, self.n).astype(np.float64)
        along = (row[:, None] * np.broadcast_to(spread, (self.n, self.prior.width))).sum(axis=0)
        total = np.diag(along + self.n * self.ridge)
        return total + row.sum() * shared if shared.size else total

    def still(self) -> Floats:
        """Rows (n, f) without interactions: the mean in every dimension the prior knows of."""
        row, spread, shared = self.prior.parts()
        held = row[:, None] * (spread + (shared.diagonal() if shared.size else 0)) > 0
        means = np.where(held, self.prior.mean, 0).astype(np.float32)
        return np.broadcast_to(means, (self.n, means.shape[1])).copy()


def _newton(terms: Terms, start: Doubles) -> Values:
    """Where convex functions of rows (b, f) are least, and value and curvature there."""
    x, scale = start, np.ones((len(start), 1))
    value, slope, curve = terms(x)
    for _ in range(STEPS):
        step = _step(curve, slope)
        if (np.abs(step).max(axis=1) <= NEAR * (1 + np.abs(x).max(axis=1))).all():
            return x - step, value, curve  # what is left is as small as the square of the step
        trial = x - scale * step
        there = terms(trial)
        gained = LEAST_GAIN * scale[:, 0] * np.einsum("bf,bf->b", step, slope)
        better = there[0] <= value - gained + SLACK * np.abs(value)
        x = np.where(better[:, None], trial, x)
        scale = np.where(better[:, None], np.minimum(2 * scale, 1.0), scale / 2)
        value = np.where(better, there[0], value)
        slope = np.where(better[:, None], there[1], slope)
        curve = np.where(better[:, None, None], there[2], curve)
    return x, value, curve


def _step(curve: Doubles, slope: Doubles) -> Doubles:
    return np.asarray(np.linalg.solve(curve, slope[:, :, None])[:, :, 0])


def _in_blocks(
    matrix: sp.csr_matrix, work: Callable[[NDArray[np.int64]], None], num_threads: int
) -> None:
    """Call `work` with numbers of rows that have interactions, not too many of these at once."""
    sizes = np.diff(matrix.indptr)
    rows = np.flatnonzero(sizes)
    if not len(rows):
        return
    ends = np.cumsum(np.maximum(sizes[rows], INTERACTIONS_AT_ONCE // ROWS_AT_ONCE))
    parts = np.split(rows, np.flatnonzero(np.diff(ends // INTERACTIONS_AT_ONCE)) + 1)
    run_blocks(lambda begin, _: work(parts[begin]), len(parts), block=1, num_threads=num_threads)
