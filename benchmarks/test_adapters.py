"""How long a linear map takes to fit and to use, beside the one matrix product that each needs."""

from __future__ import annotations

import numpy as np
import pytest

from coldstart.adapters import RidgeAdapter

from .models import SEED

N_ANCHORS, WIDTH = 200_000, 128
ROUNDS = {"rounds": 5, "warmup_rounds": 1}


@pytest.fixture(scope="module")
def anchors():
    """Source and target rows (n, d) of float32, as models have them."""
    rng = np.random.default_rng(SEED)
    source = rng.standard_normal((N_ANCHORS, WIDTH), np.float32)
    map_ = rng.standard_normal((WIDTH, WIDTH), np.float32) / WIDTH**0.5
    return source, source @ map_ + 0.5 * rng.standard_normal(source.shape, np.float32)


@pytest.mark.benchmark(group="adapters")
@pytest.mark.parametrize("library", ["numpy", "coldstart"])
def test_fit(benchmark, anchors, library):
    source, target = anchors
    ways = {
        "numpy": lambda: source.T @ target,
        "coldstart": lambda: RidgeAdapter(1.0, normalize=False).fit(source, target),
    }
    benchmark.extra_info["work"] = "fit"
    benchmark.pedantic(ways[library], **ROUNDS)


@pytest.mark.benchmark(group="adapters")
def test_fit_with_open_settings(benchmark, anchors):
    benchmark.extra_info.update(work="fit, ridge and normalisation chosen", beside="fit")
    benchmark.pedantic(lambda: RidgeAdapter().fit(*anchors), **ROUNDS)


@pytest.mark.benchmark(group="adapters")
@pytest.mark.parametrize("library", ["numpy", "coldstart"])
def test_predict(benchmark, anchors, library):
    source, target = anchors
    adapter = RidgeAdapter(1.0, normalize=False).fit(source, target)
    map_ = adapter.coef_.astype(np.float32)
    ways = {"numpy": lambda: source @ map_, "coldstart": lambda: adapter.predict(source)}
    benchmark.extra_info["work"] = "predict"
    benchmark.pedantic(ways[library], **ROUNDS)
