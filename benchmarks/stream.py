"""New interactions in time order: what serves after each of ten steps, beside a full fit.

    python benchmarks/stream.py --data ../shared/data

writes `benchmarks/results/stream.json`. The target's interactions are sorted by time. The first
half is fitted with the source; each tenth of the rest is ranked before it arrives: NDCG@10 over the
full catalog of everybody in it, known or not, for whom the step has an item that they did not have
and that was seen before. Ways to go on with what arrived:

`none`       nothing is learned; what arrived is left out of the lists
`update`     rows and new columns folded in
`refit`      `refit(new)` with each step
`restart`    `refit(all_interactions=...)` with everything so far
`full`       `fit` from scratch, with all its choices
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from implicit.cpu.bpr import BayesianPersonalizedRanking
from numpy.typing import NDArray
from study import FOLDER, Study

from coldstart import Interactions, PriorALS, WarmStart
from coldstart.adapters import RidgeAdapter
from coldstart.datasets import read_interactions
from coldstart.statistics import bootstrap_interval

STREAMS = {
    "amazon Food -> Kitchen": ("Food", "Kitchen"),
    "amazon Kitchen -> Electronics": ("Kitchen", "Electronics"),
}
MODELS: dict[str, Callable[[], Any]] = {
    "PriorALS": lambda: PriorALS(64, rng=0),
    "BPR": lambda: BayesianPersonalizedRanking(32, learning_rate=0.05, random_state=0),
}
STEPS = 10
WAYS = ("none", "update", "refit", "restart", "full")


def main() -> None:
    """Run what is missing and write the file after every run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--pairs", nargs="*", default=list(STREAMS), choices=list(STREAMS))
    parser.add_argument("--models", nargs="*", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--out", type=Path, default=FOLDER / "stream.json")
    options = parser.parse_args()
    study = Study.at(options.out, steps=STEPS)
    for pair in options.pairs:
        for model in options.models:
            if study.find(pair=pair, model=model) is None:
                run = study.add({"pair": pair, "model": model, **_run(options.data, pair, model)})
                print(run, flush=True)
                study.save()


def _run(data: Path, pair: str, model: str) -> dict[str, Any]:
    file = data / "amazon" / "interactions.csv.gz"
    source, target = (read_interactions(f"{file}#{name}") for name in STREAMS[pair])
    log = _in_order(target)
    half = len(log) // 2
    ends = np.linspace(half, len(log), STEPS + 1).astype(int)
    first = WarmStart(MODELS[model](), RidgeAdapter(), rng=0).fit(source, _log(log[:half]))
    ways: dict[str, WarmStart] = {way: copy.copy(first) for way in WAYS}
    quality: dict[str, list[NDArray[np.float64]]] = {way: [] for way in WAYS}
    seconds = dict.fromkeys(WAYS, 0.0)
    for begin, end in pairwise(ends):
        step, so_far = log[begin:end], log[:begin]
        for way, warm in ways.items():
            quality[way].append(_ranked(warm, so_far, step))
        news, everything = _log(step), _log(log[:end])
        for way in WAYS[1:]:
            began = time.perf_counter()
            ways[way] = _learned(ways[way], way, source, news, everything, MODELS[model]())
            seconds[way] += time.perf_counter() - began
    wholes = [[scores] for scores in quality["full"]]
    return {
        "first": half,
        "people": [len(step) for step in quality["none"]],
        "ndcg": {w: [round(100 * float(s.mean()), 3) for s in q] for w, q in quality.items()},
        "mean after the first step": {w: _mean(q[1:]) for w, q in quality.items()},
        "minus full": {
            w: _difference(quality[w][1:], quality["full"][1:]) for w in WAYS if w != "full"
        },
        "minus full, each step": {
            way: [
                _difference(*pair) for pair in zip(([q] for q in quality[way]), wholes, strict=True)
            ]
            for way in WAYS
            if way != "full"
        },
        "seconds": {w: round(s, 2) for w, s in seconds.items()},
    }


def _learned(
    warm: WarmStart,
    way: str,
    source: Interactions,
    news: Interactions,
    everything: Interactions,
    model: Any,
) -> WarmStart:
    if way == "update":
        return warm.update(news)
    if way == "refit":
        return warm.refit(news)
    if way == "restart":
        return warm.refit(all_interactions=everything)
    return WarmStart(model, RidgeAdapter(), rng=0).fit(source, everything)


def _in_order(target: Interactions) -> pl.DataFrame:
    matrix = target.user_items.tocoo()
    assert target.timestamps is not None
    users, items = target.users.ids[matrix.row], target.items.ids[matrix.col]
    frame = pl.DataFrame({"user": users.tolist(), "item": items.tolist(), "t": target.timestamps})
    return frame.sort("t", maintain_order=True)


def _log(frame: pl.DataFrame) -> Interactions:
    return Interactions.from_frame(frame, timestamp="t")


def _ranked(warm: WarmStart, so_far: pl.DataFrame, step: pl.DataFrame) -> NDArray[np.float64]:
    """NDCG@10 of everybody in the step with a new item that somebody had before."""
    known = set(so_far["item"].unique().to_list())
    had = so_far.group_by("user").agg("item")
    before = dict(zip(had["user"].to_list(), map(set, had["item"].to_list()), strict=True))
    truth = {}
    for user, items in step.group_by("user", maintain_order=True).agg("item").iter_rows():
        wanted = {item for item in items if item in known} - before.get(user, set())
        if wanted:
            truth[user] = wanted
    people = list(truth)
    ids, _ = warm.recommend(people, n=10 + max(map(len, before.values())), missing="popular")
    gains = 1 / np.log2(np.arange(2, 12))
    found = np.zeros(len(people))
    for place, (user, ranked) in enumerate(zip(people, ids, strict=True)):
        seen = before.get(user, set())
        new = [item for item in ranked if item not in seen and item is not None][:10]
        hits = np.array([item in truth[user] for item in new])
        found[place] = (gains[: len(new)] * hits).sum() / gains[: len(truth[user])].sum()
    return found


def _mean(steps: list[NDArray[np.float64]]) -> float:
    return round(100 * float(np.concatenate(steps).mean()), 3)


def _difference(one: list[NDArray[np.float64]], other: list[NDArray[np.float64]]) -> list[float]:
    difference = (np.concatenate(one) - np.concatenate(other))[:, None]
    low, high = bootstrap_interval(difference, rng=0)
    return [round(100 * float(v), 3) for v in (difference.mean(), low[0], high[0])]


if __name__ == "__main__":
    main()
