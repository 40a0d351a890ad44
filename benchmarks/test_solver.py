"""How long training takes, beside implicit's own ALS, which knows no prior."""

from __future__ import annotations

import pytest

from .matrices import long_tailed
from .models import SEED, fit, matrix_prior, row_prior

FACTORS, SWEEPS = 64, 5
ROUNDS = {"rounds": 5, "warmup_rounds": 1}
CASES = {
    "cg": ("cg", None),
    "cg, per-row prior": ("cg", row_prior),
    "cg, shared-matrix prior": ("cg", matrix_prior),
    "exact": ("cholesky", None),
    "exact, shared-matrix prior": ("cholesky", matrix_prior),
}


@pytest.fixture(scope="module")
def matrix():
    return long_tailed(19_000, 6_300, 300_000, SEED)


@pytest.mark.benchmark(group="solver")
@pytest.mark.parametrize(
    ("library", "work"),
    [("implicit", "cg"), ("implicit", "exact"), *(("coldstart", work) for work in CASES)],
)
def test_fit(benchmark, matrix, library, work):
    solver, make_prior = CASES[work]
    prior = make_prior and make_prior(matrix.shape[0], FACTORS)
    benchmark.extra_info["beside"] = work.partition(",")[0]
    benchmark.pedantic(
        lambda: fit(library, matrix, FACTORS, SWEEPS, solver=solver, prior=prior), **ROUNDS
    )
