"""Several linear maps, and a gate that says which of them a row follows."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.special import log_softmax, logsumexp

from .base import Array

__all__ = ["Experts", "Penalties", "fit_experts"]

GATE_STEPS = 5  # of the gate in one maximisation


@dataclass(frozen=True, eq=False)
class Experts:
    """``t ~ sum_k g_k(x) N(W_k'x, Psi)``, ``g(x) = softmax(V x)``.

    Parameters
    ----------
    gate : array (K, p), V
    maps : array (K, p, d), W_k
    covariance : array (d, d), Psi
    inverses : array (K, p, p)
        ``(X'R_kX + tie I)^-1``, how uncertain the maps are in units of Psi.
    """

    gate: Array
    maps: Array
    covariance: Array
    inverses: Array = field(repr=False)

    def log_shares(self, x: Array) -> Array:
        """``log g`` (n, K) of rows x (n, p)."""
        shares: Array = log_softmax(x @ self.gate.T, axis=1)
        return shares

    def log_densities(self, x: Array, t: Array) -> Array:
        """``log N(t; W_k'x, Psi)`` (n, K)."""
        factor = np.linalg.cholesky(self.covariance)
        constant = len(factor) * np.log(2 * np.pi) / 2 + np.log(np.diag(factor)).sum()
        away = [solve_triangular(factor, (t - x @ w).T, lower=True) for w in self.maps]
        return np.stack([-np.einsum("ij,ij->j", z, z) / 2 - constant for z in away], axis=1)

    def predict(self, x: Array) -> tuple[Array, Array]:
        """Means ``m = sum_k g_k m_k`` (n, d), and how much wider than Psi they are spread (n,).

        The latter is ``sum_k g_k (x'(X'R_kX + tie I)^-1 x + (m_k - m)'Psi^-1(m_k - m) / d)``.
        """
        shares = np.exp(self.log_shares(x))
        images = np.stack([x @ w for w in self.maps])  # (K, n, d)
        mean: Array = np.einsum("nk,knd->nd", shares, images)
        factor = np.linalg.cholesky(self.covariance)
        wider = np.zeros(len(x))
        for share, image, inverse in zip(shares.T, images, self.inverses, strict=True):
            apart = solve_triangular(factor, (image - mean).T, lower=True)
            unsure = np.einsum("ni,ij,nj->n", x, inverse, x, optimize=True)
            wider += share * (unsure + np.einsum("ij,ij->j", apart, apart) / len(factor))
        return mean, wider


@dataclass(frozen=True, eq=False)
class Penalties:
    """What holds experts together.

    Parameters
    ----------
    tie : float
        How many anchors the shared map is worth in each.
    shared : array (p, d), W0
    sphere : array (d, d), one observation of Psi
    gate : float
        Ridge of the gate.
    """

    tie: float
    shared: Array
    sphere: Array
    gate: float

    def of(self, experts: Experts) -> float:
        """What is subtracted from the log-likelihood."""
        off = experts.maps - self.shared
        held = self.tie * np.einsum("kpd,kpe->de", off, off, optimize=True) + self.sphere
        factor = cho_factor(experts.covariance, lower=True)
        size = np.trace(cho_solve(factor, held)) + 2 * np.log(np.diag(factor[0])).sum()
        return float(size + self.gate * np.sum(experts.gate**2)) / 2


def fit_experts(
    x: Array, t: Array, weight: Array, start: Array, penalties: Penalties, *, steps: int
) -> tuple[Experts, Array]:
    """Climb the penalised log-likelihood by expectation-maximisation.

    It is ::

        sum_u w_u log sum_k g_k(x_u) N(t_u; W_k'x_u, Psi) - gate |V|^2 / 2
            - (tr Psi^-1(sphere + tie sum_k (W_k - W0)'(W_k - W0)) + log|Psi|) / 2

    from responsibilities `start` (n, K). Maps and Psi are maximised exactly, the gate by steps
    under a quadratic lower bound (Boehning 1992), so it never falls. Ends where it grows by less
    than 1e-4 a row.

    Returns the experts and the penalised log-likelihood after every step.
    """
    k, p = start.shape[1], x.shape[1]
    bound = cho_factor((x.T * weight) @ x / 2 + penalties.gate * np.eye(p))
    gate, shares, trace = np.zeros((k, p)), start, []
    for _ in range(steps):
        experts = _maximised(x, t, weight, shares, gate, penalties)
        for _ in range(GATE_STEPS):
            slope = ((shares - np.exp(experts.log_shares(x))).T * weight) @ x
            gate = experts.gate + cho_solve(bound, (slope - penalties.gate * experts.gate).T).T
            experts = Experts(gate, experts.maps, experts.covariance, experts.inverses)
        joint = experts.log_shares(x) + experts.log_densities(x, t)
        total = logsumexp(joint, axis=1)
        trace.append(float(weight @ total) - penalties.of(experts))
        if len(trace) > 1 and trace[-1] - trace[-2] < 1e-4 * weight.sum():
            break
        shares = np.exp(joint - total[:, None])
    return experts, np.array(trace)


def _maximised(
    x: Array, t: Array, weight: Array, shares: Array, gate: Array, penalties: Penalties
) -> Experts:
    """Maps and covariance that maximise the expected log-likelihood under responsibilities."""
    base = t - x @ penalties.shared
    scatter = penalties.sphere.copy()
    maps, inverses = [], []
    for share in shares.T:
        rows = x.T * (weight * share)  # (p, n)
        inverse = np.linalg.inv(rows @ x + penalties.tie * np.eye(len(rows)))
        off = inverse @ (rows @ base)
        away = base - x @ off
        scatter += (away.T * (weight * share)) @ away + penalties.tie * off.T @ off
        maps.append(penalties.shared + off)
        inverses.append((inverse + inverse.T) / 2)
    covariance = scatter / (weight.sum() + 1)
    return Experts(gate, np.stack(maps), (covariance + covariance.T) / 2, np.stack(inverses))
