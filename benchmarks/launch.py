"""Launch of a whole catalog: only a share of the target interactions is there, on six pairs.

    python benchmarks/launch.py --data ../shared/data

writes `benchmarks/results/launch.json`, run by run. A fifth of all target interactions, drawn at
random, is the truth; of the rest a share is there to train on. With `--truth rest` everything that
is not there is the truth, as in the outside figures. Everybody with truth is tested, who has no row
too: the full catalog without what the person has is ranked, NDCG@10. On the items' side
(xmrec) rows are items, and the people are ranked for them.

Arms: `popularity`, `plain` (ALS) and `mean-prior`, tuned without the source; `refined`, tuned as
hard with it; `auto`, what the decision makes of them. Settings are chosen on hidden training
interactions alone. Intervals are for the difference to the best arm without a source, picked by the
test people themselves, which is to its favour.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from provenance import provenance
from reference import PAIRS

from coldstart import PriorALS
from coldstart.adapters import RidgeAdapter
from coldstart.datasets import read_interactions
from coldstart.metrics import hits, metric
from coldstart.ranking import recommend_rows
from coldstart.refine import KnownRows
from coldstart.refine_choice import RefineChoice, choose_refinement, fit_recipe
from coldstart.statistics import bootstrap_interval

RESULTS = Path(__file__).parent / "results" / "launch.json"
LAUNCHES = {
    **PAIRS,
    "amazon Beauty -> Electronics": ("amazon", "Beauty", "Electronics", "users", 64),
}
SHARES = (0.3, 0.05, 0.1, 1.0)
TRUTH = 0.2
SWEEPS = 3
BASELINES = ("popularity", "plain", "mean-prior")


@dataclass(frozen=True)
class Launch:
    """What is there of a target catalog, and what is the truth: a "fifth", or the "rest"."""

    pair: str
    share: float
    truth: str
    seed: int

    def split(
        self, matrix: sp.csr_matrix, rng: np.random.Generator
    ) -> tuple[sp.csr_matrix, sp.csr_matrix]:
        """What is there to train on, and the truth."""
        if self.truth == "rest":
            there = rng.random(matrix.nnz) < self.share
            return _part(matrix, there), _part(matrix, ~there)
        truth = rng.random(matrix.nnz) < TRUTH
        there = ~truth & (rng.random(matrix.nnz) < self.share)
        return _part(matrix, there), _part(matrix, truth)


def main() -> None:
    """Run what is missing and write the file after every run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--pairs", nargs="*", default=list(LAUNCHES), choices=list(LAUNCHES))
    parser.add_argument("--shares", nargs="*", type=float, default=list(SHARES))
    parser.add_argument("--truth", choices=["fifth", "rest"], default="fifth")
    parser.add_argument("--seeds", nargs="*", type=int, default=[0])
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    study = {**provenance(), "sweeps": SWEEPS, "runs": []}
    if options.out.exists():
        study["runs"] = json.loads(options.out.read_text())["runs"]
    done = {(run["pair"], run["share"], run["truth"], run["seed"]) for run in study["runs"]}
    for seed in options.seeds:
        for share in options.shares:
            for pair in options.pairs:
                launch = Launch(pair, share, options.truth, seed)
                if astuple(launch) not in done:
                    study["runs"].append(_run(options.data, launch, options.threads))
                    options.out.write_text(_lines(study))


def _lines(study: dict[str, Any]) -> str:
    """JSON with one line for each run."""
    head = json.dumps({**study, "runs": []}, indent=1).removesuffix("[]\n}")
    return head + "[\n" + ",\n".join(map(json.dumps, study["runs"])) + "\n]}\n"


def _run(data: Path, launch: Launch, threads: int) -> dict[str, Any]:
    name, source_name, target_name, side, factors = LAUNCHES[launch.pair]
    file = data / name / "interactions.csv.gz"
    source, target = (read_interactions(f"{file}#{d}") for d in (source_name, target_name))
    if side == "items":
        source, target = source.T, target.T
    rng = np.random.default_rng(launch.seed)
    train, truth = launch.split(target.user_items, rng)
    model = PriorALS(factors, rng=launch.seed, num_threads=threads)
    began = time.perf_counter()
    rows = source.users.rows(target.users.ids, missing="mask")
    known = np.flatnonzero(rows >= 0)
    origin = model.clone().fit(source.user_items, show_progress=False)
    there = source.user_items[rows[known]]
    known_rows = KnownRows(known, origin.fold_in(there), there)
    mapped = time.perf_counter()
    choice = choose_refinement(model, train, known_rows, RidgeAdapter(), sweeps=SWEEPS, rng=rng)
    chosen = time.perf_counter()
    people = _arms(model, train, truth, known_rows, choice)
    result = {
        **asdict(launch),
        "interactions": int(train.nnz),
        "people": len(people["plain"]),
        "without a row": int((np.diff(train.indptr)[np.diff(truth.indptr) > 0] == 0).sum()),
        "ndcg": {arm: round(100 * float(values.mean()), 3) for arm, values in people.items()},
        **_compared(people, launch.seed),
        "decision": str(choice),
        "seconds": {"source": round(mapped - began, 1), "choice": round(chosen - mapped, 1)},
    }
    print(json.dumps(result, indent=1), file=sys.stderr, flush=True)
    return result


def _part(matrix: sp.csr_matrix, mask: NDArray[np.bool_]) -> sp.csr_matrix:
    indptr = np.concatenate([[0], np.cumsum(mask)])[matrix.indptr]
    return sp.csr_matrix((matrix.data[mask], matrix.indices[mask], indptr), matrix.shape)


def _arms(
    model: PriorALS,
    train: sp.csr_matrix,
    truth: sp.csr_matrix,
    known: KnownRows,
    choice: RefineChoice,
) -> dict[str, NDArray[np.float64]]:
    """NDCG@10 of everybody with truth, by arm."""
    who = np.flatnonzero(np.diff(truth.indptr))
    sizes = np.diff(truth[who].indptr)

    def quality(rows: Any, items: Any) -> NDArray[np.float64]:
        columns, _ = recommend_rows(rows[who], items, 10, seen=train[who])
        return metric("ndcg")(hits(columns, truth[who]), sizes)

    popularity = np.bincount(train.indices, minlength=train.shape[1])[:, None]
    people = {"popularity": quality(np.ones((train.shape[0], 1)), popularity)}
    recipes = {"plain": choice.plain, "mean-prior": choice.model, "refined": choice.refined}
    for arm, recipe in recipes.items():
        fitted = fit_recipe(model, train, known, RidgeAdapter(), recipe)
        told = recipe.told(known, train.shape[0])
        people[arm] = quality(fitted.rows(train, told), fitted.items)
    null = "popularity" if choice.null.popular else "mean-prior"
    return people | {"auto": people["refined" if choice.keep else null]}


def _compared(people: dict[str, NDArray[np.float64]], seed: int) -> dict[str, Any]:
    """Differences to the best arm without a source, in points, with 95% intervals."""
    against = max(BASELINES, key=lambda arm: people[arm].mean())
    differences = np.stack([people[arm] - people[against] for arm in ("refined", "auto")], axis=1)
    low, high = bootstrap_interval(differences, rng=seed)
    means = differences.mean(axis=0)
    return {
        "against": against,
        **{
            f"{arm} minus it": [round(100 * float(v), 3) for v in (means[i], low[i], high[i])]
            for i, arm in enumerate(("refined", "auto"))
        },
    }


if __name__ == "__main__":
    main()
