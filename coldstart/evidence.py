"""How well a prior foretold what rows then did, and how far to trust it row by row."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from coldstart.equations import STACK, Equations, frozen, numbers
from coldstart.errors import FitError
from coldstart.prior import Prior
from coldstart.rows import gram_matrix, prior_parts

__all__ = ["SoftGate", "fit_soft", "foretold", "log_evidence", "mixed"]

Doubles = NDArray[np.float64]
Rows = NDArray[np.integer[Any]]

SLOPES = (0.0, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)  # t; 1 is Bayes' rule
LOGITS = tuple(sorted(np.linspace(-8.0, 8.0, 33).tolist(), key=abs))  # of pi, the mildest first
FAINT = 1e-6  # the least ridge, so that every prior has an evidence, if a poor one
SINGULAR = 1e-10  # eigenvalues below this share of a shared matrix's largest are zero


def log_evidence(
    matrix: sp.csr_matrix,
    other: NDArray[np.float32],
    *,
    alpha: float,
    regularization: float,
    prior: Prior,
    gram: Doubles | None = None,
    num_threads: int = 0,
) -> Doubles:
    r"""Log evidence of each row's interactions under its prior, (n,).

    With :math:`A = Y'Y + \sum_{i \in S} (c_i - 1) y_i y_i' + R I + L` and
    :math:`b = \sum_{i \in S} c_i y_i + L m`, the matrix and the right side of the row equation,

    .. math:: \log e(m, L) = \tfrac12 \log|L| - \tfrac12 \log|A|
              + \tfrac12 b'A^{-1}b - \tfrac12 m'Lm

    It is the logarithm of :math:`\int \exp(-\tfrac12 \mathrm{loss}(x)) \, N(x; m, L^{-1}) \, dx`,
    where the loss is that of implicit ALS with its ridge :math:`R |x|^2`, less what does not depend
    on x: evidences of the same row under two priors can be compared. It is evaluated around m, with
    :math:`H = A - L` and :math:`r = \sum c_i y_i - H m`, as

    .. math:: \tfrac12 \log|L| - \tfrac12 \log|A| + \tfrac12 r'A^{-1}r
              + \tfrac12 m'(\textstyle\sum c_i y_i + r)

    which loses no digits however firm the prior is.

    Where L says nothing of a direction (a zero precision), the ridge takes its place there as a
    prior around zero: R stands for the eigenvalue of L that is zero. A prior without any precision
    has the evidence of :math:`N(0, R^{-1} I)`.

    Parameters
    ----------
    matrix : csr_matrix (n, m)
        Observed pairs have confidence ``alpha * value``, unobserved pairs 1.
    other : array (m, d)
        Factors of the other side.
    alpha : float
    regularization : float
        R, the ridge around zero.
    prior : Prior of n rows (or of one row, for everybody)
    gram : array (d, d), optional
        ``other' other``, where the caller has it already.
    num_threads : int, default 0

    Returns
    -------
    float64 array (n,)
        0 for a row without interactions, of which nothing was foretold.

    Raises
    ------
    ValueError
        When shapes do not fit, or neither the prior nor the ridge holds some direction of a row.
    FitError
        When the matrix of a row is not positive definite.

    References
    ----------
    D. J. C. MacKay (1992). Bayesian interpolation.

    Examples
    --------
    >>> matrix = sp.csr_matrix(np.array([[2.0], [0.0]]))
    >>> one = Prior(np.ones((2, 1)), 1.0)  # A = 1 + (2 - 1) + 1 = 3, b = 2 + 1
    >>> log_evidence(matrix, np.ones((1, 1)), alpha=1, regularization=0, prior=one).round(4)
    array([0.4507, 0.    ])
    """
    (n, m), d = matrix.shape, other.shape[1]
    if m != len(other):
        raise ValueError(f"the matrix has {m} columns but the other side has {len(other)} rows")
    parts = prior_parts(prior, n, d)
    values, factors = (np.ascontiguousarray(a, np.float32) for a in (matrix.data, other))
    gram = (gram_matrix(factors) if gram is None else gram) + regularization * np.eye(d)
    arrays = *map(frozen, (matrix.indptr, matrix.indices, values)), np.float32(alpha), factors
    equations = Equations(arrays, gram, prior_parts(None, n, d), num_threads)
    liked = sp.csr_matrix(
        (np.maximum(np.float32(alpha) * values, 0), matrix.indices, matrix.indptr), (n, m)
    )
    volumes = np.broadcast_to(_log_determinants(parts, regularization), n)
    found = np.zeros(n)

    def work(which: Rows) -> None:
        likelihood = equations.matrices(which)  # H, (b, d, d)
        side = liked[which].astype(np.float64) @ factors.astype(np.float64)
        believed = prior.take(which if len(prior) == n else np.zeros_like(which))
        found[which] = volumes[which] / 2 + _fit(likelihood, side, believed)

    rows = numbers(equations.counts > 0)
    if np.isneginf(volumes[rows]).any():
        raise ValueError(
            "a prior with zero precisions has no evidence without a ridge: "
            "raise the regularization, or give every row a precision"
        )
    try:
        equations.in_blocks(rows, work, block=STACK)
    except np.linalg.LinAlgError as error:
        raise FitError(
            "rows have no evidence, their matrices are not positive definite: "
            "raise the regularization, alpha or the precision of the prior"
        ) from error
    return found


def foretold(
    matrix: sp.csr_matrix,
    other: NDArray[np.float32],
    *,
    alpha: float,
    regularization: float,
    prior: Prior | None,
    gram: Doubles | None = None,
    num_threads: int = 0,
) -> Doubles:
    r"""Log evidence (n,) of each row's interactions under all that pulls the row.

    `log_evidence` counts the ridge R to what was observed, so rows under different ridges cannot be
    compared. Here it is a part of the prior: the row is pulled by

    .. math:: L' = L + R I, \quad m' = L'^{-1} L m

    and its evidence is :math:`\log e(m', L')` with A and b as they are. That is `log_evidence` less
    :math:`\log \int \exp(-\tfrac12 R |x|^2) \, N(x; m, L^{-1}) \, dx`, which is the evidence of
    nothing observed.

    Parameters are those of `log_evidence`; no `prior` is the ridge alone. Without any ridge the
    smallest stands in for it, and directions of which nothing is said are foretold poorly.
    """
    d, rows = other.shape[1], np.flatnonzero(np.diff(matrix.indptr) > 0)
    prior = Prior(np.zeros((1, d)), 0.0) if prior is None else prior
    if len(prior) == matrix.shape[0]:
        prior = prior.take(rows)
    pulled: dict[str, Any] = {
        "prior": prior,
        "regularization": max(regularization, FAINT),
        "num_threads": num_threads,
    }
    nothing = sp.csr_matrix(np.ones((len(prior), 1), np.float32))  # of a column that is zero
    found = np.zeros(matrix.shape[0])
    found[rows] = log_evidence(matrix[rows], other, alpha=alpha, gram=gram, **pulled)
    found[rows] -= log_evidence(
        nothing, np.zeros((1, d), np.float32), alpha=1.0, gram=np.zeros((d, d)), **pulled
    )
    return found


def mixed(transfer: ArrayLike, null: ArrayLike, weight: ArrayLike) -> NDArray[np.float32]:
    r"""The rows (n, d) of means ``w x_1 + (1 - w) x_0``, from rows solved under either prior.

    Where w is the probability of the first prior after the interactions, which is what a weight of
    `SoftGate` is at :math:`t = 1`, that is the posterior mean under the mixture
    :math:`\pi N(m_1, L_1^{-1}) + (1 - \pi) N(m_0, L_0^{-1})`.
    """
    w = np.asarray(weight, np.float64)[:, None]
    return np.asarray(w * np.asarray(transfer) + (1 - w) * np.asarray(null), np.float32)


def _fit(likelihood: Doubles, side: Doubles, prior: Prior) -> Doubles:
    """The evidence without log|L|, (b,): `likelihood` is H (b, d, d), `side` sum c y (b, d)."""
    mean = prior.mean.astype(np.float64)
    root = np.linalg.cholesky(likelihood + prior.matrices())
    rest = side - np.einsum("bij,bj->bi", likelihood, mean)  # r
    whitened = np.linalg.solve(root, rest[:, :, None])[:, :, 0]
    log_determinant = 2 * np.log(np.einsum("bii->bi", root)).sum(axis=1)
    squares = (whitened**2).sum(axis=1) + (mean * (side + rest)).sum(axis=1)
    return np.asarray((squares - log_determinant) / 2)


def _log_determinants(parts: tuple[Any, Any, Any, Any], ridge: float) -> Doubles:
    """log|L| of rows (n,) or (1,), the ridge in place of eigenvalues that are zero."""
    _, row, spread, shared = (np.asarray(part, np.float64) for part in parts)
    if shared.size:
        sizes = np.linalg.eigvalsh(shared)
        spread = np.where(sizes > SINGULAR * sizes[-1], sizes, 0.0)[None]
    precisions = row[:, None] * spread
    held = np.where(precisions > 0, precisions, ridge)
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(held).sum(axis=1))


@dataclass(frozen=True)
class SoftGate:
    """How far to trust the transfer for each row, by how well it foretold the row's interactions.

    Parameters
    ----------
    t : float
        Weight of the difference of log evidences. Evidences take all pairs for independent and are
        too sure of themselves: 1, Bayes' rule, is rarely the best.
    logit_pi : float
        Logit of the weight where both foretell alike, as for rows without interactions.
    """

    t: float
    logit_pi: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.t) and self.t >= 0):
            raise ValueError(f"t must be finite and not negative, got {self.t}")
        if not math.isfinite(self.logit_pi):
            raise ValueError(f"logit_pi must be finite, got {self.logit_pi}")

    def weight(self, transfer: ArrayLike, null: ArrayLike) -> Doubles:
        """``sigmoid(t (log e_transfer - log e_null) + logit_pi)`` of two log evidences (n,)."""
        delta = np.asarray(transfer, np.float64) - np.asarray(null, np.float64)
        return np.asarray(expit(self.t * delta + self.logit_pi))

    def to_json(self) -> dict[str, float]:
        """Plain values, which `from_json` reads."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, float]) -> SoftGate:
        """Read what `to_json` wrote."""
        return cls(**values)


def fit_soft(delta: ArrayLike, transfer: ArrayLike, null: ArrayLike) -> SoftGate:
    r"""The soft gate under which held-out people fare best.

    Maximised, over a grid of t and :math:`\pi`, is the mean over shots of the mean over people of

    .. math:: w q_1 + (1 - w) q_0, \quad w = \sigma(t \Delta + \mathrm{logit}\, \pi)

    This is a surrogate: the list under a mixture of two priors is not a mixture of two lists. It
    costs no ranking, and it is linear in the weights, so that without anything in the evidences it
    takes the better arm nearly whole. Ties go to the smaller t, then to the weight nearer one half.

    Parameters
    ----------
    delta : array (n_shots, n_people)
        Log evidence of the transfer less that of the prior without a source.
    transfer, null : array (n_shots, n_people)
        Quality with one and with the other, NaN where nothing is left to find.

    Raises
    ------
    ValueError
        When shapes differ, or nobody's quality is known.
    """
    delta, q1, q0 = (np.asarray(values, np.float64) for values in (delta, transfer, null))
    if delta.ndim != 2 or not delta.shape == q1.shape == q0.shape:
        raise ValueError(
            "delta, transfer and null must have one shape (shots, people), "
            f"got {delta.shape}, {q1.shape} and {q0.shape}"
        )
    known = ~np.isnan(q1 - q0)
    if not known.any():
        raise ValueError("nobody's quality is known: hold people out who have something to find")
    if not np.isfinite(delta[known]).all():
        raise ValueError("delta must be finite where quality is known")
    told = known.any(axis=1)
    share = known[told] / known[told].sum(axis=1, keepdims=True)  # of a mean over shots and people
    gain = (share * np.where(known[told], q1[told] - q0[told], 0.0))[known[told]]
    delta = delta[known]

    def worth(gate: SoftGate) -> float:
        return float(expit(gate.t * delta + gate.logit_pi) @ gain)

    return max((SoftGate(t, logit) for t, logit in product(SLOPES, LOGITS)), key=worth)
