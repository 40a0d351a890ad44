"""Quality against epochs of the library's own training, warm and cold: is a start forgotten?

    python benchmarks/epochs.py --data ../shared/data

writes `benchmarks/results/epochs.json`. A fifth of the anchors loses all target interactions but
`shots`, as in `evaluate`, and is ranked for the rest, NDCG@10. Curves, by epochs:

`cold`    the library trains a fresh model so long with the people's shots among the rows
`naive`   rows and columns of a warm start are where its training begins, and nothing holds them:
          what presetting factors does
`warm`    the library trains on the target without these people so long; rows are solved around
          their priors in the model's loss, at the strength that held-out anchors chose
`mean`    the same around the mean of all rows: no source

`start` is the prior itself, before any interaction of the people is looked at. `chosen` is the
number of epochs that held-out anchors chose.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from study import FOLDER, Study, read_pair
from target_models import MODELS, PAIRS, Watched, compared

from coldstart import PriorALS
from coldstart.adapters import AutoAdapter, RidgeAdapter
from coldstart.anchors import find_anchors
from coldstart.protocols import PROTOCOLS, task_of
from coldstart.targets import Target
from coldstart.targets.stochastic import StochasticTarget
from coldstart.transfer import fit_adapter, null_priors, predict, source_space, target_space

NAMES = ("BPR", "LightFM warp")
EPOCHS = (1, 3, 10, 30, 100, 300)
SHOTS = (1, 5)

Quality = NDArray[np.float64]


def main() -> None:
    """Run what is missing and write the file after every run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--pairs", nargs="*", default=list(PAIRS)[:2], choices=list(PAIRS)[:2])
    parser.add_argument("--models", nargs="*", default=list(NAMES), choices=list(NAMES))
    parser.add_argument("--out", type=Path, default=FOLDER / "epochs.json")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", "LightFM was compiled without OpenMP")
    study = Study.at(options.out, epochs=EPOCHS)
    for name in options.models:
        for pair in options.pairs:
            if study.find(pair=pair, model=name) is None:
                began = time.perf_counter()
                run = study.add(
                    {"pair": pair, "model": name, **Curves(options.data, pair, name).run()}
                )
                print(run, round(time.perf_counter() - began), file=sys.stderr, flush=True)
                study.save()


class Curves:
    """One pair, one model."""

    def __init__(self, data: Path, pair: str, name: str) -> None:
        source, target, width = read_pair(data, pair)
        split = PROTOCOLS["cold"](0.2, 0.2, order="auto").split(
            source, target, side="users", seed=0
        )
        settings = {"metric": "ndcg", "n": 10, "factors": width, "seed": 0, "side": "users"}
        self.task = task_of(split, source, shots=SHOTS, num_threads=0, **settings)
        self.people = split.test
        model = PriorALS(width, rng=0)
        self.warm = Watched(
            MODELS[name](width, 0),
            AutoAdapter([RidgeAdapter()], budget=None, blend=False, shots=(0, *SHOTS)),
            source_model=model,
            rng=0,
        ).fit(source, split.train)
        self.origin = source_space(source, model, show_progress=False)

    def run(self) -> dict[str, Any]:
        """Every curve at every number of shots, and what held-out anchors chose."""
        choice = self.warm.found.choice
        target = self.warm.models.targets[choice.crossing.target]
        assert isinstance(target, StochasticTarget)
        epochs = sorted({*EPOCHS, target.epochs})
        found: dict[str, Any] = {"chosen": target.epochs, "curves": {}}
        people: dict[tuple[str, int, int], Quality] = {}
        for number in epochs:
            for (curve, k), quality in self._at(replace(target, epochs=number)).items():
                people[curve, k, number] = quality
        for curve in ("cold", "naive", "warm", "mean", "start"):
            for k in SHOTS:
                found["curves"][f"{curve} {k}"] = {
                    n: round(100 * float(np.nanmean(people[curve, k, n])), 3) for n in epochs
                }
        for k in SHOTS:
            best = max(epochs, key=lambda n, k=k: float(np.nanmean(people["cold", k, n])))
            mine = people["warm", k, target.epochs]
            found[f"warm minus start {k}"] = compared(mine, people["start", k, target.epochs], 0)
            found[f"warm minus best cold {k}"] = compared(mine, people["cold", k, best], 0)
        return found

    def _at(self, target: Target) -> dict[tuple[str, int], Quality]:
        train, task = self.task.train, self.task
        trained = target.fit(train.user_items)
        space = target_space(trained, train)
        anchors = find_anchors(self.origin.ids, train.users, side="users")
        adapter = fit_adapter(self.warm.adapter_, self.origin, space, anchors)
        said = predict(adapter, self.origin, self.people.source)
        mean = null_priors(space, anchors.target).take([0])
        columns = trained.layout.columns(trained.columns)
        found: dict[tuple[str, int], Quality] = {}

        def put(curve: str, k: int, rows: Any, columns: Any) -> None:
            found[curve, k] = task.quality(lambda block: rows[block] @ columns.T, self.people, k)

        for k in SHOTS:
            history = self.people.held.history(k)
            pull = self.warm.found.choice.pulls[k]
            around = said.centre(pull.centre).temper(pull.temper)
            ridge = pull.regularization(target.regularization)
            solve = trained.loss.solve
            rows = {
                "warm": solve(history, prior=around, regularization=ridge),
                "mean": solve(history, prior=mean, regularization=ridge),
                "start": around.mean.astype(np.float32),
            }
            for curve, values in rows.items():
                put(curve, k, trained.layout.rows(values), columns)
            matrix = sp.vstack([train.user_items, history]).tocsr()
            n = train.shape[0]
            cold = target.fit(matrix)
            put("cold", k, cold.layout.rows(cold.rows[n:]), cold.layout.columns(cold.columns))
            starts = np.vstack([trained.rows, around.mean]).astype(np.float32)
            naive = self._naive(target, matrix, starts, trained)
            put("naive", k, naive.layout.rows(naive.rows[n:]), naive.layout.columns(naive.columns))
        return found

    def _naive(self, target: Any, matrix: sp.csr_matrix, rows: Any, trained: Any) -> Any:
        """The library goes on from there, and nothing holds rows or columns."""
        begun = replace(trained, rows=rows, layout=replace(trained.layout, shift=None))
        model = target.told(begun, None, 0.0)
        log = sp.csr_matrix(matrix, dtype=np.float32, copy=True)
        log.sort_indices()
        if hasattr(model, "fit_partial"):
            model.fit_partial(log.tocoo(), epochs=target.epochs)
            users, items, biases = model.user_embeddings, model.item_embeddings, model.item_biases
        else:
            model.fit(log, show_progress=False)
            users, items = model.user_factors[:, :-1], model.item_factors[:, :-1]
            biases = model.item_factors[:, -1]
        return target.trained(users, np.hstack([items, biases[:, None]]), matrix)


if __name__ == "__main__":
    main()
