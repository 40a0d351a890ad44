"""Ways to fit a target model with and without a source, tried on hidden interactions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from coldstart.adapters.base import Adapter
from coldstart.adapters.baselines import MeanAdapter
from coldstart.als import PriorALS
from coldstart.heldout import HeldOut
from coldstart.metrics import metric
from coldstart.popularity import counts
from coldstart.refine import KnownRows, refinements

__all__ = ["Fold", "People", "Recipe", "RefineTrials", "hidden_in_turn", "plain_model"]

Floats = NDArray[np.float32]
People = NDArray[np.float64]
Fold = tuple[HeldOut, sp.csr_matrix]

HIDDEN = 0.2  # share of the interactions that is hidden
MOST_PEOPLE = 3000  # ranked in every trial
MOST_FOLDS = 5  # of interactions hidden in turn, where fewer people than that lose any
ALPHAS = (1.0, 0.25)  # confidences, as multiples of the model's
RIDGES = (0.3, 1.0, 3.0, 10.0)  # as multiples of the model's, for an unchanged confidence
FIRST_TEMPER = 1.0  # at which all pairs of the two are compared
TEMPERS = (0.3, 3.0, 10.0)  # tried for the best pairs
BEST_PAIRS = 2


@dataclass(frozen=True)
class Recipe:
    """How to fit a target model.

    Parameters
    ----------
    source : bool
        Whether rows are pulled to what a map makes of their source rows, or to the mean of all.
    alpha, regularization : float
    temper : float
        Strength of the pull; 0 is plain ALS.
    sweeps : int
        How often the factors of the other side see the prior.
    popular : bool, default False
        Whether everybody gets the list of what is popular; the model stands behind it.
    """

    source: bool
    alpha: float
    regularization: float
    temper: float
    sweeps: int
    popular: bool = False

    @property
    def name(self) -> str:
        """The arm, with its settings."""
        arm = "plain ALS" if not self.temper else "mapped" if self.source else "mean-prior"
        sweeps = f", {self.sweeps} sweeps" if self.sweeps else ""
        temper = f", temper {self.temper:g}" if self.temper else ""
        before = "popularity before " if self.popular else ""
        settings = f"alpha {self.alpha:g}, ridge {self.regularization:g}{temper}{sweeps}"
        return f"{before}{arm} ({settings})"

    def told(self, known: KnownRows, n: int) -> KnownRows:
        """What of the source a model of `n` rows is told."""
        return known if self.source else KnownRows.untold(n)


class RefineTrials:
    """Recipes fitted without hidden interactions, and their quality person by person."""

    def __init__(
        self,
        model: PriorALS,
        folds: list[Fold],
        known: KnownRows,
        sweeps: int,
        tick: Callable[[], object],
    ) -> None:
        self.model, self.folds, self.known = model, folds, known
        self.sweeps, self.tick = sweeps, tick
        pairs = [(a * model.alpha, r * a * model.regularization) for a in ALPHAS for r in RIDGES]
        self.plain = {
            pair: [plain_model(model, *pair).fit(train, show_progress=False) for _, train in folds]
            for pair in pairs
        }
        people = np.concatenate([held.rows for held, _ in folds])
        self.person = np.unique(people, return_inverse=True)[1].reshape(-1)

    def search(self, adapter: Adapter | None, temper: float | None = None) -> dict[Recipe, People]:
        """Quality (n_people,) of every recipe with this adapter (None: without a source), at that
        temper or at all of them.
        """
        first, others = (FIRST_TEMPER, TEMPERS) if temper is None else (temper, ())
        found: dict[Recipe, People] = {}
        for pair in self.plain:
            found |= self._path(adapter, pair, first)
        best = {
            pair: max(v.mean() for r, v in found.items() if (r.alpha, r.regularization) == pair)
            for pair in self.plain
        }
        for pair in sorted(best, key=best.__getitem__)[-BEST_PAIRS:]:
            for other in others:
                found |= self._path(adapter, pair, other)
        return found

    def search_untold(self) -> dict[Recipe, People]:
        """Quality (n_people,) of every recipe without a source."""
        found = self.search(None)
        for pair in self.plain:
            found |= self._path(None, pair, 0.0)
        pair = self.model.alpha, self.model.regularization
        return found | {Recipe(False, *pair, FIRST_TEMPER, 0, popular=True): self._popular()}

    def _path(
        self, adapter: Adapter | None, pair: tuple[float, float], temper: float
    ) -> Iterator[tuple[Recipe, People]]:
        """After every sweep."""
        recipe = Recipe(adapter is not None, *pair, temper, self.sweeps if temper else 0)
        known = recipe.told(self.known, len(self.folds[0][1].indptr) - 1)
        paths = [
            refinements(
                plain, train, known, adapter or MeanAdapter(), sweeps=recipe.sweeps, temper=temper
            )
            for plain, (_, train) in zip(self.plain[pair], self.folds, strict=True)
        ]
        for sweep, step in enumerate(zip(*paths, strict=True)):
            self.tick()
            parts = [
                self._quality(refined.rows(train, known, which=held.rows), refined.items, held)
                for refined, (held, train) in zip(step, self.folds, strict=True)
            ]
            yield replace(recipe, sweeps=sweep), self._each(parts)

    def _popular(self) -> People:
        """Quality (n_people,) of what is popular in the rest."""
        parts = [
            self._quality(np.ones((len(held), 1), np.float32), counts(train)[:, None], held)
            for held, train in self.folds
        ]
        return self._each(parts)

    def _quality(self, rows: Floats, items: Floats, held: HeldOut) -> People:
        """NDCG@10 of the held-out people of one fold."""
        ranked = held.rank_all(
            partial(_scores, rows, items), shots=1, num_threads=self.model.num_threads
        )
        return metric("ndcg")(ranked.hits, ranked.relevant)

    def _each(self, parts: list[People]) -> People:
        """Of everybody with something hidden, the mean over the folds that hide it."""
        return np.bincount(self.person, np.concatenate(parts)) / np.bincount(self.person)


def _scores(rows: Floats, items: Floats, block: slice) -> Floats:
    return np.asarray(rows[block] @ items.T)


def plain_model(model: PriorALS, alpha: float, regularization: float) -> PriorALS:
    """An unfitted model with other settings."""
    settings = model.get_params() | {"alpha": alpha, "regularization": regularization}
    return type(model)(**settings)


def hidden_in_turn(user_items: sp.csr_matrix, rng: np.random.Generator) -> list[Fold]:
    """What is hidden, and what may be fitted, in up to five folds that hide disjoint parts."""
    draws = rng.random(user_items.nnz)
    folds: list[Fold] = []
    for number in range(MOST_FOLDS):
        hidden = (draws >= number * HIDDEN) & (draws < (number + 1) * HIDDEN)
        folds.append(_hide(user_items, hidden, rng))
        if sum(len(held) for held, _ in folds) >= MOST_PEOPLE:
            break
    return folds


def _hide(user_items: sp.csr_matrix, hidden: NDArray[np.bool_], rng: np.random.Generator) -> Fold:
    """Hide entries; of the people who lose some, at most so many are ranked.

    What comes back at one shot is what was not hidden.
    """
    before = np.concatenate([[0], np.cumsum(~hidden)])[user_items.indptr]
    parts = user_items.data[~hidden], user_items.indices[~hidden], before
    train = sp.csr_matrix(parts, shape=user_items.shape)
    lost = np.flatnonzero(np.diff(user_items.indptr) > np.diff(before))
    people = np.sort(rng.permutation(lost)[:MOST_PEOPLE])
    mask = np.zeros(user_items.shape[0], bool)
    mask[people] = True
    rank = hidden[np.repeat(mask, np.diff(user_items.indptr))].astype(np.int64)
    return HeldOut(people, user_items[people], rank, np.zeros(len(people), np.int64)), train
