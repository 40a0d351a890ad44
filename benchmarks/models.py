"""The two models that are timed, with the same settings, and the priors that one of them takes."""

from __future__ import annotations

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from scipy.sparse import csr_matrix

from coldstart import Prior, PriorALS
from coldstart.threads import one_blas_thread

SEED = 0  # of every matrix, starting factor and prior that is timed
SETTINGS = {"regularization": 20.0, "alpha": 20.0}
LIBRARIES = ("implicit", "coldstart")


def fit(
    library: str,
    matrix: csr_matrix,
    factors: int,
    sweeps: int,
    *,
    solver: str = "cg",
    prior: Prior | None = None,
) -> AlternatingLeastSquares:
    """A model fitted with 3 conjugate gradient steps, or exactly with solver "cholesky".

    All cores are used, with BLAS held to one thread, as both libraries ask for.
    """
    with one_blas_thread():
        if library == "coldstart":
            model = PriorALS(factors, iterations=sweeps, solver=solver, rng=SEED, **SETTINGS)
            return model.fit(matrix, user_prior=prior, show_progress=False)
        model = AlternatingLeastSquares(
            factors, iterations=sweeps, use_cg=solver == "cg", random_state=SEED, **SETTINGS
        )
        model.fit(matrix, show_progress=False)
        return model


def row_prior(n: int, factors: int) -> Prior:
    """A mean and a precision for each of n rows."""
    rng = np.random.default_rng(SEED)
    means = rng.normal(scale=0.1, size=(n, factors))
    return Prior(means, rng.uniform(10.0, 100.0, size=n))


def matrix_prior(n: int, factors: int) -> Prior:
    """A mean and a precision for each of n rows, times one matrix for all."""
    rows = row_prior(n, factors)
    spread = np.random.default_rng(SEED + 1).normal(size=(factors, factors))
    return Prior(rows.mean, rows.precision, shared=spread @ spread.T / factors)
