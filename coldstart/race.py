"""The two sides of a benchmark on the clock: cold ALS sweep by sweep, and a warm start."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from coldstart.adapters import named
from coldstart.als import PriorALS
from coldstart.arms import People, Task
from coldstart.arms.factorization import RIDGES
from coldstart.factors import Factors
from coldstart.heldout import Scorer
from coldstart.interactions import Interactions
from coldstart.popularity import counts
from coldstart.rows import solve_rows
from coldstart.warmstart import WarmStart

__all__ = ["Measured", "Race", "compile_all", "one_by_one", "source_factors"]

COMPILED_ON = 300  # people on whom everything runs once before any clock

Floats = NDArray[np.float64]


class Measured(NamedTuple):
    """Quality of every person who counts, (n_people,), after some seconds."""

    sweep: int
    seconds: float
    shots: int
    values: Floats

    @property
    def mean(self) -> float:
        """Over the people."""
        return float(self.values.mean())


@dataclass(frozen=True, eq=False)
class Race:
    """Both sides, measured on the same people."""

    task: Task
    people: People
    counted: NDArray[np.bool_]

    def popularity(self) -> Iterator[Measured]:
        """What the cold side can do without a model, at every number of shots."""
        began = time.perf_counter()
        popular = counts(self.task.train.user_items)
        seconds = time.perf_counter() - began
        scores = _products(np.ones((len(self.people), 1), np.float32), popular[:, None])
        for k in self.task.shots:
            yield Measured(0, seconds, k, self._quality(scores))

    def cold(self, sweeps: int) -> Iterator[Measured]:
        """Sweep by sweep, at every number of shots."""
        for sweep, seconds, model in one_by_one(self.task, sweeps):

            def folded(
                setting: dict[str, Any],
                _: NDArray[np.int64],
                history: sp.csr_matrix,
                model: PriorALS = model,
            ) -> Scorer:
                return _fold_in(model, setting["ridge"], history, self.task.num_threads)

            tuned = self.task.choose({"ridge": RIDGES}, folded)
            for k in self.task.shots:
                scores = folded(tuned[k], self.people.source, self.people.held.history(k))
                yield Measured(sweep, seconds, k, self._quality(scores))

    def warm(self, source: Factors) -> Iterator[Measured]:
        """The fitted warm model, at every number of shots."""
        warm, seconds = _warm_start(self.task, source)
        mapped, other = warm.served_.mapped, warm.served_.other
        rows = mapped.ids.rows(source.users.ids[self.people.source])
        for k in self.task.shots:
            embedded = mapped.embed(rows, self.people.held.history(k), self.task.num_threads)
            scores = _products(embedded, other.factors)
            yield Measured(warm.model_.iterations, seconds, k, self._quality(scores))

    def _quality(self, scores: Scorer) -> Floats:
        """On the lists of the most shots: what to rank and to find is the same for all of them."""
        return self.task.quality(scores, self.people, max(self.task.shots))[self.counted]


def one_by_one(task: Task, sweeps: int) -> Iterator[tuple[int, float, PriorALS]]:
    """Cold ALS after each sweep, with the seconds so far: bitwise a fit of as many sweeps.

    The first fit counts in full, of the others the sweep alone, for one longer fit would prepare
    the matrix once.
    """
    model = task.new_model(iterations=1)
    took: list[float] = []
    preparing = 0.0
    for sweep in range(1, sweeps + 1):
        began = time.perf_counter()
        model.fit(
            task.train.user_items,
            show_progress=False,
            callback=lambda _, seconds, __: took.append(seconds),
        )
        if sweep == 1:
            preparing = time.perf_counter() - began - took[0]
        yield sweep, preparing + sum(took), model
        # assigned factors are where the next fit starts
        model.user_factors = model.user_factors.copy()
        model.item_factors = model.item_factors.copy()


def _fold_in(model: PriorALS, ridge: float, history: sp.csr_matrix, num_threads: int) -> Scorer:
    rows = solve_rows(
        history,
        model.item_factors,
        alpha=model.alpha,
        regularization=ridge,
        num_threads=num_threads,
    )
    return _products(rows, model.item_factors)


def _products(rows: NDArray[np.float32], columns: NDArray[np.float32]) -> Scorer:
    return lambda block: rows[block] @ columns.T


def source_factors(task: Task) -> tuple[Factors, float]:
    """The exact rows of a source model, and the seconds it took."""
    began = time.perf_counter()
    model = task.new_model().fit(task.source.user_items, show_progress=False)
    rows = model.fold_in(task.source.user_items)
    factors = Factors(rows, model.item_factors, task.source.users, task.source.items)
    return factors, time.perf_counter() - began


def _warm_start(task: Task, source: Factors) -> tuple[WarmStart, float]:
    """A warm model of the training catalog, and the seconds it took."""
    warm = WarmStart(task.new_model(), named("ridge"), rng=task.seed, num_threads=task.num_threads)
    began = time.perf_counter()
    warm.fit(source, task.train)
    return warm, time.perf_counter() - began


def compile_all(task: Task) -> None:
    """Run everything that is timed once, on the people with most interactions."""
    sizes = np.diff(task.train.user_items.indptr)[task.anchors.target]
    some = task.anchors.take(np.argsort(-sizes, kind="stable")[:COMPILED_ON])
    small = replace(
        task,
        source=_only(task.source, some.source),
        train=_only(task.train, some.target),
    )
    counts(small.train.user_items)
    list(one_by_one(small, 1))
    _warm_start(small, source_factors(small)[0])


def _only(log: Interactions, rows: NDArray[np.int64]) -> Interactions:
    keep = np.zeros(len(log.users), bool)
    keep[rows] = True
    return log.keep_users(keep)
