"""How long a whole warm start takes, beside implicit's ALS on both catalogs."""

from __future__ import annotations

import pytest

from coldstart import PriorALS, WarmStart
from coldstart.adapters import RidgeAdapter
from coldstart.datasets import make_cross_domain

from .models import SEED, fit

FACTORS, SWEEPS = 64, 10


@pytest.fixture(scope="module")
def catalogs():
    """Two logs, thousands of whose people are in both."""
    source, target = make_cross_domain(10_000, 3_000, 2_000, overlap=0.5, rng=SEED)
    return source, target


@pytest.mark.benchmark(group="end-to-end")
@pytest.mark.parametrize("work", ["implicit on both", "given strength", "chosen strength"])
def test_fit(benchmark, catalogs, work):
    strength = {"given strength": 1.0, "chosen strength": "auto"}.get(work)

    def models_alone():
        for log in catalogs:
            fit("implicit", log.user_items, FACTORS, SWEEPS)

    def warm_start():
        model = PriorALS(FACTORS, iterations=SWEEPS, rng=SEED)
        WarmStart(model, RidgeAdapter(), strength=strength, rng=SEED).fit(*catalogs)

    library = "coldstart" if strength else "implicit"
    benchmark.extra_info.update(library=library, beside="implicit on both")
    way = warm_start if strength else models_alone
    benchmark.pedantic(way, rounds=3, warmup_rounds=1)
