"""Measure arms on people who lost their target rows: full ranking, intervals, paired tests."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from coldstart import machine
from coldstart.arms import Arm, People, Task, make_arms
from coldstart.errors import AlignmentError
from coldstart.heldout import Order, Ranked
from coldstart.interactions import Interactions
from coldstart.metrics import METRICS, coverage
from coldstart.metrics import metric as metric_named
from coldstart.protocols import PROTOCOLS, Split, task_of
from coldstart.results import Comparison, Results, Row
from coldstart.statistics import bootstrap_interval, holm, sign_flip_p

__all__ = ["DEFAULT_ARMS", "evaluate"]

DEFAULT_ARMS = (
    "popularity",
    "cold",
    "mean-prior",
    "init",
    "neighbours",
    "linear-rows",
    "joint",
    "warm:ridge",
)


def evaluate(
    source: Interactions,
    target: Interactions,
    *,
    side: str = "users",
    protocol: str = "cold",
    shots: Sequence[int] = (0, 1, 2, 5),
    arms: Sequence[str | Arm] = DEFAULT_ARMS,
    factors: int = 64,
    n: int = 10,
    metric: str = "ndcg",
    rng: int = 0,
    test_share: float = 0.2,
    validation_share: float = 0.2,
    order: Order = "auto",
    same_people: bool = False,
    num_threads: int = 0,
    show_progress: bool = False,
) -> Results:
    """Compare ways to serve people whom the target catalog has never seen.

    A share of the anchors loses all target interactions before anything of the target is fitted;
    `shots` of them come back; every arm ranks the full training catalog without what came back.
    Arms tune on validation people, a second such group. The best arm without a source is chosen on
    them too, for each number of shots, and every other arm is compared with it, person by person.
    An arm that would need the two catalogs aligned without anchors, where they cannot be, is left
    out, and named with the reason in ``config["unavailable"]``.

    Parameters
    ----------
    source, target : Interactions
    side : {"users", "items"}
        Who is held out. With "items", users are ranked for new items.
    protocol : {"cold"}
    shots : sequence of int
        How many interactions come back.
    arms : sequence of names, or of objects that follow `coldstart.arms.Arm`
    factors : int
        Width of factor models.
    n : int
        Length of the lists.
    metric : str
        What arms are tuned and compared by: "ndcg", "recall", "mrr" or "hit_rate". All of them are
        reported.
    rng : int
        Seed of the split and of the models.
    test_share, validation_share : float
        Of the anchors with at least 5 interactions on both sides.
    order : {"auto", "time", "random"}
        In which order interactions come back; "auto" is time where there is any.
    same_people : bool, default False
        Measure every number of shots on those who have something left to find at the largest,
        instead of on all who have at that number.

    Returns
    -------
    Results

    Raises
    ------
    ValueError
        For an unknown arm, metric or protocol, arms of the same name, or numbers out of range.
    TypeError
        When source or target are not interactions, or something among `arms` is no arm.
    AnchorError
        When too few people are in both catalogs, or no arm is available.
    """
    _check_names(side, protocol, metric)
    _check_whole(1, factors=factors, n=n)
    _check_whole(0, rng=rng, num_threads=num_threads)
    shots, chosen = _ascending(shots), make_arms(arms)
    source, target = _swapped_for(side, source, target)
    rule = PROTOCOLS[protocol](test_share, validation_share, order=order)
    split = rule.split(source, target, side=side, seed=rng)
    task = task_of(
        split,
        source,
        shots=shots,
        metric=metric,
        n=n,
        factors=factors,
        seed=rng,
        num_threads=num_threads,
        side=side,
    )
    shown = tqdm(chosen, desc="arms", disable=not show_progress)
    measured, unavailable = _measure_all(shown, task, split.test, same_people)
    return Results(
        config=_config(task, split, measured, source, target, rule)
        | {"same_people": same_people, "unavailable": unavailable},
        rows=tuple(row for one in measured for k in shots for row in _rows(one, task, k)),
        comparisons=tuple(
            row for k in shots for name in METRICS for row in _comparisons(measured, task, k, name)
        ),
        timings={one.arm.name: one.seconds for one in measured},
    )


@dataclass(frozen=True, eq=False)
class _Measured:
    """The ranked lists of one arm, who counts, and how well it did on the validation people."""

    arm: Arm
    ranked: dict[int, Ranked]
    counted: dict[int, NDArray[np.bool_]]
    validation: dict[int, float]
    seconds: dict[str, float] = field(default_factory=dict)


def _measure_all(
    arms: Iterable[Arm], task: Task, test: People, same_people: bool
) -> tuple[list[_Measured], dict[str, str]]:
    """Every arm measured, and by name why others are not: catalogs that cannot be aligned without
    anchors say something of those arms, and nothing of the rest.
    """
    measured, unavailable = [], {}
    for arm in arms:
        try:
            measured.append(_measure(arm, task, test, same_people))
        except AlignmentError as error:
            unavailable[arm.name] = str(error)
    if not measured:
        told = "; ".join(f"{name}: {why}" for name, why in unavailable.items())
        raise AlignmentError(f"no arm is available ({told}): add others, for example popularity")
    return measured, unavailable


def _measure(arm: Arm, task: Task, test: People, same_people: bool) -> _Measured:
    began = time.perf_counter()
    arm.fit(task)
    fitted = time.perf_counter()
    ranked = {k: _ranked(arm, task, test, k) for k in task.shots}
    predicted = time.perf_counter()
    last = max(task.shots)  # whoever has something left then has it before
    counted = {k: ranked[last if same_people else k].relevant > 0 for k in task.shots}
    validation = {}
    if not arm.uses_source:  # one of them is what the others are compared with
        for k in task.shots:
            scores = arm.scorer(task.validation.source, task.validation.held.history(k), k)
            validation[k] = task.mean_quality(scores, task.validation, k)
    return _Measured(
        arm, ranked, counted, validation, {"fit": fitted - began, "predict": predicted - fitted}
    )


def _ranked(arm: Arm, task: Task, people: People, shots: int) -> Ranked:
    scores = arm.scorer(people.source, people.held.history(shots), shots)
    return people.held.rank_all(
        scores, shots, n=task.n, order=task.order, num_threads=task.num_threads
    )


def _per_person(one: _Measured, shots: int, names: Sequence[str]) -> NDArray[np.float64]:
    """Metrics (n_people, n_metrics) of the people who count."""
    ranked, known = one.ranked[shots], one.counted[shots]
    columns = [metric_named(name)(ranked.hits[known], ranked.relevant[known]) for name in names]
    return np.stack(columns, axis=1)


def _rows(one: _Measured, task: Task, shots: int) -> list[Row]:
    values = _per_person(one, shots, tuple(METRICS))
    low, high = bootstrap_interval(values, rng=task.seed)
    people = len(values)
    rows = [
        Row(one.arm.name, shots, name, task.n, mean, float(low[place]), float(high[place]), people)
        for place, (name, mean) in enumerate(zip(METRICS, _means(values), strict=True))
    ]
    share = coverage(one.ranked[shots].columns, len(task.train.items))
    nan = float("nan")
    return [*rows, Row(one.arm.name, shots, "coverage", task.n, share, nan, nan, people)]


def _means(values: NDArray[np.float64]) -> list[float]:
    return [float(column.mean()) if len(column) else float("nan") for column in values.T]


def _comparisons(
    measured: Sequence[_Measured], task: Task, shots: int, name: str
) -> list[Comparison]:
    """Every arm against the arm without a source that was best on the validation people."""
    without = [one for one in measured if not one.arm.uses_source]
    if not without:
        return []
    baseline = max(without, key=lambda one: one.validation[shots])
    others = [one for one in measured if one is not baseline]
    if not others:
        return []
    reference = _per_person(baseline, shots, (name,))
    differences = np.hstack([_per_person(one, shots, (name,)) - reference for one in others])
    low, high = bootstrap_interval(differences, rng=task.seed)
    p = sign_flip_p(differences, rng=task.seed)
    corrected = holm(p)
    return [
        Comparison(
            arm=one.arm.name,
            baseline=baseline.arm.name,
            shots=shots,
            metric=name,
            n=task.n,
            difference=difference,
            ci_low=float(low[place]),
            ci_high=float(high[place]),
            p=float(p[place]),
            p_holm=float(corrected[place]),
            users=len(reference),
        )
        for place, (one, difference) in enumerate(zip(others, _means(differences), strict=True))
    ]


def _config(
    task: Task,
    split: Split,
    measured: Sequence[_Measured],
    source: Interactions,
    target: Interactions,
    rule: Any,
) -> dict[str, Any]:
    return {
        "side": task.side,
        "protocol": type(rule).__name__.lower(),
        "test_share": rule.test_share,
        "validation_share": rule.validation_share,
        "order": "random" if target.timestamps is None or rule.order == "random" else "time",
        "shots": task.shots,
        "arms": [one.arm.name for one in measured],
        "uses_source": {one.arm.name: one.arm.uses_source for one in measured},
        "metric": task.metric,
        "n": task.n,
        "factors": task.factors,
        "seed": task.seed,
        "source": _size(source),
        "target": _size(target),
        "train": _size(split.train),
        "eligible": split.eligible,
        "test": len(split.test),
        "validation": len(split.validation),
        "test_interactions_outside_catalog": int(split.test.held.dropped.sum()),
        "settings": {one.arm.name: one.arm.settings() for one in measured},
        **machine.described(),
    }


def _size(log: Interactions) -> dict[str, int]:
    rows, columns = log.shape
    return {"rows": rows, "columns": columns, "interactions": log.nnz, "repeated": log.repeated}


def _swapped_for(side: str, *logs: Interactions) -> Iterator[Interactions]:
    """The logs, with those who are held out as their rows."""
    for log in logs:
        if not isinstance(log, Interactions):
            raise TypeError(f"source and target must be Interactions, got {type(log).__name__}")
        yield log.T if side == "items" else log


def _check_names(side: str, protocol: str, metric: str) -> None:
    if side not in ("users", "items"):
        raise ValueError(f'side must be "users" or "items", got {side!r}')
    if protocol not in PROTOCOLS:
        raise ValueError(f"unknown protocol {protocol!r}: known are {', '.join(PROTOCOLS)}")
    metric_named(metric)


def _check_whole(least: int, **numbers: object) -> None:
    for name, value in numbers.items():
        if not isinstance(value, Integral) or int(value) < least:
            raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}")


def _ascending(shots: Sequence[int]) -> tuple[int, ...]:
    """The numbers of shots, each once."""
    asked = list(shots) if isinstance(shots, Iterable) else []
    if not asked or not all(isinstance(k, Integral) and k >= 0 for k in asked):
        raise ValueError(f"shots must be whole numbers of at least 0, got {shots!r}: pass (0, 5)")
    return tuple(sorted({int(k) for k in asked}))
