"""All arms on six real pairs of catalogs, three seeds each: the numbers of the README.

    python benchmarks/reference.py --data ../shared/data

writes `benchmarks/results/reference.json`. A pair and seed that is already there with the same
commit is not run again. Interactions come back in random order here, so that pairs with and
without timestamps are measured alike, and every number of shots is measured on the same people:
those who have something left to find at five. `auto` searches without a limit in seconds, so that
the machine does not matter. The README's table is written by `readme_table.py`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from provenance import provenance

from coldstart.arms.warm import WarmArm
from coldstart.datasets import read_interactions
from coldstart.evaluation import DEFAULT_ARMS, evaluate

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
KEPT = ("settings", "train", "eligible", "test", "validation")


def main() -> None:
    """Run what is missing and write the file after every run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--pairs", nargs="*", default=list(PAIRS), choices=list(PAIRS))
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    options = parser.parse_args()
    study = {**provenance(), "runs": []}
    if RESULTS.exists():
        old = json.loads(RESULTS.read_text())
        if old["commit"] == study["commit"]:
            study["runs"] = old["runs"]
    done = {(run["pair"], run["seed"]) for run in study["runs"]}
    for seed in options.seeds:
        for pair in options.pairs:
            if (pair, seed) not in done:
                study["runs"].append(_run(options.data, pair, seed))
                RESULTS.write_text(_lines(study))


def _lines(study: dict[str, Any]) -> str:
    """JSON with one line for each run."""
    head = json.dumps({**study, "runs": []}, indent=1).removesuffix("[]\n}")
    return head + "[\n" + ",\n".join(map(json.dumps, study["runs"])) + "\n]}\n"


def _run(data: Path, pair: str, seed: int) -> dict[str, Any]:
    name, source, target, side, factors = PAIRS[pair]
    file = data / name / "interactions.csv.gz"
    began = time.perf_counter()
    results = evaluate(
        read_interactions(f"{file}#{source}"),
        read_interactions(f"{file}#{target}"),
        side=side,
        shots=SHOTS,
        arms=(*DEFAULT_ARMS, WarmArm("auto", budget=None)),
        factors=factors,
        rng=seed,
        order="random",
        same_people=True,
    )
    print(f"{pair}, seed {seed}, {time.perf_counter() - began:.0f} s", file=sys.stderr)
    print(results, file=sys.stderr, flush=True)
    values = results.to_json()
    return {
        "pair": pair,
        "seed": seed,
        "side": side,
        "factors": factors,
        "config": {key: values["config"][key] for key in KEPT},
        "rows": values["rows"],
        "comparisons": [row for row in values["comparisons"] if row["metric"] == "ndcg"],
        "timings": values["timings"],
    }


if __name__ == "__main__":
    main()
