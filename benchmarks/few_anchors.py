"""How much of a transfer is left where few people are in both catalogs.

    python benchmarks/few_anchors.py --data ../shared/data

writes `benchmarks/results/few_anchors.json`, run by run. The anchors are thinned to some, ten times
by chance (larger draws contain the smaller ones): the others get other ids in the source, so that
they are strangers there, and all rows of the target stay. Where few anchors are left, strangers
help to choose what serves without a source. Many of them were anchors here, like the people who are
tested, which is to the favour of gate and fallback: elsewhere they may differ more.

Measured are the test people of the protocol `cold`, whose target rows are gone before anything of
the target is fitted, and who take no part in any choice: popularity and mean prior are tuned on the
validation people of that protocol, however few anchors there are, which is to their favour; warm
starts choose on the anchors that are left. Interactions come back in random order, and NDCG@10 of
the full ranking is that of those who have something left to find at every number of shots.

The summary has, for every size, arm and number of shots, the mean over draws and people in percent,
the difference to the mean prior of the same draws in points, and the share that this is of the
arm's own difference with all anchors. Intervals are of 95%, over people, draws averaged within a
person: they do not hold the chance of other draws, whose standard deviation stands beside them.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from intervals import ratio_of_means
from numpy.typing import NDArray
from one_search import OneSearchArm
from reference import PAIRS
from study import FOLDER, Study, read_pair

from coldstart.adapters import CanonicalAdapter
from coldstart.anchors import find_anchors
from coldstart.arms import Arm, People, Task, make_arm
from coldstart.decision import Decision
from coldstart.interactions import Interactions
from coldstart.protocols import Cold, Split, task_of
from coldstart.statistics import bootstrap_interval
from coldstart.tuning import Found
from coldstart.vocabulary import Vocabulary

Array = NDArray[np.float64]

THINNED = ("amazon Food -> Kitchen", "yelp Restaurants -> Nightlife")
SIZES = (10, 30, 100, 300, 1000)
SHOTS = (0, 1, 5)
DRAWS = 10
SEED = 0
MEAN_PRIOR = "mean-prior"
UNIT = 1e-4  # of NDCG, in which sums over draws are kept


def main() -> None:
    """Run what is missing and write the file after every run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--pairs", nargs="*", default=list(THINNED), choices=list(PAIRS))
    parser.add_argument("--sizes", nargs="*", type=int, default=list(SIZES), help="beside all")
    parser.add_argument("--draws", nargs="*", type=int, default=list(range(DRAWS)))
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--out", type=Path, default=FOLDER / "few_anchors.json")
    options = parser.parse_args()
    study = Study.at(options.out, seeds=[SEED], shots=SHOTS, unit=UNIT)
    for pair in options.pairs:
        source, target, factors = read_pair(options.data, pair)
        split = Cold(order="random").split(source, target, side="users", seed=SEED)
        for draw, size in planned(options.draws, options.sizes, len(anchor_rows(source, split))):
            run = study.find(pair=pair, size=size)
            if run is None or draw not in [row["draw"] for row in run["draws"]]:
                run = run or study.add(begun(pair, size))
                add_draw(run, draw, *_measured(source, split, factors, size, draw, options.threads))
                study.summary = summary(study.runs)
                study.save()
                print(_line(run), file=sys.stderr, flush=True)


def _line(run: Mapping[str, Any]) -> str:
    """The draw just made: NDCG in percent at every number of shots."""
    draw = run["draws"][-1]
    arms = "; ".join(f"{arm} {np.round(100 * np.array(v), 2)}" for arm, v in draw["ndcg"].items())
    seconds = sum(draw["seconds"].values())
    return (
        f"{run['pair']}, {draw['anchors']} anchors, draw {draw['draw']}, {seconds:.0f} s: {arms}; "
        f"gate {draw['open']}"
    )


def planned(
    draws: Sequence[int], sizes: Sequence[int], anchors: int
) -> Iterable[tuple[int, int | None]]:
    """Draw and size of every run: all anchors (None) once, then each draw at all sizes below."""
    yield 0, None
    for draw in draws:
        for size in sizes:
            if size < anchors:
                yield draw, size


def anchor_rows(source: Interactions, split: Split) -> NDArray[np.int64]:
    """Source rows of the people who are in the training catalog too, in the order of their ids."""
    rows = find_anchors(source.users, split.train.users).source
    return rows[np.argsort(source.users.ids[rows], kind="stable")]


def thinned(
    source: Interactions, split: Split, size: int | None, rng: np.random.Generator
) -> Interactions:
    """The source, all but `size` of the anchors under other ids; None keeps them all."""
    anchors = anchor_rows(source, split)
    strangers = rng.permutation(anchors)[len(anchors) if size is None else size :]
    ids = source.users.ids.copy()
    if source.users.kind == "str":
        ids[strangers] = [f"stranger {name}" for name in ids[strangers]]
    else:
        highest = max(ids.max(), split.train.users.ids.max())
        ids[strangers] = highest + 1 + np.arange(len(strangers))
    return replace(source, users=Vocabulary(ids))


def _measured(
    source: Interactions, split: Split, factors: int, size: int | None, draw: int, threads: int
) -> tuple[dict[str, Array], dict[str, Any]]:
    """NDCG (n_shots, n_people) of every arm, and what else is worth knowing."""
    task = task_of(
        split,
        thinned(source, split, size, np.random.default_rng([SEED, draw])),
        shots=SHOTS,
        metric="ndcg",
        n=10,
        factors=factors,
        seed=SEED,
        num_threads=threads,
        side="users",
    )
    quality, seconds = {}, {}
    arms = _warm_arms()
    for name, arm in ({name: make_arm(name) for name in ("popularity", MEAN_PRIOR)} | arms).items():
        began = time.perf_counter()
        arm.fit(task)
        seconds[name] = round(time.perf_counter() - began, 1)
        quality[name] = _quality(arm, task, split.test)
    chosen, canonical = (arms[f"{name}, no gate"].settings() for name in ("auto", "canonical"))
    facts = {
        "anchors": len(task.anchors),
        "open": opened(arms["auto"].gate),
        "adapter": chosen["adapter"],
        "strength": chosen["strength"],
        "canonical": canonical["adapter"],
        "seconds": seconds,
    }
    return quality, facts


def _quality(arm: Arm, task: Task, test: People) -> Array:
    """NDCG (n_shots, n_people) of those who have something left to find at the most shots."""
    known = np.diff(test.held.truth(max(SHOTS)).indptr) > 0
    scorers = [arm.scorer(test.source, test.held.history(k), k) for k in SHOTS]
    return np.stack([task.quality(s, test, k)[known] for s, k in zip(scorers, SHOTS, strict=True)])


def opened(gate: Decision | None) -> list[bool]:
    """Whether people with so many `SHOTS` follow the source."""
    if gate is None:
        return [False] * len(SHOTS)
    return [gate.open[bucket] for bucket in gate.bucket(SHOTS)]


def _warm_arms() -> dict[str, OneSearchArm]:
    search: list[Found | None] = []
    arms = (
        OneSearchArm("auto", None, True, search),
        OneSearchArm("auto, no gate", None, False, search),
        OneSearchArm("canonical, no gate", CanonicalAdapter(), False, []),
    )
    return {arm.name: arm for arm in arms}


def begun(pair: str, size: int | None) -> dict[str, Any]:
    """A run without draws: sums of what people get, in units of `UNIT`, are added up in it."""
    return {"pair": pair, "size": size, "draws": [], "sums": {}}


def add_draw(
    run: dict[str, Any], draw: int, quality: Mapping[str, Array], facts: Mapping[str, Any]
) -> None:
    """Add the quality (n_shots, n_people) of every arm in one more draw."""
    for arm, values in quality.items():
        units = np.rint(values / UNIT).astype(np.int64)
        run["sums"][arm] = (units + np.array(run["sums"].get(arm, 0))).tolist()
    means = {arm: values.mean(axis=1).round(6).tolist() for arm, values in quality.items()}
    run["draws"].append({"draw": draw, "ndcg": means, **facts})


def people_of(run: Mapping[str, Any]) -> dict[str, Array]:
    """Quality (n_shots, n_people) of every arm, averaged over draws."""
    return {arm: np.array(sums) * UNIT / len(run["draws"]) for arm, sums in run["sums"].items()}


def summary(runs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What every arm is worth and keeps, by pair, size and number of shots."""
    whole = {run["pair"]: people_of(run) for run in runs if run["size"] is None}
    return [
        {"pair": run["pair"], "size": run["size"], "draws": len(run["draws"]), **row}
        for run in runs
        for row in _rows(run, whole[run["pair"]])
    ]


def _rows(run: Mapping[str, Any], whole: Mapping[str, Array]) -> Iterable[dict[str, Any]]:
    people = people_of(run)
    for place, shots in enumerate(SHOTS):
        for arm, quality in people.items():
            gain = quality[place] - people[MEAN_PRIOR][place]
            all_gain = whole[arm][place] - whole[MEAN_PRIOR][place]
            between = [
                draw["ndcg"][arm][place] - draw["ndcg"][MEAN_PRIOR][place] for draw in run["draws"]
            ]
            yield {
                "shots": shots,
                "arm": arm,
                "ndcg": round(100 * float(quality[place].mean()), 3),
                "difference": [round(100 * v, 3) for v in with_interval(gain)],
                "sd over draws": round(100 * float(np.std(between)), 3),
                "kept": kept(gain, all_gain),
                "opened": sum(draw["open"][place] for draw in run["draws"]),
            }


def with_interval(values: Array) -> list[float]:
    """Mean over people and its 95% interval."""
    low, high = bootstrap_interval(values[:, None], rng=SEED)
    return [float(values.mean()), float(low[0]), float(high[0])]


def kept(gain: Array, all_gain: Array) -> list[float] | None:
    """Share of the gain with all anchors and its interval; None where there is no gain to keep."""
    if with_interval(all_gain)[1] <= 0:
        return None
    return [round(v, 4) for v in ratio_of_means(gain, all_gain, rng=SEED)]


if __name__ == "__main__":
    main()
