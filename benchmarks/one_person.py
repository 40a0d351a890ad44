"""One person's list beside the plain product and partial sort that it needs.

    python benchmarks/one_person.py

writes `benchmarks/results/one_person.json`: the medians over many calls, in turns, of
``warm.recommend([user])`` and of numpy's ``catalog @ row``, ``argpartition`` and sort, at 64
factors and 50,000 items, on one BLAS thread as kernels have it, and after an update.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from provenance import provenance

from coldstart import Interactions, PriorALS, WarmStart
from coldstart.adapters import RidgeAdapter
from coldstart.threads import one_blas_thread

RESULTS = Path(__file__).parent / "results" / "one_person.json"
ITEMS, USERS, WIDTH, N = 50_000, 3000, 64, 10


def catalogs(rng: np.random.Generator) -> tuple[Interactions, Interactions]:
    """A source, and a target that has every item."""

    def log(items: int, most: int) -> Interactions:
        users = rng.integers(USERS, size=most)
        return Interactions.from_frame(
            pl.DataFrame(
                {
                    "user": users,
                    "item": np.append(rng.integers(items, size=most - items), np.arange(items)),
                }
            )
        )

    return log(2000, 60_000), log(ITEMS, 120_000)


def measured(warm: WarmStart, calls: int) -> dict[str, Any]:
    """Medians in milliseconds, and their ratio."""
    users = list(warm.ids("users"))[:calls]
    served = warm.served_
    catalog = served.catalog(served.other).copy()
    rows = served.catalog(served.mapped)[: len(users)].copy()
    times: dict[str, list[float]] = {"recommend": [], "numpy": []}
    for user, row in zip(users, rows, strict=True):
        began = time.perf_counter()
        with one_blas_thread():
            scores = catalog @ row
            best = np.argpartition(-scores, N)[:N]
            best[np.argsort(-scores[best])]
        between = time.perf_counter()
        warm.recommend([user], N)
        times["numpy"].append(between - began)
        times["recommend"].append(time.perf_counter() - between)
    found = {name: round(1000 * float(np.median(t)), 3) for name, t in times.items()}
    ratios = np.array(times["recommend"]) / np.array(times["numpy"])
    return {**found, "ratio": round(float(np.median(ratios)), 3)}


def main() -> None:
    """Fit, measure and write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    source, target = catalogs(np.random.default_rng(0))
    warm = WarmStart(
        PriorALS(WIDTH, iterations=1, rng=0), RidgeAdapter(), strength=1.0, gate=False, rng=0
    ).fit(source, target)
    study = {**provenance(), "items": ITEMS, "factors": WIDTH, "calls": options.calls}
    warm.recommend([next(iter(warm.ids("users")))])
    study["fitted"] = measured(warm, options.calls)
    warm.update(Interactions.from_frame(pl.DataFrame({"user": [0, 1], "item": [3, ITEMS + 1]})))
    began = time.perf_counter()
    warm.recommend([0])
    study["first call after an update, ms"] = round(1000 * (time.perf_counter() - began), 2)
    study["updated"] = measured(warm, options.calls)
    options.out.write_text(json.dumps(study, indent=1) + "\n")
    print(json.dumps(study, indent=1))


if __name__ == "__main__":
    main()
