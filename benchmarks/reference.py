"""All arms on six real pairs of catalogs, three seeds each: the numbers of the README.

    python benchmarks/reference.py --data ../shared/data

writes `benchmarks/results/reference.json`. A pair and seed that is already there with the same
commit is not run again. Interactions come back in random order here, so that pairs with and
without timestamps are measured alike, and every number of shots is measured on the same people:
those who have something left to find at five. `everybody` has the same arms, fitted once, on all
who have something left to find at that number of shots. `auto` searches without a limit in seconds,
so that the machine does not matter. The README's table is written by `readme_table.py`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from provenance import provenance

from coldstart.arms import Arm, Task, make_arms
from coldstart.arms.warm import WarmArm
from coldstart.datasets import read_interactions
from coldstart.evaluation import DEFAULT_ARMS, evaluate
from coldstart.heldout import Scorer
from coldstart.results import Results

RESULTS = Path(__file__).parent / "results" / "reference.json"
PAIRS = {
    "amazon Food -> Kitchen": ("amazon", "Food", "Kitchen", "users", 64),
    "amazon Kitchen -> Electronics": ("amazon", "Kitchen", "Electronics", "users", 64),
    "douban music -> book": ("douban", "music", "book", "users", 64),
    "epinions cat03 -> cat04": ("epinions", "cat03", "cat04", "users", 64),
    "yelp Restaurants -> Nightlife": ("yelp", "Restaurants", "Nightlife", "users", 64),
    "xmrec uk -> de": ("xmrec", "uk", "de", "items", 256),
}
SHOTS = (0, 1, 2, 5)
METRICS = ("ndcg", "recall", "mrr", "hit_rate", "coverage")
KEPT = ("settings", "train", "eligible", "test", "validation")


def main() -> None:
    """Run what is missing and write the file after every run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--pairs", nargs="*", default=list(PAIRS), choices=list(PAIRS))
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    study = {**provenance(), "runs": []}
    if options.out.exists():
        old = json.loads(options.out.read_text())
        if old["commit"] == study["commit"]:
            study["runs"] = old["runs"]
    done = {(run["pair"], run["seed"]) for run in study["runs"]}
    for seed in options.seeds:
        for pair in options.pairs:
            if (pair, seed) not in done:
                study["runs"].append(_run(options.data, pair, seed))
                options.out.write_text(_lines(study))


def _lines(study: dict[str, Any]) -> str:
    """JSON with one line for each run."""
    head = json.dumps({**study, "runs": []}, indent=1).removesuffix("[]\n}")
    return head + "[\n" + ",\n".join(map(json.dumps, study["runs"])) + "\n]}\n"


class Once:
    """An arm that is fitted once, however often it is measured; the task stays the same."""

    def __init__(self, arm: Arm) -> None:
        self.name, self.uses_source = arm.name, arm.uses_source
        self._arm, self._fitted = arm, False

    def fit(self, task: Task) -> Once:
        """Fit the arm, the first time."""
        if not self._fitted:
            self._arm.fit(task)
            self._fitted = True
        return self

    def scorer(self, source: NDArray[np.int64], history: sp.csr_matrix, shots: int) -> Scorer:
        """That of the arm."""
        return self._arm.scorer(source, history, shots)

    def settings(self) -> dict[str, Any]:
        """Those of the arm."""
        return self._arm.settings()


def _run(data: Path, pair: str, seed: int) -> dict[str, Any]:
    name, source, target, side, factors = PAIRS[pair]
    file = data / name / "interactions.csv.gz"
    logs = [read_interactions(f"{file}#{domain}") for domain in (source, target)]
    arms = [Once(arm) for arm in make_arms((*DEFAULT_ARMS, WarmArm("auto", budget=None)))]

    def measured(same_people: bool) -> Results:
        return evaluate(
            *logs,
            side=side,
            shots=SHOTS,
            arms=arms,
            factors=factors,
            rng=seed,
            order="random",
            same_people=same_people,
        )

    began = time.perf_counter()
    results, everybody = measured(True), measured(False)
    print(f"{pair}, seed {seed}, {time.perf_counter() - began:.0f} s", file=sys.stderr)
    print(results, file=sys.stderr, flush=True)
    config = results.to_json()["config"]
    return {
        "pair": pair,
        "seed": seed,
        "side": side,
        "factors": factors,
        "config": {key: config[key] for key in KEPT},
        **_numbers(results),
        "everybody": _numbers(everybody),
        "timings": results.timings,
    }


def _numbers(results: Results) -> dict[str, Any]:
    """What was measured: some metrics, and differences of the first."""
    values = results.to_json()
    rows = [row for row in values["rows"] if row["metric"] in METRICS]
    ndcg = [row for row in values["comparisons"] if row["metric"] == "ndcg"]
    return {"rows": rows, "comparisons": ndcg}


if __name__ == "__main__":
    main()
