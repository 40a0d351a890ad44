"""Every target model, warm against the same model cold, on people who lost their target rows.

    python benchmarks/target_models.py --data ../shared/data

writes `benchmarks/results/target_models.json`, run by run. The protocol is that of `evaluate`: a
fifth of the anchors loses all target interactions before anything is fitted, `shots` of them come
back, and the full catalog is ranked, NDCG@10.

Warm is `WarmStart` with its gate and with `RidgeAdapter`, beside which only the target model is
tuned. Cold is the best way that the same held-out people choose without the source among the same
target models: rows around zero or around a mean, each with its temper and ridge. Warm is compared
with it, and with the best way of all without a source (lists of what is popular among them). For
models that cannot fold in, `retrained` is what their users do today: the library's own training
with the people's shots among the rows, by cold's settings.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from implicit.cpu.als import AlternatingLeastSquares
from implicit.cpu.bpr import BayesianPersonalizedRanking
from implicit.cpu.lmf import LogisticMatrixFactorization
from lightfm import LightFM
from numpy.typing import NDArray
from study import FOLDER, Study, read_pair

from coldstart import PriorALS, WarmStart
from coldstart.adapters import AutoAdapter, RidgeAdapter
from coldstart.arms import Task
from coldstart.protocols import PROTOCOLS, task_of
from coldstart.search import NullChoice
from coldstart.statistics import bootstrap_interval, sign_flip_p
from coldstart.transfer import target_space
from coldstart.trials import Apart
from coldstart.tuning import Found

PAIRS = {
    "amazon Food -> Kitchen": "users",
    "yelp Restaurants -> Nightlife": "users",
    "xmrec uk -> de": "items",
}
WIDTH = 32
MODELS: dict[str, Callable[[int, int], Any]] = {
    "PriorALS": lambda width, seed: PriorALS(width, rng=seed),
    "implicit ALS": lambda width, seed: AlternatingLeastSquares(
        width, regularization=20.0, alpha=20.0, random_state=seed
    ),
    "BPR": lambda _, seed: BayesianPersonalizedRanking(
        WIDTH, learning_rate=0.05, random_state=seed
    ),
    "LMF": lambda _, seed: LogisticMatrixFactorization(WIDTH, random_state=seed),
    **{
        f"LightFM {loss}": lambda _, seed, loss=loss: LightFM(WIDTH, loss=loss, random_state=seed)
        for loss in ("warp", "bpr", "warp-kos", "logistic")
    },
}
SHOTS = (0, 1, 2, 5)

Quality = NDArray[np.float64]


class Watched(WarmStart):
    """A warm start that keeps what held-out people found."""

    found: Found
    models: Any

    def _find(self, models: Any, *args: Any) -> Found | None:
        found = super()._find(models, *args)
        assert found is not None
        self.found, self.models = found, models
        return found


def main() -> None:
    """Run what is missing and write the file after every run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--pairs", nargs="*", default=list(PAIRS), choices=list(PAIRS))
    parser.add_argument("--models", nargs="*", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--seeds", nargs="*", type=int, default=[0])
    parser.add_argument("--out", type=Path, default=FOLDER / "target_models.json")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", "LightFM was compiled without OpenMP")
    study = Study.at(options.out, shots=SHOTS, width=WIDTH)
    for seed in options.seeds:
        for name in options.models:
            for pair in options.pairs:
                key = {"pair": pair, "model": name, "seed": seed}
                if study.find(**key) is None:
                    run = study.add({**key, **_run(options.data, **key)})
                    print(run, file=sys.stderr, flush=True)
                    study.save()


def _run(data: Path, pair: str, model: str, seed: int) -> dict[str, Any]:
    source, target, width = read_pair(data, pair)
    side = PAIRS[pair]
    split = PROTOCOLS["cold"](0.2, 0.2, order="auto").split(source, target, side=side, seed=seed)
    settings = {"metric": "ndcg", "n": 10, "factors": width, "seed": seed, "side": side}
    task = task_of(split, source, shots=SHOTS, num_threads=0, **settings)
    began = time.perf_counter()
    given = (source, split.train) if side == "users" else (source.T, split.train.T)
    warm = Watched(
        MODELS[model](width, seed),
        AutoAdapter([RidgeAdapter()], budget=None),
        side=side,  # type: ignore[arg-type]
        source_model=PriorALS(width, rng=seed),
        rng=seed,
    ).fit(*given)
    seconds = time.perf_counter() - began
    null = warm.found.null(popular=False)
    cold = Cold(task, split.test, warm.models.targets[null.target], null)
    people = {
        "warm": _warm(warm, task, split.test),
        "cold": cold.folded(),
        "retrained": cold.retrained(),
    }
    gate = warm.report_.gate
    return {
        "people": [int((~np.isnan(row)).sum()) for row in people["warm"]],
        "ndcg": {arm: _percent(rows) for arm, rows in people.items()},
        "warm minus cold": {
            k: compared(a, b, seed)
            for k, a, b in zip(SHOTS, people["warm"], people["cold"], strict=True)
        },
        "popularity": _percent(_popular(task, split.test)),
        "gate": None if gate is None else list(gate.open),
        "target": warm.report_.model,
        "cold target": str(warm.models.targets[null.target]),
        "cold arms": {k: str(arm) for k, arm in null.arms.items()},
        "seconds": round(seconds, 1),
    }


def _warm(warm: WarmStart, task: Task, people: Any) -> list[Quality]:
    served = warm.served_
    rows = served.mapped.ids.rows(task.source.users.ids[people.source], missing="mask")
    columns = served.catalog(served.other)
    found = []
    for k in SHOTS:
        queries = served.queries(served.mapped, rows, people.held.history(k), 0)
        found.append(_quality(task, people, queries, columns, k))
    return found


class Cold:
    """A target model of the training catalog, and the people by it, without the source."""

    def __init__(self, task: Task, people: Any, target: Any, null: NullChoice) -> None:
        self.task, self.people, self.target, self.null = task, people, target, null

    def folded(self) -> list[Quality]:
        """Rows folded in by the arms that held-out people chose."""
        task, train = self.task, self.task.train
        trained = self.target.fit(train.user_items)
        space = target_space(trained, train)
        ridge = self.target.regularization
        apart = Apart(trained, ridge, space, task.anchors.target, task.num_threads)
        found = []
        for k, arm in self.null.arms.items():
            rows = apart.solve(self.people.held.history(k), *apart.null(arm))
            found.append(_quality(task, self.people, apart.ranked(rows), apart.columns, k))
        return found

    def retrained(self) -> list[Quality]:
        """Rows that the library learns with the shots in its training, from the first shot on."""
        found, n = [], self.task.train.shape[0]
        for k in SHOTS[1:]:
            matrix = sp.vstack([self.task.train.user_items, self.people.held.history(k)]).tocsr()
            trained = self.target.fit(matrix)
            rows = trained.layout.rows(trained.rows[n:])
            columns = trained.layout.columns(trained.columns)
            found.append(_quality(self.task, self.people, rows, columns, k))
        return found


def _quality(task: Task, people: Any, rows: Any, columns: Any, shots: int) -> Quality:
    return task.quality(lambda block: rows[block] @ columns.T, people, shots)


def _popular(task: Task, people: Any) -> list[Quality]:
    counts = np.bincount(task.train.user_items.indices, minlength=task.train.shape[1])
    rows = np.ones((len(people), 1))
    return [_quality(task, people, rows, counts[:, None].astype(float), k) for k in SHOTS]


def _percent(rows: list[Quality]) -> list[float]:
    return [round(100 * float(np.nanmean(row)), 3) for row in rows]


def compared(warm: Quality, cold: Quality, seed: int) -> list[float]:
    """Difference in points with its 95% interval, and the p of a sign flip test."""
    difference = (warm - cold)[~np.isnan(warm)][:, None]
    low, high = bootstrap_interval(difference, rng=seed)
    p = sign_flip_p(difference, rng=seed)
    points = (100 * float(v) for v in (difference.mean(), low[0], high[0]))
    return [*(round(v, 3) for v in points), round(float(p[0]), 5)]


if __name__ == "__main__":
    main()
