"""How long training and fold-in take, beside implicit's own ALS and beside a loop in numpy.

pytest benchmarks --benchmark-enable --benchmark-json=benchmarks/results/solver.json
"""

from __future__ import annotations

import numpy as np
import pytest
from implicit.cpu.als import AlternatingLeastSquares

from coldstart import Prior, PriorALS
from coldstart.datasets import make_cross_domain
from coldstart.heldout import hold_out
from coldstart.threads import one_blas_thread

N_USERS, N_ITEMS, N_NEWCOMERS, FACTORS = 9000, 5000, 1000, 64
SETTINGS = {"factors": FACTORS, "regularization": 20.0, "alpha": 20.0, "iterations": 5}
ROUNDS = {"rounds": 5, "warmup_rounds": 1}


@pytest.fixture(scope="module")
def held_out():
    """A long-tailed log without a thousand people, and what was taken from them."""
    log = make_cross_domain(
        N_USERS, 100, N_ITEMS, overlap=1.0, target_interactions=20.0, rng=0
    ).target
    rng = np.random.default_rng(1)
    people = rng.permutation(len(log.users))[:N_NEWCOMERS]
    train, held = hold_out(log, people, order="random", rng=rng)
    return train.user_items, held


@pytest.fixture(scope="module")
def model(held_out):
    return PriorALS(rng=0, **SETTINGS).fit(held_out[0], show_progress=False)


@pytest.fixture(scope="module")
def prior():
    """A mean for each newcomer, and one covariance for all."""
    rng = np.random.default_rng(2)
    spread = rng.normal(size=(FACTORS, FACTORS))
    means = rng.normal(scale=0.1, size=(N_NEWCOMERS, FACTORS))
    return Prior(means, 50.0, shared=spread @ spread.T / FACTORS)


def coldstart_model(solver):
    return PriorALS(solver={"exact": "cholesky", "cg": "cg"}[solver], rng=0, **SETTINGS)


def implicit_model(solver):
    return AlternatingLeastSquares(use_cg=solver == "cg", random_state=0, **SETTINGS)


@pytest.mark.benchmark(group="solver")
@pytest.mark.parametrize("solver", ["cg", "exact"])
@pytest.mark.parametrize("library", ["implicit", "coldstart"])
def test_fit(benchmark, held_out, library, solver):
    make = {"implicit": implicit_model, "coldstart": coldstart_model}[library]

    def fit():
        return make(solver).fit(held_out[0], show_progress=False)

    with one_blas_thread():  # as both libraries ask for
        benchmark.pedantic(fit, **ROUNDS)


def fold_in_by_loop(history, items, prior):
    """One dense solve per row: the equation as it is written."""
    gram = items.T @ items + SETTINGS["regularization"] * np.eye(FACTORS)
    precision = prior.precision * prior.shared
    rows = np.empty((history.shape[0], FACTORS))
    for u in range(len(rows)):
        seen = items[history.indices[history.indptr[u] : history.indptr[u + 1]]]
        left = gram + (SETTINGS["alpha"] - 1) * seen.T @ seen + precision
        rows[u] = np.linalg.solve(
            left, SETTINGS["alpha"] * seen.sum(axis=0) + precision @ prior.mean[u]
        )
    return rows


@pytest.mark.benchmark(group="fold-in")
@pytest.mark.parametrize("shots", [1, 5, 20])
@pytest.mark.parametrize("library", ["numpy", "coldstart"])
def test_fold_in(benchmark, held_out, model, prior, library, shots):
    history = held_out[1].history(shots)
    items = model.item_factors.astype(np.float64)
    ways = {
        "numpy": lambda: fold_in_by_loop(history, items, prior),
        "coldstart": lambda: model.fold_in(history, prior=prior),
    }
    rows = benchmark.pedantic(ways[library], **ROUNDS)
    others = ways["coldstart" if library == "numpy" else "numpy"]()
    np.testing.assert_allclose(rows, others, rtol=1e-3, atol=1e-4)  # rows are float32
