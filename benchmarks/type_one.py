"""How often tests and intervals find a difference where there is none.

    python benchmarks/type_one.py --data ../shared/data

writes `benchmarks/results/type_one.json` and exits with 1 when a limit is broken. Differences are
real ones, person by person: what `warm:ridge` ranks better than `mean-prior` for test people
without any shots. With their signs flipped at random, 2,000 times, nothing is left to find but what
chance leaves; the shares of the replicates that a sign-flip test rejects at the 5% level, and whose
95% intervals exclude zero, have to lie between 3.5 and 6.5%. Identical arms must have p = 1.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from provenance import provenance
from study import FOLDER, read_pair

from coldstart.arms import make_arms
from coldstart.intervals import studentised_interval
from coldstart.metrics import METRICS
from coldstart.protocols import Cold, task_of
from coldstart.statistics import bootstrap_interval, sign_flip_p

PAIRS = ("yelp Restaurants -> Nightlife", "amazon Food -> Kitchen")
NAMES = ("ndcg", "recall")
ARMS = ("warm:ridge", "mean-prior")
N = 10
SEED = 0
REPLICATES = 2000
AT_ONCE = 100  # replicates that share their random signs and resamples
LEVEL = 0.05
LIMITS = 0.035, 0.065

Matrix = NDArray[np.float64]


def main() -> None:
    """Measure, report on stdout, write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=FOLDER / "type_one.json")
    options = parser.parse_args()
    rows = []
    for pair in PAIRS:
        for name, differences in real_differences(options.data, pair).items():
            found = measured(differences, REPLICATES, np.random.default_rng(SEED))
            rows.append({"pair": pair, "metric": name, **found})
            print(json.dumps(rows[-1]), flush=True)
    settings = {"arms": ARMS, "n": N, "seeds": [SEED], "replicates": REPLICATES, "limits": LIMITS}
    options.out.write_text(json.dumps({**provenance(), **settings, "runs": rows}, indent=1) + "\n")
    sys.exit(0 if all(row["kept"] for row in rows) else 1)


def real_differences(data: Path, pair: str) -> dict[str, Matrix]:
    """What the first of the arms gains over the second, (n_people,) for each metric."""
    source, target, factors = read_pair(data, pair)
    split = Cold().split(source, target, side="users", seed=SEED)
    settings = {"metric": "ndcg", "n": N, "factors": factors, "seed": SEED, "side": "users"}
    task = task_of(split, source, shots=(0,), num_threads=0, **settings)
    held, values = split.test.held, []
    for arm in make_arms(ARMS):
        arm.fit(task)
        scores = arm.scorer(split.test.source, held.history(0), 0)
        ranked = held.rank_all(scores, 0, n=N, order=task.order)
        found = ranked.hits[ranked.relevant > 0], ranked.relevant[ranked.relevant > 0]
        values.append({name: METRICS[name](*found) for name in NAMES})
    return {name: values[0][name] - values[1][name] for name in NAMES}


def measured(differences: Matrix, replicates: int, rng: np.random.Generator) -> dict[str, Any]:
    """Shares of replicates in which a difference was found, by what, and whether limits are kept.

    `differences` are (n_people,).
    """
    found = rejections(differences, replicates, rng)
    identical = float(sign_flip_p(np.zeros((len(differences), 1)), rng=rng)[0])
    kept = all(LIMITS[0] <= share <= LIMITS[1] for share in found.values())
    return {
        "people": len(differences),
        "unchanged": round(float((differences == 0).mean()), 3),
        "rejected": {name: round(share, 4) for name, share in found.items()},
        "identical": identical,
        "kept": kept and identical == 1.0,
    }


def rejections(differences: Matrix, replicates: int, rng: np.random.Generator) -> dict[str, float]:
    """Share of the replicates, signs flipped at random, that each test and interval rejects."""
    counts = dict.fromkeys(REJECTED, 0)
    for size in _sizes(replicates):
        signs = rng.choice([-1.0, 1.0], size=(len(differences), size))
        for name, rejected in REJECTED.items():
            counts[name] += int(rejected(signs * differences[:, None], rng).sum())
    return {name: count / replicates for name, count in counts.items()}


def _sizes(replicates: int) -> Iterator[int]:
    for start in range(0, replicates, AT_ONCE):
        yield min(AT_ONCE, replicates - start)


def _excludes_zero(limits: tuple[Matrix, Matrix]) -> NDArray[np.bool_]:
    return (limits[0] > 0) | (limits[1] < 0)


REJECTED: dict[str, Callable[[Matrix, np.random.Generator], NDArray[np.bool_]]] = {
    "sign flips": lambda values, rng: sign_flip_p(values, rng=rng) <= LEVEL,
    "bootstrap": lambda values, rng: _excludes_zero(bootstrap_interval(values, rng=rng)),
    "studentised": lambda values, _: _excludes_zero(studentised_interval(values)),
}


if __name__ == "__main__":
    main()
