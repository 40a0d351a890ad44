"""How long new rows take, exactly and around a prior, beside a loop in numpy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from coldstart import Prior

from .matrices import long_tailed
from .models import SEED, SETTINGS, fit, matrix_prior, row_prior

FACTORS, N_ITEMS = 64, 5_000
LIMIT_SECONDS = 2.0  # for 100,000 rows
ROUNDS = {"rounds": 5, "warmup_rounds": 1}
PRIORS = {"per-row prior": row_prior, "shared-matrix prior": matrix_prior}


@pytest.fixture(scope="module")
def model():
    return fit("coldstart", long_tailed(8_000, N_ITEMS, 160_000, SEED), FACTORS, 5)


def newcomers(n, fewest, most):
    """So many rows with `fewest` to `most` interactions each, of any items."""
    rng = np.random.default_rng(SEED)
    lengths = rng.integers(fewest, most + 1, n)
    items = [np.sort(rng.choice(N_ITEMS, k, replace=False)) for k in lengths]
    limits = np.concatenate([[0], np.cumsum(lengths)])
    columns = np.concatenate(items)
    return csr_matrix((np.ones(len(columns), np.float32), columns, limits), (n, N_ITEMS))


def fold_in_by_loop(history, items, prior: Prior):
    """One dense solve per row: the equation as it is written; no interactions, the prior mean."""
    gram = items.T @ items + SETTINGS["regularization"] * np.eye(FACTORS)
    alpha, rows = SETTINGS["alpha"], prior.mean.astype(np.float64)
    for u in np.flatnonzero(np.diff(history.indptr)):
        seen = items[history.indices[history.indptr[u] : history.indptr[u + 1]]]
        precision = prior.matrices(slice(u, u + 1))[0]
        left = gram + (alpha - 1) * seen.T @ seen + precision
        rows[u] = np.linalg.solve(left, alpha * seen.sum(axis=0) + precision @ prior.mean[u])
    return rows


def check_against_loop(rows, model, history, prior):
    expected = fold_in_by_loop(history, model.item_factors.astype(np.float64), prior)
    np.testing.assert_allclose(rows, expected, rtol=1e-3, atol=1e-4)  # rows are float32


def ways(model, history, prior):
    """What is measured, by library."""
    items = model.item_factors.astype(np.float64)
    return {
        "numpy": lambda: fold_in_by_loop(history, items, prior),
        "coldstart": lambda: model.fold_in(history, prior=prior),
    }


@pytest.mark.benchmark(group="fold-in")
@pytest.mark.parametrize("shots", [1, 5, 20])
@pytest.mark.parametrize("library", ["numpy", "coldstart"])
def test_fold_in(benchmark, model, library, shots):
    history, prior = newcomers(1_000, shots, shots), matrix_prior(1_000, FACTORS)
    benchmark.extra_info["work"] = f"1,000 rows of {shots}"
    rows = benchmark.pedantic(ways(model, history, prior)[library], **ROUNDS)
    check_against_loop(rows, model, history, prior)


@pytest.mark.benchmark(group="fold-in")
@pytest.mark.parametrize("library", ["numpy", "coldstart"])
@pytest.mark.parametrize("prior", PRIORS)
def test_fold_in_of_many_rows(benchmark, model, library, prior):
    history, belief = newcomers(100_000, 0, 10), PRIORS[prior](100_000, FACTORS)
    benchmark.extra_info["work"] = f"100,000 rows of 0 to 10, {prior}"
    if library == "numpy":  # seconds each
        benchmark.pedantic(ways(model, history, belief)[library], rounds=2)
        return
    benchmark.extra_info["limit"] = LIMIT_SECONDS
    rows = benchmark.pedantic(ways(model, history, belief)[library], **ROUNDS)
    check_against_loop(rows[:2_000], model, history[:2_000], belief.take(np.arange(2_000)))
    assert not benchmark.enabled or benchmark.stats.stats.median < LIMIT_SECONDS
