"""Time to quality: how soon a warm model is as good as a cold one, and what the cold one needs to
catch up.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coldstart import machine
from coldstart.arms import Task
from coldstart.errors import AnchorError
from coldstart.interactions import Interactions
from coldstart.metrics import metric as metric_named
from coldstart.protocols import Cold, Split, task_of
from coldstart.race import Measured, Race, compile_all, source_factors
from coldstart.results import write_json
from coldstart.statistics import bootstrap_interval

__all__ = ["CatchUp", "Duel", "Point", "catch_up"]

SCHEMA = 1
CLOSE = 0.95  # share of the cold model's best quality that is to be reached


@dataclass(frozen=True)
class Point:
    """Mean quality after some seconds at a number of shots, with its 95% interval.

    `sweep` is that of cold ALS; 0 is popularity, and the only one of a warm model is its last.
    """

    sweep: int
    seconds: float
    shots: int
    quality: float
    ci_low: float
    ci_high: float


@dataclass(frozen=True)
class Duel:
    """Warm against cold at one number of shots: seconds until 95% of the cold model's best quality.

    Attributes
    ----------
    shots : int
    best_sweep : int
        Of the cold model, 0 if popularity was better than any.
    best, warm : float
        The cold model's best quality, and that of the warm model.
    difference, ci_low, ci_high : float
        Warm minus cold at its best, paired over people.
    cold_seconds : float
    warm_seconds, warm_and_source_seconds : float or None
        Without and with the training of the source model; None where the warm model falls short.
    ratio : float or None
        Warm over cold seconds; None as well where popularity alone comes close.
    """

    shots: int
    best_sweep: int
    best: float
    warm: float
    difference: float
    ci_low: float
    ci_high: float
    cold_seconds: float
    warm_seconds: float | None
    warm_and_source_seconds: float | None
    ratio: float | None


@dataclass(frozen=True, repr=False)
class CatchUp:
    """What `catch_up` returns.

    Attributes
    ----------
    config : dict
    popularity : tuple of Point
        One for each number of shots.
    cold, warm : tuple of Point
        By sweep and number of shots; popularity at 0 shots is the first of `cold`.
    duels : tuple of Duel
        One for each number of shots.
    source_seconds : float
        To train the source model, in no point of `warm`.
    catch_up : int or None
        Interactions that a person must have until the cold side at its best serves them as well as
        the warm model serves people without any; None if more than were tried.
    people : dict
        How many were held out, measured, and left out for having nothing to find at most shots.
    """

    config: Mapping[str, Any]
    popularity: tuple[Point, ...]
    cold: tuple[Point, ...]
    warm: tuple[Point, ...]
    duels: tuple[Duel, ...]
    source_seconds: float
    catch_up: int | None
    people: Mapping[str, int]

    def __repr__(self) -> str:
        needed = f"more than {max(p.shots for p in self.cold)}"
        needed = needed if self.catch_up is None else str(self.catch_up)
        duels = "; ".join(
            f"shots {d.shots}: cold {d.best:.4f}, warm {d.warm:.4f}, to {CLOSE:.0%} "
            f"{d.cold_seconds:.2f} s and {_seconds(d.warm_seconds)}"
            for d in self.duels
        )
        return f"CatchUp({duels}; source {self.source_seconds:.2f} s; catch-up {needed})"

    def to_json(self) -> dict[str, Any]:
        """The content of ``benchmark.json``; what was not reached is None."""
        return {
            "schema": SCHEMA,
            "config": dict(self.config),
            "popularity": [asdict(point) for point in self.popularity],
            "cold": [asdict(point) for point in self.cold],
            "warm": [asdict(point) for point in self.warm],
            "source_seconds": self.source_seconds,
            "seconds_to_95": {str(duel.shots): asdict(duel) for duel in self.duels},
            "catch_up": self.catch_up,
            "people": dict(self.people),
        }

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write ``benchmark.json`` into `folder`, which is made; an older file is replaced at once,
        or not at all.
        """
        return write_json(self.to_json(), folder, "benchmark.json")


def catch_up(
    source: Interactions,
    target: Interactions,
    *,
    side: str = "users",
    shots: Sequence[int] = (0, 1, 2, 5, 10),
    factors: int = 64,
    n: int = 10,
    metric: str = "ndcg",
    rng: int = 0,
    test_share: float = 0.2,
    sweeps: int = 15,
    num_threads: int = 0,
) -> CatchUp:
    """Race a warm model against a cold one on people who lost their target rows.

    People are held out as by protocol ``cold`` of `evaluate`: the same test people and the same
    training catalog for the same seed, nothing of their target rows in it. They are to find what
    is left at the largest number of shots, and what comes back until then is ranked for nobody:
    people, columns and truth are the same for every number of shots, so that quality changes with
    what is known and not with what there is to find. (In `evaluate` people find all that has not
    come back yet: its figures differ below the largest number.) Quality is the mean metric over the
    full catalog; people without truth are left out and counted.

    The cold side is `PriorALS` without a prior, trained sweep by sweep; after each, people are
    folded in with their shots. It has the benefit of every doubt: its best sweep is chosen on the
    test people themselves, its ridge for each sweep and number of shots on validation people, both
    off the clock, and at 0 shots, where it knows nothing, popularity (sweep 0) counts as its own if
    that is better. It has caught up where either ALS or popularity has.

    The warm side is `WarmStart` with the ridge adapter on factors of a source model; its seconds
    are those of its whole `fit` (held-out people, strength, map and target model).

    Seconds are wall time of training. Everything has run once on a few people before, so compiling
    is not in them; neither is measuring quality.

    Parameters
    ----------
    source, target : Interactions
    side : {"users", "items"}
        Who is held out.
    shots : sequence of int
        Numbers of interactions that come back; 0 is always among them.
    factors : int
        Width of all models.
    n : int
        Length of the lists.
    metric : str
    rng : int
        Seed of the split and of the models.
    test_share : float
        Of the anchors with at least 5 interactions on both sides.
    sweeps : int
        Of the cold model, at most; the target model of the warm one has its usual number.
    num_threads : int

    Returns
    -------
    CatchUp

    Raises
    ------
    ValueError
        When an argument is out of range.
    AnchorError
        When too few people are in both catalogs, or have more interactions than the most shots.
    """
    _check(side, metric, shots, sweeps)
    if side == "items":
        source, target = source.T, target.T
    tried = tuple(sorted({0, *(int(k) for k in shots)}))
    split = Cold(test_share).split(source, target, side=side, seed=rng)
    counted = _with_truth(split, tried[-1])
    task = task_of(
        split,
        source,
        shots=tried,
        metric=metric,
        n=n,
        factors=factors,
        seed=rng,
        num_threads=num_threads,
        side=side,
    )
    compile_all(task)
    race = Race(task, split.test, counted)
    popular = list(race.popularity())
    cold = [popular[0], *race.cold(sweeps)]
    factored, source_seconds = source_factors(task)
    warm = list(race.warm(factored))
    return _result(race, split, popular, cold, warm, source_seconds, sweeps)


def _with_truth(split: Split, most: int) -> NDArray[np.bool_]:
    """Test people with something left to find at the most shots, (n_people,)."""
    counted: NDArray[np.bool_] = np.diff(split.test.held.truth(most).indptr) > 0
    if counted.sum() < 2:
        raise AnchorError(
            f"{counted.sum()} of {len(counted)} test people have more than {most} interactions, "
            "and at least 2 are needed: try fewer shots"
        )
    return counted


def _result(
    race: Race,
    split: Split,
    popular: list[Measured],
    cold: list[Measured],
    warm: list[Measured],
    source_seconds: float,
    sweeps: int,
) -> CatchUp:
    task = race.task
    best = {k: max((m for m in cold if m.shots == k), key=lambda m: m.mean) for k in task.shots}
    duels = [
        _duel(best[m.shots], [c for c in cold if c.shots == m.shots], m, source_seconds, task.seed)
        for m in warm
    ]
    reached = [m.shots for m in popular if max(m.mean, best[m.shots].mean) >= warm[0].mean]
    measured = int(race.counted.sum())
    return CatchUp(
        config=_config(task, split, sweeps),
        popularity=_points(popular, task.seed),
        cold=_points(cold, task.seed),
        warm=_points(warm, task.seed),
        duels=tuple(duels),
        source_seconds=source_seconds,
        catch_up=reached[0] if reached else None,
        people={
            "test": len(split.test),
            "measured": measured,
            "left_out": len(split.test) - measured,
        },
    )


def _duel(
    best: Measured, cold: list[Measured], warm: Measured, source_seconds: float, seed: int
) -> Duel:
    wanted = CLOSE * best.mean
    close = min((m for m in cold if m.mean >= wanted), key=lambda m: m.seconds)
    reached = warm.mean >= wanted
    low, high = bootstrap_interval((warm.values - best.values)[:, None], rng=seed)
    return Duel(
        shots=warm.shots,
        best_sweep=best.sweep,
        best=best.mean,
        warm=warm.mean,
        difference=warm.mean - best.mean,
        ci_low=float(low[0]),
        ci_high=float(high[0]),
        cold_seconds=close.seconds,
        warm_seconds=warm.seconds if reached else None,
        warm_and_source_seconds=warm.seconds + source_seconds if reached else None,
        ratio=warm.seconds / close.seconds if reached and close.sweep else None,
    )


def _points(measured: list[Measured], seed: int) -> tuple[Point, ...]:
    low, high = bootstrap_interval(np.stack([m.values for m in measured], axis=1), rng=seed)
    return tuple(
        Point(m.sweep, m.seconds, m.shots, m.mean, float(low[place]), float(high[place]))
        for place, m in enumerate(measured)
    )


def _config(task: Task, split: Split, sweeps: int) -> dict[str, Any]:
    return {
        "side": task.side,
        "shots": list(task.shots),
        "metric": task.metric,
        "n": task.n,
        "factors": task.factors,
        "seed": task.seed,
        "sweeps": sweeps,
        "num_threads": task.num_threads,
        "eligible": split.eligible,
        "test_interactions_outside_catalog": int(split.test.held.dropped.sum()),
        "source": _size(task.source),
        "train": _size(split.train),
        **machine.described(),
    }


def _size(log: Interactions) -> dict[str, int]:
    rows, columns = log.shape
    return {"rows": rows, "columns": columns, "interactions": log.nnz}


def _seconds(seconds: float | None) -> str:
    return "never" if seconds is None else f"{seconds:.2f} s"


def _check(side: str, metric: str, shots: Sequence[int], sweeps: int) -> None:
    if side not in ("users", "items"):
        raise ValueError(f'side must be "users" or "items", got {side!r}')
    metric_named(metric)
    if not all(isinstance(k, Integral) and k >= 0 for k in shots):
        raise ValueError(f"shots must be whole numbers of at least 0, got {shots!r}: pass (0, 5)")
    if not isinstance(sweeps, Integral) or sweeps < 1:
        raise ValueError(f"sweeps must be a whole number of at least 1, got {sweeps!r}")
