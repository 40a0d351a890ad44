"""How long it takes to rank the whole catalog for many people, beside implicit's `recommend`."""

from __future__ import annotations

import numpy as np
import pytest

from coldstart.ranking import recommend_rows
from coldstart.threads import one_blas_thread

from .matrices import long_tailed
from .models import SEED, fit

ROUNDS = {"rounds": 5, "warmup_rounds": 1}
N_QUERIES = 10_000


@pytest.fixture(scope="module")
def matrix():
    return long_tailed(60_000, 20_000, 3_000_000, SEED)


@pytest.fixture(scope="module")
def model(matrix):
    return fit("implicit", matrix, 64, 1)


@pytest.mark.benchmark(group="ranking")
@pytest.mark.parametrize("work", ["best 10", "best 100"])
@pytest.mark.parametrize("library", ["implicit", "coldstart"])
def test_recommend(benchmark, matrix, model, library, work):
    n = int(work.split()[1])
    people = np.random.default_rng(SEED).permutation(matrix.shape[0])[:N_QUERIES]

    def implicit():
        with one_blas_thread():  # it has threads of its own
            return model.recommend(people, matrix[people], N=n, filter_already_liked_items=True)

    def coldstart():
        queries = model.user_factors[people]
        return recommend_rows(queries, model.item_factors, n, seen=matrix[people])

    ways = {"implicit": implicit, "coldstart": coldstart}
    _, values = benchmark.pedantic(ways[library], **ROUNDS)
    _, others = ways["coldstart" if library == "implicit" else "implicit"]()
    np.testing.assert_allclose(values, others, rtol=1e-4, atol=1e-6)  # sums of float32
