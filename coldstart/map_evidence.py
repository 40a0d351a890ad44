"""The evidence of a linear map between embeddings, against an intercept alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import multigammaln

__all__ = ["Evidence", "linear_evidence", "log_marginal"]

Array = NDArray[np.float64]

RIDGES = (1e-4, 1e6)  # as multiples of the mean diagonal of S'S
LITTLE = 3.0  # nats that are no evidence: a factor of 20


@dataclass(frozen=True)
class Evidence:
    """Log Bayes factor per row of a linear map against an intercept, at the best `ridge`.

    The ridge is a multiple of the mean diagonal of S'S. The same evidence chose it, so the factor
    is never below 0, which it is at an infinite ridge: read its size, not its sign.
    """

    per_anchor: float
    ridge: float
    rows: int

    def __str__(self) -> str:
        if self.per_anchor * self.rows < LITTLE:
            return f"no better than an intercept on {self.rows} anchors"
        return (
            f"better than an intercept by {self.per_anchor:.3f} nats per anchor over {self.rows} "
            f"anchors (ridge {self.ridge:.2g})"
        )


def log_marginal(source: Array, target: Array, ridge: float) -> float:
    r"""Log marginal likelihood of centred targets under a matrix-normal linear map.

    .. math:: T = S W + E, \quad W \mid \Psi \sim MN(0, \rho^{-1} I, \Psi), \quad
              E \mid \Psi \sim MN(0, I, \Psi), \quad \Psi \sim IW(\nu_0, s^2 I)

    with nu0 = d + 2, integrated over W and Psi in closed form, and over an intercept with a flat
    prior, which takes one row:

    .. math:: \log p = \log \frac{\Gamma_d(\nu_n / 2)}{\Gamma_d(\nu_0 / 2)}
              - \frac{d (n - 1)}{2} \log \pi - \frac{d}{2} \log |I + S'S / \rho|
              + \frac{\nu_0}{2} \log |\Psi_0| - \frac{\nu_n}{2} \log |\Psi_n|, \quad
              \Psi_n = \Psi_0 + T'T - T'S (S'S + \rho I)^{-1} S'T

    Parameters
    ----------
    source : array (n, d_source), centred
    target : array (n, d), centred
    ridge : float
        rho, on the scale of S'S; infinity is the model with an intercept alone.

    References
    ----------
    A. P. Dawid (1981). Some matrix-variate distribution theory. T. P. Minka (2000). Bayesian linear
    regression.
    """
    n, d = target.shape
    freedom, n = d + 2, n - 1
    psi0 = np.eye(d) * (float(np.mean(target**2)) or 1.0)
    values, vectors = np.linalg.eigh(source.T @ source)
    values = np.maximum(values, 0.0)
    along = vectors.T @ (source.T @ target)
    psi = psi0 + target.T @ target - along.T @ (along / (values + ridge)[:, None])
    complexity = d / 2 * float(np.log1p(values / ridge).sum())
    return float(
        multigammaln((freedom + n) / 2, d)
        - multigammaln(freedom / 2, d)
        - d * n / 2 * np.log(np.pi)
        - complexity
        + freedom / 2 * _log_det(psi0)
        - (freedom + n) / 2 * _log_det(psi)
    )


def linear_evidence(source: Array, target: Array) -> Evidence | None:
    """The evidence of a linear map from `source` (n, d_source) to `target` (n, d), against the
    intercept alone; None for fewer than 3 rows, or where one side does not vary.

    References
    ----------
    D. J. C. MacKay (1992). Bayesian interpolation.
    """
    if len(source) < 3:
        return None
    s, t = source - source.mean(axis=0), target - target.mean(axis=0)
    scale = float(np.sum(s**2)) / s.shape[1]
    if not scale or not t.any():
        return None
    empty = log_marginal(s, t, np.inf)
    best = minimize_scalar(
        lambda power: empty - log_marginal(s, t, scale * 10.0**power),
        bounds=tuple(np.log10(RIDGES)),
        method="bounded",
        options={"xatol": 0.01},
    )
    if best.fun >= 0:
        return Evidence(0.0, float("inf"), len(s))
    return Evidence(-float(best.fun) / len(s), float(10.0**best.x), len(s))


def _log_det(matrix: Array) -> float:
    return float(np.linalg.slogdet((matrix + matrix.T) / 2)[1])
