"""Measure arms on people who lost their target rows: full ranking, intervals, paired tests."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from coldstart import machine
from coldstart.anchors import find_anchors
from coldstart.arms import Arm, Task, make_arms
from coldstart.conditions import conditions
from coldstart.examples import examples
from coldstart.heldout import Order
from coldstart.interactions import Interactions
from coldstart.investigation import investigate, main_pool
from coldstart.metrics import metric as metric_named
from coldstart.mixed_lists import mixed_lists
from coldstart.pool import Pool
from coldstart.protocols import LEVELS, PROTOCOLS, Drawn, Hiding, series, task_of
from coldstart.results import Results
from coldstart.sentence import mixed_sentence
from coldstart.sitting import available, sit
from coldstart.standings import comparisons_of, rows_of
from coldstart.twins import twin_columns

__all__ = ["DEFAULT_ARMS", "arms_for", "evaluate"]

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


SHOTS = {"cold": (0, 1, 2, 5), "launch": (0,), "temporal": (0, 1, 2)}
LAUNCHED = ("launch", "temporal")  # protocols whose people may be in the training catalog


def arms_for(protocol: str) -> tuple[str, ...]:
    """The arms that are compared by default: without "init" where those who are tested are trained
    on, for it would have them twice.
    """
    return tuple(arm for arm in DEFAULT_ARMS if protocol not in LAUNCHED or arm != "init")


def evaluate(
    source: Interactions,
    target: Interactions,
    *,
    side: str = "users",
    protocol: str | Hiding | Sequence[Hiding] | Drawn = "cold",
    levels: Sequence[float] | None = None,
    shots: Sequence[int] | None = None,
    arms: Sequence[str | Arm] | None = None,
    factors: int = 64,
    n: int = 10,
    metric: str = "ndcg",
    rng: int = 0,
    seeds: int = 1,
    trials: int | None = None,
    budget: float | None = None,
    test_share: float = 0.2,
    validation_share: float = 0.2,
    order: Order = "auto",
    same_people: bool = False,
    titles: Mapping[str, str] | None = None,
    names: tuple[str, str] = ("the source", "the target"),
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
    protocol : {"cold", "mixed", "launch", "temporal", "anchors", "sampled"}, or protocols
        What held-out people lose, and what they are to find: a name, or values such as
        ``Launch(0.3)`` of `coldstart.protocols`. "sampled" ranks one positive against 999
        negatives; its figures are biased, and only to be set beside published ones. Splits that
        were drawn before (`Drawn.load`) are taken as they are.
    levels : sequence of numbers, optional
        Shares of the log for "launch", by default 5, 10, 30 and 100%, and numbers of anchors for
        "anchors", by default 10, 30, 100 and all.
    shots : sequence of int, optional
        How many interactions come back: 0, 1, 2 and 5 by default, none for "launch", and up to 2
        for "temporal", whose people have few after the cut.
    arms : sequence of names, or of objects that follow `coldstart.arms.Arm`, optional
        By default `arms_for` the protocol.
    factors : int
        Width of factor models.
    n : int
        Length of the lists.
    metric : str
        What arms are tuned and compared by, one of `coldstart.metrics.METRICS`. All of them are
        reported.
    rng : int
        Seed of the split and of the models.
    seeds : int, default 1
        How many seeds, from `rng` on. Intervals and p values then hold for other seeds, too.
    trials : int, optional
        Most settings that each arm may try on people who are not tested, for each number of shots:
        40 by default, but as many as its own budget allows for "auto".
    budget : float, optional
        Seconds that each arm may take for its trials; 240 for "auto" by default, else no limit.
        Results then depend on the speed of the machine.
    test_share, validation_share : float
        Of the anchors with at least 5 interactions on both sides.
    order : {"auto", "time", "random"}
        In which order interactions come back; "auto" is time where there is any.
    same_people : bool, default False
        Measure every number of shots on those who have something left to find at the largest,
        instead of on all who have at that number.
    titles : dict of str to str, optional
        Of items, by their ids as text, for the examples in a report.
    names : pair of str
        What source and target are called in words.

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
    _check_names(side, metric)
    _check_whole(1, factors=factors, n=n, seeds=seeds)
    _check_whole(0, rng=rng, num_threads=num_threads)
    _check_limits(trials, budget)
    kind = _name(protocol)
    shots = _ascending(SHOTS.get(kind, SHOTS["cold"]) if shots is None else shots)
    chosen = make_arms(arms_for(kind) if arms is None else arms)
    source, target = _swapped_for(side, source, target)
    if isinstance(protocol, Drawn):
        drawn = protocol
    else:
        settings = {"order": order, "test_share": test_share, "validation_share": validation_share}
        protocols, numbers = _protocols(protocol, levels, settings), range(rng, rng + seeds)
        drawn = Drawn.of(protocols, source, target, side=side, seeds=numbers)
    make_task = partial(
        task_of,
        shots=shots,
        metric=metric,
        n=n,
        factors=factors,
        num_threads=num_threads,
        side=side,
        trials=trials,
        budget=budget,
    )
    pools = _pools(drawn, chosen, make_task, same_people, show_progress)
    return _results(drawn, pools, kind, titles or {}, names)


def _results(
    drawn: Drawn,
    pools: Sequence[Pool],
    kind: str,
    titles: Mapping[str, str],
    names: tuple[str, str],
) -> Results:
    """Everything that is read off the pools."""
    main, (source, target) = main_pool(pools, kind), drawn.logs
    side = main.task.side
    found, lists = investigate(pools, kind, names, side), mixed_lists(main)
    told = None if found is None else found.to_json()
    if told is not None and lists is not None:
        told["sentence"] += mixed_sentence(lists, told["arm"], side)
    checks = conditions(main, drawn.protocols[0], source, target, found)
    return Results(
        config={**_config(drawn, pools), "names": list(names)},
        rows=tuple(row for pool in pools for row in rows_of(pool)),
        comparisons=tuple(row for pool in pools for row in comparisons_of(pool)),
        timings=_timings(pools),
        findings=told,
        gate=_gate(main),
        hygiene=[check.to_json() for check in checks],
        examples=[] if found is None else examples(main, found.shown, side, titles),
        mixed=lists,
        trials=_trials(pools),
        people=_joined([pool.table() for pool in pools]),
        drawn=drawn,
    )


def _name(protocol: Any) -> str:
    """Of a protocol, or of the first of several."""
    if isinstance(protocol, Drawn):
        protocol = protocol.protocols
    first = protocol if isinstance(protocol, str | Hiding) else next(iter(protocol), "")
    return first if isinstance(first, str) else str(getattr(first, "name", ""))


def _protocols(
    protocol: str | Hiding | Sequence[Hiding],
    levels: Sequence[float] | None,
    settings: dict[str, Any],
) -> list[Hiding]:
    """The values of a protocol, one for each level."""
    if isinstance(protocol, str):
        return series(protocol, levels, **settings)
    given = [protocol] if isinstance(protocol, Hiding) else list(protocol)
    if len(given) > 1 and any(one.name not in LEVELS for one in given):
        raise ValueError(
            "only protocols with levels, Launch or FewAnchors, can be evaluated together: "
            f"evaluate {', '.join(one.name for one in given)} one by one"
        )
    if levels is not None or not given or not all(isinstance(one, Hiding) for one in given):
        raise ValueError(
            f"protocol must be a name of {', '.join(PROTOCOLS)}, with levels or without, or "
            f"protocols such as Cold() without levels, got {protocol!r}"
        )
    return given


def _pools(
    drawn: Drawn,
    arms: Sequence[Arm],
    make_task: Callable[..., Task],
    same_people: bool,
    show_progress: bool,
) -> list[Pool]:
    """Every arm on every split; arms that are fitted more than once are copied before."""
    target, twins = drawn.logs[1], _twins(*drawn.logs)
    count = sum(map(len, drawn.splits))
    fresh = iter([arms] if count == 1 else [copy.deepcopy(arms) for _ in range(count)])
    pools = []
    with tqdm(desc="arms", disable=not show_progress, total=count * len(arms)) as bar:
        for together in drawn.splits:
            sittings = []
            for split in together:
                columns = split.train.items.rows(twins, missing="mask")
                task, then = make_task(split, split.source, seed=split.seed), split.earlier
                before = None if then is None else make_task(then, then.source, seed=split.seed)
                ready, there = _ticked(next(fresh), bar), columns[columns >= 0]
                sittings.append(
                    sit(split, task, target.users.ids, ready, twins=there, earlier=before)
                )
            pools.append(Pool(sittings, same_people))
    return pools


def _ticked(arms: Sequence[Arm], bar: Any) -> Iterator[Arm]:
    """The arms, one step of a progress bar for each that is done."""
    for arm in arms:
        yield arm
        bar.update()


def _timings(pools: Sequence[Pool]) -> dict[str, dict[str, float]]:
    """Seconds of every arm, summed up over sittings."""
    found: dict[str, dict[str, float]] = {}
    for pool in pools:
        for arm in pool.arms:
            total = found.setdefault(arm, {"fit": 0.0, "predict": 0.0})
            for one in pool.served(arm):
                for part, seconds in one.seconds.items():
                    total[part] += seconds
    return found


def _gate(pool: Pool) -> dict[str, str] | None:
    """What the gate of an arm decided, in words."""
    for arm in pool.arms:
        decision = getattr(pool.served(arm)[0].arm, "decision", None)
        if decision is not None:
            return {"arm": arm, "text": str(decision)}
    return None


def _trials(pools: Sequence[Pool]) -> dict[str, Any]:
    """Search space and every trial of the arms that made choices; where there are several sittings,
    each trial says by its number of which it is.
    """
    sittings = [sitting for pool in pools for sitting in pool.sittings]
    found: dict[str, Any] = {}
    for number, sitting in enumerate(sittings):
        for served in sitting.served:
            if hasattr(served.arm, "tuned"):
                told = served.arm.tuned.to_json()
                where = {"sitting": number} if len(sittings) > 1 else {}
                arm = found.setdefault(served.arm.name, {"space": told["space"], "trials": []})
                arm["trials"] += [{**trial, **where} for trial in told["trials"]]
    return found


def _joined(tables: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}


def _twins(source: Interactions, target: Interactions) -> NDArray[Any]:
    """Ids of target columns that are listed in the source as well; they describe, and decide
    nothing.
    """
    anchors = find_anchors(source.users, target.users, needed=False)
    return target.items.ids[twin_columns(source, target, anchors)]


def _config(drawn: Drawn, pools: Sequence[Pool]) -> dict[str, Any]:
    rule, (source, target), last = drawn.protocols[-1], drawn.logs, pools[-1]
    task, split, arms = last.task, last.sittings[0].split, last.arms
    served = {arm: last.served(arm)[0].arm for arm in arms}
    order = getattr(rule, "order", "time")
    return {
        "side": task.side,
        "protocol": rule.name,
        **vars(rule),
        "order": "random" if target.timestamps is None or order == "random" else "time",
        "shots": task.shots,
        "arms": arms,
        "uses_source": {arm: one.uses_source for arm, one in served.items()},
        "metric": task.metric,
        "n": task.n,
        "factors": task.factors,
        "seed": task.seed,
        "seeds": list(dict.fromkeys(sitting.split.seed for sitting in last.sittings)),
        "trials": task.most,
        "budget": task.budget,
        "source": _size(source),
        "target": _size(target),
        "train": _size(split.train),
        "eligible": split.eligible,
        "test": len(np.unique(last.people)),
        "measured": len(last.people),
        "validation": len(split.validation),
        "test_interactions_outside_catalog": int(split.test.held.dropped.sum()),
        "settings": {arm: one.settings() for arm, one in served.items()},
        "split": {"sha256": drawn.sha256},
        "levels": [pool.level for pool in pools if pool.level is not None],
        "same_people": last.same_people,
        "unavailable": {
            arm: why for pool in pools for arm, why in available(pool.sittings)[1].items()
        },
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


def _check_names(side: str, metric: str) -> None:
    if side not in ("users", "items"):
        raise ValueError(f'side must be "users" or "items", got {side!r}')
    metric_named(metric)


def _check_limits(trials: Any, budget: Any) -> None:
    if trials is not None:
        _check_whole(1, trials=trials)
    number = isinstance(budget, Real) and not isinstance(budget, bool)
    if budget is not None and not (number and float(budget) > 0):
        raise ValueError(f"budget must be None or a number of seconds above 0, got {budget!r}")


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
