"""What titles are worth to items that nobody has taken yet, on both pairs with titles.

    python benchmarks/content.py --data ../shared/data

writes `benchmarks/results/content.json`. The mapped side is items. Food and Kitchen have people in
common and no item, so the source catalog knows no item of the target, and titles are all there is
to go by. 1,000 items with five buyers or more lose their interactions before anything is fitted.

"held out" is what the report of the warm start says: items whose buyers were hidden in folds, at 0,
1, 2 and 5 shots, by choices made without their fold, against the best way without a source, and
the 95% interval of the gain. "taken out" has the 1,000 items, of which only the title is known: the
share of their buyers among the first 100 people, with an interval over items, beside that among the
100 most active people.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from intervals import ratio_of_means
from numpy.typing import NDArray
from study import FOLDER, Study

from coldstart import PriorALS, WarmStart
from coldstart.datasets import read_features, read_interactions
from coldstart.heldout import hold_out

PAIRS = (("Kitchen", "Food"), ("Food", "Kitchen"))
FACTORS = 32
TAKEN_OUT = 1000
LEAST = 5  # buyers of an item that is taken out
LISTED = 100
SEED = 0


def main() -> None:
    """Measure both pairs and write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--out", type=Path, default=FOLDER / "content.json")
    options = parser.parse_args()
    study = Study.at(options.out, seeds=[SEED], factors=FACTORS)
    for source, target in PAIRS:
        pair = f"amazon {source} -> {target}"
        if study.find(pair=pair) is None:
            run = study.add({"pair": pair, **_run(options.data, source, target, options.threads)})
            study.save()
            print(run, file=sys.stderr, flush=True)


def _run(data: Path, source: str, target: str, threads: int) -> dict[str, Any]:
    log = data / "amazon" / "interactions.csv.gz"
    rich, sparse = (read_interactions(f"{log}#{domain}") for domain in (source, target))
    titles = read_features(f"{data / 'amazon' / 'items.csv.gz'}#{target}", text=["title"])
    rng = np.random.default_rng(SEED)
    frequent = np.flatnonzero(np.diff(sparse.T.user_items.indptr) >= LEAST)
    rows = np.sort(rng.choice(frequent, TAKEN_OUT, replace=False))
    train, held = hold_out(sparse.T, rows, order="random", rng=rng)
    began = time.perf_counter()
    warm = WarmStart(PriorALS(FACTORS, rng=SEED), side="items", rng=SEED, num_threads=threads)
    warm.fit(rich, train.T, features=titles)
    seconds = time.perf_counter() - began
    names = sparse.items.ids[rows]
    told = np.isin(names, warm.ids("items").ids)
    people = train.items.ids
    active = people[np.argsort(-np.diff(train.T.user_items.indptr), kind="stable")]
    return {
        "adapter": warm.report_.adapter,
        "held out": [asdict(gain) for gain in warm.report_.gains],
        "taken out": _found(warm, people, active, names[told], held.matrix[told]),
        "seconds": round(seconds, 1),
    }


def _found(
    warm: WarmStart,
    people: NDArray[Any],
    active: NDArray[Any],
    names: NDArray[Any],
    truth: sp.csr_matrix,
) -> dict[str, Any]:
    """Shares of the buyers `truth` (n_items, n_people) of items that are listed, with intervals;
    `active` are the people by falling activity.
    """
    listed, _ = warm.audience(names, n=LISTED)
    popular = np.tile(active[:LISTED], (len(names), 1))
    buyers = np.diff(truth.indptr)
    shares = {}
    for who, lists in (("by title", listed), ("most active people", popular)):
        hits = [
            np.isin(people[row.indices], ids).sum() for row, ids in zip(truth, lists, strict=True)
        ]
        shares[who] = [round(v, 4) for v in ratio_of_means(hits, buyers, rng=SEED)]
    return {"items": len(names), **shares}


if __name__ == "__main__":
    main()
