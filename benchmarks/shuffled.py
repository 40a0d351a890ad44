"""Pairs whose anchors are strangers to themselves: what a gate is for.

    python benchmarks/shuffled.py --data ../shared/data

writes `benchmarks/results/shuffled.json`, run by run. The ids of the anchors are moved around one
random circle in the source, so that everybody in both catalogs has the source row of somebody else:
catalogs, sizes and popularity are real, and there is nothing to transfer. The rest is as in
`reference.py`. A run keeps whether the gate of `auto` opened at each number of shots, and the
difference of `auto` to the arm without a source that was best on the validation people, on the test
people with its 95% interval. A closed gate serves an arm without a source that `auto` chose itself,
on anchors, among more: the difference need not be zero.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from reference import PAIRS, SHOTS
from study import FOLDER, Study, read_pair

from coldstart.anchors import find_anchors
from coldstart.evaluation import evaluate
from coldstart.interactions import Interactions
from coldstart.vocabulary import Vocabulary

ARMS = ("popularity", "cold", "mean-prior", "auto")
KEPT = ("baseline", "shots", "difference", "ci_low", "ci_high", "p", "users")


def main() -> None:
    """Run what is missing and write the file after every run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--pairs", nargs="*", default=list(PAIRS), choices=list(PAIRS))
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--out", type=Path, default=FOLDER / "shuffled.json")
    options = parser.parse_args()
    study = Study.at(options.out, seeds=options.seeds, shots=SHOTS)
    for seed in options.seeds:
        for pair in options.pairs:
            if study.find(pair=pair, seed=seed) is None:
                run = study.add(_run(options.data, pair, seed, options.threads))
                study.summary = [summed(study.runs)]
                study.save()
                print(_line(run), file=sys.stderr, flush=True)


def _line(run: dict[str, Any]) -> str:
    """Where the gate opened, and differences in points."""
    differences = ", ".join(
        f"{row['shots']}: {100 * row['difference']:+.2f} "
        f"[{100 * row['ci_low']:+.2f}, {100 * row['ci_high']:+.2f}] over {row['baseline']}"
        for row in run["differences"]
    )
    return f"{run['pair']}, seed {run['seed']}: open {run['open']}; {differences}"


def shuffled(source: Interactions, target: Interactions, rng: np.random.Generator) -> Interactions:
    """The source, the id of every user who is in the target too given to another of them."""
    anchors = find_anchors(source.users, target.users).source
    circle = rng.permutation(anchors)
    ids = source.users.ids.copy()
    ids[circle] = ids[np.roll(circle, 1)]
    return replace(source, users=Vocabulary(ids))


def summed(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """How many gates opened, and at how many numbers of shots a difference excludes zero."""
    rows = [row for run in runs for row in run["differences"]]
    return {
        "runs": len(runs),
        "opened": sum(any(run["open"]) for run in runs),
        "below": sum(row["ci_high"] < 0 for row in rows),
        "above": sum(row["ci_low"] > 0 for row in rows),
        "differences": len(rows),
    }


def _run(data: Path, pair: str, seed: int, threads: int) -> dict[str, Any]:
    source, target, factors = read_pair(data, pair)
    began = time.perf_counter()
    results = evaluate(
        shuffled(source, target, np.random.default_rng(seed)),
        target,
        shots=SHOTS,
        arms=ARMS,
        factors=factors,
        rng=seed,
        order="random",
        same_people=True,
        num_threads=threads,
    )
    auto = results.config["settings"]["auto"]
    gate = auto["gate"] or {"open": [False], "cause": None}  # none: too few people to ask
    return {
        "pair": pair,
        "seed": seed,
        "open": gate["open"],
        "cause": gate["cause"],
        "differences": [
            {name: getattr(row, name) for name in KEPT}
            for row in results.comparisons
            if row.arm == "auto" and row.metric == "ndcg"
        ],
        "ndcg": {arm: [round(results.value(arm, k).mean, 6) for k in SHOTS] for arm in ARMS},
        "gate": auto["gate"],
        "fallback": auto["fallback"],
        "seconds": round(time.perf_counter() - began, 1),
    }


if __name__ == "__main__":
    main()
