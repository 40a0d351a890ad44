"""Trials on held-out people: everything fitted without them, and how well they are served.

A fold lacks the target rows of some anchors before anything of the target is fitted. A bench has
several folds, and remembers the quality of every trial, person by person.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from coldstart.adapters import FusedAdapter
from coldstart.adapters.base import Adapter, in_one_space, reads_features
from coldstart.adapters.fused import fuse_evenly
from coldstart.anchors import Anchors
from coldstart.errors import AlignmentError, AnchorError
from coldstart.evidence import SoftGate, mixed
from coldstart.heldout import Scorer, hold_out
from coldstart.interactions import Interactions
from coldstart.metrics import metric
from coldstart.popularity import counts
from coldstart.prior import Prior
from coldstart.rowmap import blended, spread_of
from coldstart.strength import NullArm
from coldstart.targets import Target, Trained
from coldstart.transfer import (
    Space,
    fit_adapter,
    map_rows,
    null_priors,
    predict,
    target_space,
)

__all__ = ["KNOBS", "Bench", "Crossing", "Fold", "Pull"]

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
People = NDArray[np.float64]

KNOBS = ("centre", "temper", "ridge", "blend")  # of a `Pull`


@dataclass(frozen=True)
class Crossing:
    """What is fitted: numbers of the adapter, of the source model and of the target model."""

    adapter: int = 0
    source: int = 0
    target: int = 0


@dataclass(frozen=True)
class Pull:
    """What is read off a fitted crossing: the knobs of `Strength`; the ridge is a multiple of the
    target model's, unless it is `absolute`.
    """

    centre: float = 1.0
    temper: float = 1.0
    ridge: float = 1.0
    blend: float = 0.0
    absolute: bool = False

    def turned(self, knob: str, value: float) -> Pull:
        """The same with the knob of that name at another value."""
        settings: dict[str, Any] = {knob: value}
        return replace(self, **settings)

    def regularization(self, model: float) -> float:
        """The ridge around zero, that of the target `model` being so large."""
        return self.ridge if self.absolute else self.ridge * model


@dataclass(frozen=True, eq=False)
class Apart:
    """A target model trained without the held-out people, and what follows from it.

    Parameters
    ----------
    trained : Trained
    regularization : float
        The ridge of the model.
    space : Space
        Its rows.
    anchors : array of rows of the anchors
    num_threads : int
    """

    trained: Trained
    regularization: float
    space: Space
    anchors: NDArray[np.int64]
    num_threads: int

    @cached_property
    def columns(self) -> Floats:
        """The columns (m, w) as they are ranked."""
        return self.trained.layout.columns(self.trained.columns)

    @cached_property
    def spread(self) -> Doubles:
        """Covariance (w, w) of the columns."""
        return spread_of(self.columns)

    @cached_property
    def nulls(self) -> Prior:
        """Priors that know no source, as `null_priors` makes them."""
        return null_priors(self.space, self.anchors)

    def solve(self, history: sp.csr_matrix, prior: Prior | None, ridge: float) -> Floats:
        """Rows (n, f) folded in."""
        return self.trained.loss.solve(
            history, regularization=ridge, prior=prior, num_threads=self.num_threads
        )

    def ranked(self, rows: Floats) -> Floats:
        """Rows (n, w) as they meet the columns."""
        return self.trained.layout.rows(rows)

    def foretold(self, history: sp.csr_matrix, prior: Prior | None, ridge: float) -> Doubles:
        """Log evidence (n,) of what was folded in."""
        return self.trained.loss.foretold(
            history, regularization=ridge, prior=prior, num_threads=self.num_threads
        )

    def null(self, arm: NullArm) -> tuple[Prior | None, float]:
        """The prior that an arm stands for, none for a plain one, and its ridge; behind a list of
        what is popular stands a mean as well.
        """
        ridge = arm.regularization * self.regularization
        if arm.kind == "plain":
            return None, ridge
        return self.nulls.take([arm.row]).temper(arm.temper), ridge


class Fold:
    """A target catalog without some of its rows, and these people.

    Parameters
    ----------
    catalog : Interactions
        The whole target.
    anchors : Anchors
        Of the whole target.
    rows : array of rows of the catalog
        Anchors among them in the order of the anchors.
    models : sequence of Target
        Those that trials may ask for, by number.
    rng : numpy.random.Generator
    num_threads : int
    """

    def __init__(
        self,
        catalog: Interactions,
        anchors: Anchors,
        rows: NDArray[np.int64],
        models: Sequence[Target],
        rng: np.random.Generator,
        num_threads: int = 0,
    ) -> None:
        self.train, self.held = hold_out(catalog, rows, order="auto", rng=rng)
        held = np.isin(anchors.target, rows)
        self.people = anchors.source[held]
        rest = anchors.take(~held)
        places = self.train.users.rows(catalog.users.ids[rest.target])
        self.anchors = Anchors(rest.source, places)
        self._models = models
        self._num_threads = num_threads
        self._apart: dict[int, Apart] = {}
        self._priors: dict[Crossing, Prior] = {}
        self._added: _Added | None = None

    def ridge(self, number: int) -> float:
        """That of the target model of that number."""
        return self._models[number].regularization

    def width(self, number: int) -> int:
        """That of the target model of that number."""
        return self._models[number].width

    def target(self, number: int) -> Apart:
        """The target model of that number, fitted when it is first asked for."""
        if number not in self._apart:
            model = self._models[number]
            trained = model.fit(self.train.user_items)
            space = target_space(trained, self.train)
            self._apart[number] = Apart(
                trained, model.regularization, space, self.anchors.target, self._num_threads
            )
        return self._apart[number]

    def prior(self, crossing: Crossing, adapter: Adapter, source: Space) -> Prior:
        """What the adapter of that crossing says of the held-out people: as much as the mean prior
        where it cannot be fitted without them.
        """
        if crossing not in self._priors:
            trained = self.target(crossing.target)
            try:
                fitted = fit_adapter(adapter, source, trained.space, self.anchors)
                self._priors[crossing] = predict(fitted, source, self.people)
            except AlignmentError:  # of the catalogs, whoever is held out
                raise
            except AnchorError:
                self._priors[crossing] = trained.nulls.take(np.zeros(len(self.people), np.int64))
        return self._priors[crossing]

    def finders(self, shots: int) -> int:
        """How many people have something left to find."""
        return int(np.count_nonzero(np.diff(self.held.truth(shots).indptr)))

    @cached_property
    def popularity(self) -> dict[str, Floats]:
        """Rows of each column (n_columns,), among all and among the anchors."""
        rows = self.train.user_items
        return {"all": counts(rows), "anchors": counts(rows[self.anchors.target])}

    def row_map(self, source: Space) -> _Added:
        """The held-out people's coordinates along the columns of a row map."""
        if self._added is None:
            train = self.train.user_items[self.anchors.target]
            said, columns = map_rows(source, train, self.anchors, self.people)
            self._added = _Added(said, columns, spread_of(columns))
        return self._added


@dataclass(frozen=True, eq=False)
class _Added:
    """What a row map adds: `rows` (n, r), `columns` (m, r) and their covariance (r, r)."""

    rows: Floats
    columns: Floats
    spread: Doubles


class Bench:
    """Folds, and the quality of every trial on their people, remembered.

    Parameters
    ----------
    folds : sequence of Fold
        Of anchors.
    adapters : list of Adapter
        May grow.
    sources : sequence of callables
        Each makes the rows of the source by one of the source models.
    strangers : sequence of Fold
        Of rows that are no anchors, for arms without a source where anchors are few.
    metric_name : str, n : int
        What is measured on the ranked lists.
    budget : float
        Seconds after which nothing new is tried.
    each : int, optional
        Most trials of transfers for each number of shots.
    tick : callable
        Called before every ranking of all people.
    """

    def __init__(
        self,
        folds: Sequence[Fold],
        adapters: Sequence[Adapter],
        sources: Sequence[Callable[[], Space]],
        *,
        strangers: Sequence[Fold] = (),
        metric_name: str = "ndcg",
        n: int = 10,
        budget: float = np.inf,
        each: int | None = None,
        num_threads: int = 0,
        tick: Callable[[], object] = lambda: None,
    ) -> None:
        self.folds = folds
        self.strangers = strangers
        self.adapters = list(adapters)
        self.metric_name = metric_name
        self.n = n
        self.num_threads = num_threads
        self.tick = tick
        self._sources = sources
        self._spaces: dict[int, Space] = {}
        self._seen: set[Crossing] = set()
        self._known: dict[tuple[Any, ...], People] = {}
        self._single = len(self.adapters)
        self._fused: dict[tuple[int, ...], int] = {}
        self._parts_of: dict[int, tuple[int, ...]] = {}
        self._end = time.monotonic() + budget
        self._each = np.inf if each is None else each
        self._made: dict[int, int] = {}

    @cached_property
    def groups(self) -> NDArray[np.int64]:
        """The fold (n_people,) of every person."""
        return np.repeat(np.arange(len(self.folds)), [len(fold.held) for fold in self.folds])

    def source(self, number: int) -> Space:
        """The rows of the source by the model of that number."""
        if number not in self._spaces:
            self._spaces[number] = self._sources[number]()
        return self._spaces[number]

    def family(self, numbers: Sequence[int]) -> str:
        """The name of the family of adapters with these numbers."""
        return type(self.adapters[numbers[0]]).__name__

    def families(self) -> list[list[int]]:
        """Numbers of the adapters that are no means of others, by their class."""
        found: dict[type, list[int]] = {}
        for number in range(self._single):
            found.setdefault(type(self.adapters[number]), []).append(number)
        return list(found.values())

    def fused(self, *numbers: int) -> int:
        """The number of the mean of some adapters, a new one where they were not fused before."""
        parts = tuple(sorted(numbers))
        if parts not in self._fused:
            self._fused[parts] = len(self.adapters)
            self._parts_of[self._fused[parts]] = parts
            self.adapters.append(FusedAdapter([self.adapters[number] for number in parts]))
        return self._fused[parts]

    def fusible(self, *numbers: int) -> bool:
        """Whether a mean of some adapters speaks of the same rows as each of them, and sees them
        alike.
        """
        source, parts = self.source(0), [self.adapters[number] for number in numbers]
        alike = source.given is None or len(set(map(in_one_space, parts))) == 1
        return alike and (source.features is None or len(set(map(reads_features, parts))) == 1)

    def fits(self, crossing: Crossing) -> bool:
        """Whether its adapter may meet its target model: one that takes source and target for one
        space needs the width of the default one.
        """
        if not in_one_space(self.adapters[crossing.adapter]):
            return True
        return self.folds[0].width(crossing.target) == self.folds[0].width(0)

    @property
    def late(self) -> bool:
        """Whether the budget is spent."""
        return time.monotonic() > self._end

    def may(self, crossing: Crossing, pull: Pull, shots: int) -> bool:
        """Whether a trial has been made, or may still be."""
        return (crossing, _felt(pull, shots), shots) in self._known or self.room(shots)

    def room(self, shots: int) -> bool:
        """Whether anything new may be tried for that number of shots."""
        return self._made.get(shots, 0) < self._each

    def trials(self, chosen: Crossing, pulls: Mapping[int, Pull]) -> list[dict[str, Any]]:
        """Every trial of a transfer: shots, setting, mean quality of people with truth, and whether
        it is the one that was `chosen` with these `pulls`.
        """
        made = (key for key in self._known if isinstance(key[0], Crossing) and len(key) == 3)
        return [
            {
                "shots": shots,
                "setting": {
                    "adapter": repr(self.adapters[crossing.adapter]),
                    "source_model": crossing.source,
                    "target_model": crossing.target,
                    **{knob: getattr(pull, knob) for knob in KNOBS},
                },
                "quality": _known_mean(self._known[crossing, pull, shots]),
                "chosen": crossing == chosen and pull == _felt(pulls[shots], shots),
            }
            for crossing, pull, shots in made
        ]

    def knows(self, crossing: Crossing) -> bool:
        """Whether anything of a crossing has been measured."""
        return crossing in self._seen

    def has_tried(self, target: int) -> bool:
        """Whether any crossing into the target model of that number has been measured."""
        return any(crossing.target == target for crossing in self._seen)

    def quality(self, crossing: Crossing, pull: Pull, shots: int) -> People:
        """Quality (n_people,) of a transfer, NaN for people with nothing left to find."""
        pull = _felt(pull, shots)
        key = (crossing, pull, shots)
        if key not in self._known:
            self.tick()
            self._seen.add(crossing)
            self._made[shots] = self._made.get(shots, 0) + 1
            self._known[key] = np.concatenate(
                [self._crossed(fold, crossing, pull, shots) for fold in self.folds]
            )
        return self._known[key]

    def null_quality(self, arm: NullArm, target: int, shots: int) -> People:
        """Quality (n_people,) of an arm without a source, its ridge a multiple of the model's."""
        return self._null_quality("anchors", self.folds, arm, target, shots)

    def strangers_quality(self, arm: NullArm, target: int, shots: int) -> People:
        """The same of the strangers (n_strangers,)."""
        return self._null_quality("strangers", self.strangers, arm, target, shots)

    def _null_quality(
        self, who: str, folds: Sequence[Fold], arm: NullArm, target: int, shots: int
    ) -> People:
        key = (who, arm, 0 if arm.kind == "popularity" else target, shots)
        if key not in self._known:
            self.tick()
            self._known[key] = _joined([self._without(fold, arm, target, shots) for fold in folds])
        return self._known[key]

    def null_name(self, arm: NullArm, target: int) -> str:
        """An arm without a source in words, its ridge as it is with that target model."""
        return str(arm.times(self.folds[0].ridge(target)))

    def delta(self, crossing: Crossing, pull: Pull, arm: NullArm, shots: int) -> Doubles:
        """How much better (n_people,) the transfer foretold what people are given back than the
        prior of an arm without a source: the difference of log evidences, 0 for nothing given.
        """
        key = ("delta", crossing, _felt(pull, shots), arm, shots)
        if key not in self._known:
            self._known[key] = np.concatenate(
                [self._foretold(fold, crossing, pull, arm, shots) for fold in self.folds]
            )
        return self._known[key]

    def mixed_quality(
        self, crossing: Crossing, pull: Pull, arm: NullArm, gate: SoftGate, shots: int
    ) -> People:
        """Quality (n_people,) of rows mixed of the transfer and of an arm without a source, each by
        the weight that the gate gives to what was foretold of it.
        """
        key = (gate, crossing, _felt(pull, shots), arm, shots)
        if key not in self._known:
            self.tick()
            weights = gate.weight(self.delta(crossing, pull, arm, shots), 0.0)
            self._known[key] = np.concatenate(
                [
                    self._mixed(fold, crossing, pull, arm, weights[self.groups == number], shots)
                    for number, fold in enumerate(self.folds)
                ]
            )
        return self._known[key]

    def _crossed(self, fold: Fold, crossing: Crossing, pull: Pull, shots: int) -> People:
        rows = fold.target(crossing.target).solve(
            fold.held.history(shots), *self._pulled(fold, crossing, pull)
        )
        return self._blended(fold, crossing, rows, np.full(len(rows), pull.blend), shots)

    def _mixed(
        self,
        fold: Fold,
        crossing: Crossing,
        pull: Pull,
        arm: NullArm,
        weights: Doubles,
        shots: int,
    ) -> People:
        trained, history = fold.target(crossing.target), fold.held.history(shots)
        transfer = trained.solve(history, *self._pulled(fold, crossing, pull))
        null = trained.solve(history, *trained.null(arm))
        rows = mixed(transfer, null, weights)
        return self._blended(fold, crossing, rows, weights * pull.blend, shots)

    def _blended(
        self, fold: Fold, crossing: Crossing, rows: Floats, blend: Doubles, shots: int
    ) -> People:
        """Quality of rows with the row map beside them, by its weight `blend` for each row."""
        trained = fold.target(crossing.target)
        rows, columns = trained.ranked(rows), trained.columns
        if blend.any():
            added = fold.row_map(self.source(crossing.source))
            rows = blended(rows, trained.spread, added.rows, added.spread, blend)
            columns = np.hstack([columns, added.columns])
        return self._ranked(fold, lambda block: rows[block] @ columns.T, shots)

    def _foretold(
        self, fold: Fold, crossing: Crossing, pull: Pull, arm: NullArm, shots: int
    ) -> Doubles:
        if not shots:
            return np.zeros(len(fold.held))
        trained, history = fold.target(crossing.target), fold.held.history(shots)
        transfer = trained.foretold(history, *self._pulled(fold, crossing, pull))
        return transfer - trained.foretold(history, *trained.null(arm))

    def _pulled(self, fold: Fold, crossing: Crossing, pull: Pull) -> tuple[Prior, float]:
        """What is said of the people of a fold, as it pulls them, and the ridge."""
        said = self._prior(fold, crossing, self.source(crossing.source))
        ridge = pull.regularization(fold.target(crossing.target).regularization)
        return said.centre(pull.centre).temper(pull.temper), ridge

    def _prior(self, fold: Fold, crossing: Crossing, source: Space) -> Prior:
        """What is said of the people of a fold; a mean of adapters fits none of them again."""
        parts = self._parts_of.get(crossing.adapter)
        if parts is None:
            return fold.prior(crossing, self.adapters[crossing.adapter], source)
        return fuse_evenly(
            [self._prior(fold, replace(crossing, adapter=part), source) for part in parts]
        )

    def _without(self, fold: Fold, arm: NullArm, target: int, shots: int) -> People:
        if arm.kind == "popularity":
            row = fold.popularity[arm.whose]
            return self._ranked(
                fold, lambda block: np.tile(row, (block.stop - block.start, 1)), shots
            )
        trained = fold.target(target)
        rows = trained.ranked(trained.solve(fold.held.history(shots), *trained.null(arm)))
        columns = trained.columns
        return self._ranked(fold, lambda block: rows[block] @ columns.T, shots)

    def _ranked(self, fold: Fold, scores: Scorer, shots: int) -> People:
        ranked = fold.held.rank_all(scores, shots, n=self.n, num_threads=self.num_threads)
        return metric(self.metric_name)(ranked.hits, ranked.relevant)


def _felt(pull: Pull, shots: int) -> Pull:
    """What of a pull matters: a row without interactions is the mean of its prior, unless that does
    not pull at all.
    """
    return pull if shots or not pull.temper else Pull(pull.centre, blend=pull.blend)


def _known_mean(quality: People) -> float:
    """Of people with truth, NaN where nobody has any."""
    known = quality[~np.isnan(quality)]
    return float(known.mean()) if len(known) else float("nan")


def _joined(parts: Sequence[People]) -> People:
    """All parts in one array; an empty one of no parts."""
    return np.concatenate(parts) if parts else np.zeros(0)
