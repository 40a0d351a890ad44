"""From a target model and an adapter to what held-out people choose."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from coldstart.adapters import AutoAdapter, ContentAdapter
from coldstart.adapters.base import Adapter, reads_features
from coldstart.anchors import Anchors
from coldstart.evidence import SoftGate
from coldstart.factors import Factors
from coldstart.features import Features
from coldstart.interactions import Interactions
from coldstart.search import (
    Choice,
    NullChoice,
    Outer,
    Plan,
    choose,
    choose_null,
    outer_quality,
    pull_space,
    soften,
    tempers,
    usable_shots,
)
from coldstart.strength import Strength
from coldstart.targets import Target
from coldstart.targets.prior_als import scaled
from coldstart.threads import one_blas_thread
from coldstart.transfer import Space, candidates, source_space
from coldstart.trials import Bench, Fold

__all__ = ["Found", "Home", "Limits", "Models", "find", "find_home", "models_of", "untested"]

FOLDS = 5
PEOPLE = 2000  # most people who are held out, over all folds
ACTIVE = 5  # interactions on both sides that make an anchor eligible
FEWEST = 10  # people below which nothing can be chosen
FEW = 300  # anchors below which rows that are none help to choose arms without a source
STRANGERS = 600  # such rows
SHOTS = (0, 1, 2, 5)

SOURCE_SETTINGS: tuple[dict[str, float], ...] = ({"alpha": 0.25}, {"alpha": 0.1})


@dataclass(frozen=True, eq=False)
class Models:
    """Source and target models that may be tried, the default ones first."""

    sources: Sequence[Callable[[], Space]]
    targets: Sequence[Target]


@dataclass(frozen=True)
class Limits:
    """What a search may cost: trials for each number of shots, and seconds; None is no limit of its
    own.
    """

    trials: int | None = None
    seconds: float | None = None


@dataclass(frozen=True, eq=False)
class Home:
    """What held-out people chose to serve where no source does.

    Parameters
    ----------
    bench : Bench
    plan : Plan
    null_shots : tuple of int
        Those that have an arm without a source of their own.
    """

    bench: Bench
    plan: Plan
    null_shots: tuple[int, ...]

    def null(self, target: int | None = None, *, popular: bool = True) -> NullChoice:
        """The arms without a source that serve, with that target model or the best one."""
        plan = replace(self.plan, shots=self.null_shots)
        with one_blas_thread():
            return choose_null(
                self.bench, plan, self.everybody, target, popular=popular, careful=True
            )

    @property
    def everybody(self) -> NDArray[np.bool_]:
        """All anchors (n_people,) who were held out."""
        return np.ones(len(self.bench.groups), bool)

    @cached_property
    def tempers(self) -> dict[int, float]:
        """How firmly to hold at a mean, for each number of shots, as strangers have it."""
        with one_blas_thread():
            return tempers(self.bench, self.null_shots, self.everybody)


@dataclass(frozen=True, eq=False)
class Found(Home):
    """What held-out people chose.

    Parameters
    ----------
    bench : Bench
    plan : Plan
    null_shots : tuple of int
    choice : Choice
    outer : Outer
        How people fared by choices made without them.
    """

    choice: Choice
    outer: Outer

    @property
    def adapter(self) -> Adapter:
        """The chosen one, unfitted, every setting decided."""
        return self.bench.adapters[self.choice.crossing.adapter]

    def space(self) -> dict[str, list[Any]]:
        """What there was to try; means of adapters are among the adapters once they were made."""
        knobs = pull_space(self.plan)
        return {
            "adapter": [repr(adapter) for adapter in self.bench.adapters],
            "source_model": list(range(self.plan.sources)),
            "target_model": list(range(self.plan.targets)),
            **knobs,
        }

    def trials(self) -> list[dict[str, Any]]:
        """Every trial, and whether it was chosen."""
        return self.bench.trials(self.choice.crossing, self.choice.pulls)

    @property
    def people(self) -> int:
        """How many were held out."""
        return len(self.bench.groups)

    @property
    def metric(self) -> str:
        """What was measured."""
        return f"{self.bench.metric_name}@{self.bench.n}"

    @cached_property
    def soft(self) -> SoftGate | None:
        """How far to trust the choice for each row, None where rows are not weighed."""
        if not self.plan.soft:
            return None
        return soften(self.bench, self.plan, self.choice, self.everybody)[0]


def models_of(
    adapter: Adapter,
    target: Target,
    source_model: Any,
    source: Interactions | Factors,
    *,
    tune_source: bool,
    features: Features | None = None,
    show_progress: bool,
) -> Models:
    """The models as they are, and where the adapter is to be chosen others beside them.

    `tune_source` says that `source_model` was not given by the caller; the rows of every source
    model have the `features` beside them.
    """
    tune = isinstance(adapter, AutoAdapter) and adapter.models
    sources, targets = [source_model], [target]
    if tune and tune_source and isinstance(source, Interactions):
        sources += [
            replace(source_model, model=scaled(source_model.model, settings))
            for settings in SOURCE_SETTINGS
        ]
    if tune:
        targets += target.variants()

    def space(model: Any) -> Space:
        return source_space(source, model, show_progress=show_progress).described(features)

    return Models([partial(space, m) for m in sources], targets)


def untested(adapter: Adapter, source: Space) -> Adapter:
    """What is used where there are too few people to choose it."""
    if source.features is None:
        return candidates(adapter)[0]
    if not isinstance(adapter, AutoAdapter):
        return adapter  # it chooses for itself what it leaves open
    return next(filter(reads_features, adapter.candidates()), ContentAdapter())


def _options(adapter: Adapter, source: Space, anchors: Anchors) -> Sequence[Adapter]:
    """What held-out people may choose between.

    Where rows have features, the choice among all has `ContentAdapter` in it; adapters that read
    none are left out where the source itself knows few of the anchors.
    """
    found = candidates(adapter)
    if source.features is None or not isinstance(adapter, AutoAdapter):
        return found
    if not any(map(reads_features, found)):
        found = [*ContentAdapter().candidates(), *found]
    if _crossable(source, anchors):
        return found
    return [option for option in found if reads_features(option)]


def _crossable(source: Space, anchors: Anchors) -> bool:
    """Whether the source knows enough of the anchors without their features."""
    return source.features is None or source.met[anchors.source].sum() >= 2 * FEWEST


def find(
    adapter: Adapter,
    models: Models,
    source: Space,
    target: Interactions,
    anchors: Anchors,
    *,
    fixed: Strength | None,
    absolute: bool = False,
    rng: np.random.Generator,
    num_threads: int,
    show_progress: bool,
    soft: bool = False,
    limits: Limits = Limits(),
) -> Found | None:
    """Hold anchors out, and let them choose; None where there are too few to hold out.

    `source` is what the first of the source models makes; the ridge of a `fixed` strength is a
    multiple of the target model's, unless it is `absolute`. `soft` says that the choice will be
    served row by row, by how well it foretold the row.
    """
    auto = adapter if isinstance(adapter, AutoAdapter) else None
    most = auto.people if auto else PEOPLE
    groups = _groups(_eligible(source, target, anchors), most, rng)
    if groups is None:
        return None
    n_people = sum(map(len, groups))
    folds = [
        Fold(target, anchors, anchors.target[held], models.targets, seeded, num_threads)
        for held, seeded in zip(groups, rng.spawn(len(groups)), strict=True)
    ]
    few = n_people < min(FEW, most)
    strangers = _strangers(target, anchors, models, rng, num_threads) if few else []
    with tqdm(desc="trials on held-out anchors", disable=not show_progress) as bar:
        bench = Bench(
            folds,
            _options(adapter, source, anchors),
            [lambda: source, *models.sources[1:]],
            strangers=strangers,
            **_measured(auto),
            budget=_seconds(auto, limits),
            each=limits.trials,
            num_threads=num_threads,
            tick=bar.update,
        )
        given = Plan(fixed=fixed, absolute=absolute, soft=soft)
        blend = source.matrix is not None and _crossable(source, anchors)
        given = replace(given, shots=usable_shots(folds, _wanted(auto)))
        plan = _plan(auto, models, given, blend=blend)
        everybody = np.ones(len(bench.groups), bool)
        with one_blas_thread():  # set once: a search makes thousands of small calls
            choice = choose(bench, plan, everybody)
            outer = outer_quality(bench, plan)
    return Found(bench, plan, usable_shots([*folds, *strangers], _wanted(auto)), choice, outer)


def _seconds(auto: AutoAdapter | None, limits: Limits) -> float:
    """After which nothing new is tried."""
    own = None if auto is None else auto.budget
    return min(np.inf if limit is None else limit for limit in (own, limits.seconds))


def find_home(
    adapter: Adapter,
    models: Models,
    target: Interactions,
    anchors: Anchors,
    *,
    rng: np.random.Generator,
    num_threads: int,
) -> Home | None:
    """Where anchors are too few to choose anything, let rows that are none choose what serves
    without a source, with the default target model; None where these are too few as well.
    """
    strangers = _strangers(target, anchors, models, rng, num_threads)
    if not strangers:
        return None
    auto = adapter if isinstance(adapter, AutoAdapter) else None
    bench = Bench([], [], [], strangers=strangers, **_measured(auto), num_threads=num_threads)
    return Home(bench, Plan(), usable_shots(strangers, _wanted(auto)))


def _measured(auto: AutoAdapter | None) -> dict[str, Any]:
    """What of the lists is measured."""
    return {"metric_name": auto.metric if auto else "ndcg", "n": auto.n if auto else 10}


def _wanted(auto: AutoAdapter | None) -> tuple[int, ...]:
    """Numbers of shots at which people are served."""
    return SHOTS if auto is None else tuple(sorted({0, *auto.shots}))


def _strangers(
    target: Interactions,
    anchors: Anchors,
    models: Models,
    rng: np.random.Generator,
    num_threads: int,
) -> list[Fold]:
    """Folds of active rows that are no anchors, each of a fifth of them at most; none where they
    are nearly nobody.
    """
    active = np.flatnonzero(np.diff(target.user_items.indptr) >= ACTIVE)
    others = np.setdiff1d(active, anchors.target)
    drawn = rng.permutation(others)[:STRANGERS]
    if len(drawn) < FEWEST:
        return []
    parts = np.array_split(drawn, math.ceil(FOLDS * len(drawn) / len(others)))
    return [
        Fold(target, anchors, np.sort(part), models.targets, seeded, num_threads)
        for part, seeded in zip(parts, rng.spawn(len(parts)), strict=True)
    ]


def _plan(auto: AutoAdapter | None, models: Models, given: Plan, *, blend: bool) -> Plan:
    """What may be tried, strength and numbers of shots being as they are `given`."""
    if auto is None:
        return given
    return replace(
        given,
        sources=len(models.sources),
        targets=len(models.targets),
        finalists=3,
        fuse=auto.fuse,
        blend=auto.blend and blend,
        trials=auto.trials,
    )


def _eligible(source: Space, target: Interactions, anchors: Anchors) -> NDArray[np.int64]:
    """Positions of anchors with enough interactions, or with two in the target where few have
    enough.
    """
    in_target = np.diff(target.user_items.indptr)[anchors.target]
    in_source = in_target if source.counts is None else source.counts[anchors.source]
    if source.features is not None:  # nothing is asked of those that only features know
        in_source = np.where(source.met[anchors.source], in_source, ACTIVE)
    eligible = np.flatnonzero((in_target >= ACTIVE) & (in_source >= ACTIVE))
    return eligible if len(eligible) >= 2 * FEWEST else np.flatnonzero(in_target >= 2)


def _groups(
    eligible: NDArray[np.int64], most: int, rng: np.random.Generator
) -> list[NDArray[np.int64]] | None:
    """The anchors that each fold holds out, or None where there are too few."""
    if len(eligible) < FEWEST:
        return None
    drawn = rng.permutation(eligible)[:most]
    return [np.sort(group) for group in np.array_split(drawn, FOLDS)]
