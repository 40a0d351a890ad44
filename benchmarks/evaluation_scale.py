"""Evaluate 100,000 people on 30,000 items: seconds and memory, in a process of its own.

    python benchmarks/evaluation_scale.py

writes `benchmarks/results/evaluation_scale.json` and exits with 1 when a limit is broken: two
minutes and 4 GB on two cores for ranking the whole catalog by factors (width 64) and by popularity,
ten metrics of every person, their intervals, the paired comparison of the two arms with a sign-flip
test of 9,999 resamples, ratios of means, and the people's values written as Parquet. Truths are
drawn by popularity, ten for each person, one of which comes back. `--quick` is a twentieth of the
people and items, and writes nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import scipy.sparse as sp
from limits import BYTES, CORES
from numpy.typing import NDArray
from provenance import provenance

from coldstart.effects import effect_size, shares
from coldstart.heldout import HeldOut
from coldstart.intervals import interval, ratio_of_means
from coldstart.metrics import METRICS
from coldstart.popularity import counts
from coldstart.statistics import holm, sign_flip_p

RESULTS = Path(__file__).parent / "results" / "evaluation_scale.json"
N_PEOPLE, N_ITEMS, FACTORS, TRUTHS = 100_000, 30_000, 64, 10
SHOTS, N, SEED = 1, 10, 0
LIMIT_SECONDS, LIMIT_GIGABYTES = 120, 4

Values = dict[str, NDArray[np.float64]]


def main() -> None:
    """Measure in a child process, report on stdout, write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a twentieth, writing nothing")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        folder, *shape = options.child
        print(json.dumps(evaluated(Path(folder), int(shape[0]), int(shape[1]))))
        return
    if hasattr(os, "sched_setaffinity"):  # the child inherits it
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    shrink = 20 if options.quick else 1
    found = measured(N_PEOPLE // shrink, N_ITEMS // shrink)
    print(json.dumps(found, indent=1), flush=True)
    if not options.quick:
        study = {**provenance(), "seeds": [SEED], "factors": FACTORS, "metrics": list(METRICS)}
        options.out.write_text(json.dumps(study | found, indent=1) + "\n")
    sys.exit(0 if found["kept"] else 1)


def measured(n_people: int, n_items: int) -> dict[str, Any]:
    """What `evaluated` says from a child process, and the peak memory of that."""
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as answer:
        child = subprocess.Popen(
            [sys.executable, __file__, "--child", folder, str(n_people), str(n_items)],
            stdout=answer,
        )
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            sys.exit("the child process failed: see above")
        answer.seek(0)
        found: dict[str, Any] = json.load(answer)
    gigabytes = usage.ru_maxrss * BYTES / 1e9
    kept = found["seconds"] <= LIMIT_SECONDS and gigabytes <= LIMIT_GIGABYTES
    limits = {"limit_seconds": LIMIT_SECONDS, "limit_gigabytes": LIMIT_GIGABYTES}
    return {**found, "peak_gigabytes": round(gigabytes, 2), **limits, "kept": kept}


def evaluated(folder: Path, n_people: int, n_items: int) -> dict[str, Any]:
    """Seconds of each part of an evaluation, and what came out. Inputs are made before."""
    held, users, items, popularity = inputs(n_people, n_items, np.random.default_rng(SEED))
    everybody = np.broadcast_to(popularity, (n_people, n_items))
    clock = Clock()
    values = {
        "factors": clock("rank by factors", ranked, held, lambda rows: users[rows] @ items.T),
        "popularity": clock("rank by popularity", ranked, held, lambda rows: everybody[rows]),
    }
    first, second = (np.stack(list(metrics.values()), axis=1) for metrics in values.values())
    both = np.hstack([first, second])
    means, (low, high) = both.mean(axis=0), clock("intervals", interval, both)
    compared = clock("comparison", comparison, first, second)
    file = folder / "people.parquet"
    clock("parquet", write_people, file, values)
    return {
        "people": n_people,
        "items": n_items,
        "seconds": round(sum(clock.seconds.values()), 2),
        "parts": {name: round(seconds, 2) for name, seconds in clock.seconds.items()},
        "parquet_megabytes": round(file.stat().st_size / 1e6, 1),
        "ndcg": {
            arm: [float(part[place]) for part in (means, low, high)]
            for arm, place in (("factors", 0), ("popularity", len(METRICS)))
        },
        "comparison": compared,
    }


class Clock:
    """Calls functions, and keeps how long each took."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def __call__(self, name: str, function: Callable[..., Any], *given: Any) -> Any:
        began = time.perf_counter()
        answer = function(*given)
        self.seconds[name] = time.perf_counter() - began
        return answer


def inputs(
    n_people: int, n_items: int, rng: np.random.Generator
) -> tuple[HeldOut, NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Held-out people, factors of users and items of which the first is how popular items are, and
    that popularity (n_items,).
    """
    long_tail = 1 / np.arange(10, n_items + 10)
    columns = rng.choice(n_items, size=(n_people, TRUTHS), p=long_tail / long_tail.sum())
    people = np.repeat(np.arange(n_people), TRUTHS)
    matrix = sp.csr_matrix((np.ones(columns.size, np.float32), (people, columns.ravel())))
    matrix.resize(n_people, n_items)
    matrix.sum_duplicates()
    rank = np.arange(matrix.nnz) - np.repeat(matrix.indptr[:-1], np.diff(matrix.indptr))
    nothing = np.zeros(n_people, np.int64)
    held = HeldOut(np.arange(n_people), matrix, rank.astype(np.int64), nothing)
    users, items = (
        0.1 * rng.standard_normal((size, FACTORS), dtype=np.float32) for size in (n_people, n_items)
    )
    users[:, 0], items[:, 0] = 1.0, np.log(long_tail)
    return held, users, items, counts(matrix)


def ranked(held: HeldOut, scores: Callable[[slice], NDArray[np.float32]]) -> Values:
    """Every metric of every person with a truth."""
    order = np.random.default_rng([SEED, 1]).permutation(held.matrix.shape[1])
    found = held.rank_all(scores, SHOTS, n=N, order=order)
    known = found.relevant > 0
    lists = found.hits[known], found.relevant[known]
    return {name: metric(*lists) for name, metric in METRICS.items()}


def comparison(first: NDArray[np.float64], second: NDArray[np.float64]) -> dict[str, Any]:
    """All that is said of two arms, for the first metric; it is computed for all of them."""
    differences = first - second
    low, high = interval(differences)
    ratio = ratio_of_means(first, second)
    p = sign_flip_p(differences, rng=SEED)
    found = {
        "difference": differences.mean(axis=0),
        "ci_low": low,
        "ci_high": high,
        "p": p,
        "p_holm": holm(p),
        **dict(zip(("ratio", "ratio_low", "ratio_high"), ratio, strict=True)),
        "effect": effect_size(differences),
        **dict(zip(("gain", "lose", "unchanged"), shares(differences), strict=True)),
    }
    return {name: float(values[0]) for name, values in found.items()}


def write_people(file: Path, values: dict[str, Values]) -> None:
    """A line for each person and arm."""
    frames = []
    for arm, metrics in values.items():
        n = len(next(iter(metrics.values())))
        person = pl.Series("person", np.arange(n)).cast(pl.String)
        frames.append(pl.DataFrame({"person": person, **metrics}).with_columns(arm=pl.lit(arm)))
    pl.concat(frames).write_parquet(file, compression="zstd")


if __name__ == "__main__":
    main()
