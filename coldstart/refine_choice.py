"""Whether to refine: one decision for the model, made on hidden interactions of its rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from tqdm.auto import tqdm

from coldstart.adapters.base import Adapter
from coldstart.adapters.baselines import MeanAdapter
from coldstart.als import PriorALS
from coldstart.heldout import HeldOut
from coldstart.metrics import metric
from coldstart.refine import KnownRows, Refined, refine, refinements
from coldstart.statistics import bootstrap_interval

__all__ = ["Recipe", "RefineChoice", "choose_refinement", "fit_recipe"]

People = NDArray[np.float64]
Fold = tuple[HeldOut, sp.csr_matrix]

HIDDEN = 0.2  # share of the interactions that is hidden
MOST_PEOPLE = 3000  # ranked in every trial
MOST_FOLDS = 3  # of interactions hidden in turn, where fewer people than that lose any
ALPHAS = (1.0, 0.25)  # confidences, as multiples of the model's
RIDGES = (0.3, 1.0, 3.0, 10.0)  # as multiples of the model's, for an unchanged confidence
FIRST_TEMPER = 1.0  # at which all pairs of the two are compared
TEMPERS = (0.3, 3.0, 10.0)  # tried for the best pairs
BEST_PAIRS = 2
LEAST_PEOPLE = 10  # with anything hidden, below which nothing is chosen


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
    """

    source: bool
    alpha: float
    regularization: float
    temper: float
    sweeps: int

    @property
    def name(self) -> str:
        """The arm, with its settings."""
        arm = "plain ALS" if not self.temper else "mapped" if self.source else "mean-prior"
        sweeps = f", {self.sweeps} sweeps" if self.sweeps else ""
        temper = f", temper {self.temper:g}" if self.temper else ""
        return f"{arm} (alpha {self.alpha:g}, ridge {self.regularization:g}{temper}{sweeps})"


@dataclass(frozen=True)
class RefineChoice:
    """What people with hidden interactions said.

    Attributes
    ----------
    refined, null : Recipe
        The best with and without the source, by everybody's mean NDCG@10.
    plain : Recipe
        The best that has no prior at all.
    keep : bool
        Whether the refined model is kept: `low` is above zero.
    gain, low, high : float
        Mean of refined minus null and its 95% interval, paired over people. Each half of the people
        is measured with the recipes that the other half chose.
    detectable : float
        The smallest gain that would have been kept, about: half the width of the interval.
    people : int
    trials : int
        Recipes tried with the source; without it no fewer were.
    """

    refined: Recipe
    null: Recipe
    plain: Recipe
    keep: bool
    gain: float
    low: float
    high: float
    detectable: float
    people: int
    trials: int

    @property
    def recipe(self) -> Recipe:
        """The one to fit on everything."""
        return self.refined if self.keep else self.null

    def __str__(self) -> str:
        verb, other = ("keeps", self.null) if self.keep else ("leaves", self.refined)
        return (
            f"{verb} the refined model: {self.recipe.name} against {other.name}, "
            f"refined minus the best without a source {100 * self.gain:+.2f} "
            f"({100 * self.low:+.2f} .. {100 * self.high:+.2f}) points of NDCG@10 on {self.people} "
            f"people; a gain of {100 * self.detectable:.2f} could have been seen"
        )


def choose_refinement(
    model: PriorALS,
    user_items: sp.csr_matrix,
    known: KnownRows,
    adapter: Adapter,
    *,
    sweeps: int,
    rng: np.random.Generator,
    show_progress: bool = False,
) -> RefineChoice:
    """Hide interactions, fit on the rest, and choose how to fit everything.

    20% of all interactions are hidden, whoever's they are; nobody is left out, and a row may lose
    all it has. Where fewer than 3,000 people lose any, other 20% are hidden in turn, three times at
    most. With the source and without it (`MeanAdapter`) the same trials are made: every pair of
    confidence and ridge at temper 1, the best two pairs at other tempers, each after 0, 1, ...
    `sweeps` sweeps; plain ALS at every pair comes on top of those without a source. The full
    catalog is ranked for at most 3,000 people, and the best recipe of each kind is chosen by
    NDCG@10: its own, and as much the average over all sweeps.

    What the source adds is measured crosswise: each half of the people on the recipes that the
    other half chose. Where the interval of the difference, paired over people, does not exclude
    zero, the model without a source is the answer.

    Parameters
    ----------
    model : PriorALS
        Only its settings are read.
    user_items : csr_matrix (n_users, n_items) of float32, canonical
    known : KnownRows
    adapter : Adapter
        Settings it leaves open are its own to choose, in every sweep.
    sweeps : int
        At most so many.

    Returns
    -------
    RefineChoice
        A front door fits ``fit_recipe(model, user_items, known, adapter, choice.recipe)``.
    """
    folds = _folds(user_items, rng)
    people = len(np.unique(np.concatenate([held.rows for held, _ in folds])))
    if people < LEAST_PEOPLE:
        raise ValueError(
            f"{people} rows have hidden interactions, and {LEAST_PEOPLE} are needed to choose: "
            "use refine=0"
        )
    with tqdm(desc="choosing the refinement", disable=not show_progress) as bar:
        trials = _Trials(model, folds, known, sweeps, bar.update)
        arms = {True: trials.search(adapter), False: trials.search(MeanAdapter())}
    gain, low, high = _crosswise(arms[True], arms[False], rng)
    return RefineChoice(
        refined=_best(arms[True]),
        null=_best(arms[False]),
        plain=_best({r: people for r, people in arms[False].items() if not r.temper}),
        keep=low > 0,
        gain=gain,
        low=low,
        high=high,
        detectable=(high - low) / 2,
        people=people,
        trials=len(arms[True]),
    )


def fit_recipe(
    model: PriorALS,
    user_items: sp.csr_matrix,
    known: KnownRows,
    adapter: Adapter,
    recipe: Recipe,
    *,
    show_progress: bool = False,
) -> Refined:
    """Fit a recipe on everything; `model` gives the settings that the recipe leaves open."""
    fitted = _plain(model, recipe.alpha, recipe.regularization)
    fitted.fit(user_items, show_progress=show_progress)
    return refine(
        fitted,
        user_items,
        known,
        adapter if recipe.source else MeanAdapter(),
        sweeps=recipe.sweeps,
        temper=recipe.temper,
        show_progress=show_progress,
    )


class _Trials:
    """Recipes fitted without hidden interactions, and their quality person by person."""

    def __init__(
        self,
        model: PriorALS,
        folds: list[Fold],
        known: KnownRows,
        sweeps: int,
        tick: Callable[[], object],
    ) -> None:
        self.folds, self.known = folds, known
        self.sweeps, self.tick = sweeps, tick
        pairs = [(a * model.alpha, r * a * model.regularization) for a in ALPHAS for r in RIDGES]
        self.plain = {
            pair: [_plain(model, *pair).fit(train, show_progress=False) for _, train in folds]
            for pair in pairs
        }
        people = np.concatenate([held.rows for held, _ in folds])
        self.person = np.unique(people, return_inverse=True)[1].reshape(-1)

    def search(self, adapter: Adapter) -> dict[Recipe, People]:
        """Quality (n_people,) of every recipe with this adapter."""
        source = not isinstance(adapter, MeanAdapter)
        found: dict[Recipe, People] = {}
        for pair in self.plain:
            if not source:
                found |= self._path(adapter, pair, 0.0, source)
            found |= self._path(adapter, pair, FIRST_TEMPER, source)
        best = {
            pair: max(_mean(v) for r, v in found.items() if (r.alpha, r.regularization) == pair)
            for pair in self.plain
        }
        for pair in sorted(best, key=best.__getitem__)[-BEST_PAIRS:]:
            for temper in TEMPERS:
                found |= self._path(adapter, pair, temper, source)
        return found

    def _path(
        self, adapter: Adapter, pair: tuple[float, float], temper: float, source: bool
    ) -> Iterator[tuple[Recipe, People]]:
        """After every sweep."""
        paths = [
            refinements(
                plain,
                train,
                self.known,
                adapter,
                sweeps=self.sweeps if temper else 0,
                temper=temper,
            )
            for plain, (_, train) in zip(self.plain[pair], self.folds, strict=True)
        ]
        for sweep, step in enumerate(zip(*paths, strict=True)):
            self.tick()
            yield Recipe(source, *pair, temper, sweep), self._quality(step)

    def _quality(self, step: tuple[Refined, ...]) -> People:
        """NDCG@10 of the people with something hidden, the mean over the folds that hide it."""
        parts = [
            _quality(refined, held, train, self.known)
            for refined, (held, train) in zip(step, self.folds, strict=True)
        ]
        return np.bincount(self.person, np.concatenate(parts)) / np.bincount(self.person)


def _quality(refined: Refined, held: HeldOut, train: sp.csr_matrix, known: KnownRows) -> People:
    """NDCG@10 of the held-out people of one fold."""
    rows = refined.rows(train, known, which=held.rows)
    scores = partial(_scores, rows, refined.items)
    ranked = held.rank_all(scores, shots=1, num_threads=refined.settings.num_threads)
    return metric("ndcg")(ranked.hits, ranked.relevant)


def _scores(
    rows: NDArray[np.float32], items: NDArray[np.float32], block: slice
) -> NDArray[np.float32]:
    return np.asarray(rows[block] @ items.T)


def _plain(model: PriorALS, alpha: float, regularization: float) -> PriorALS:
    """An unfitted model with other settings."""
    settings = model.get_params() | {"alpha": alpha, "regularization": regularization}
    return type(model)(**settings)


def _folds(user_items: sp.csr_matrix, rng: np.random.Generator) -> list[Fold]:
    """What is hidden, and what may be fitted, in up to three folds that hide disjoint parts."""
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


def _best(found: dict[Recipe, People], people: NDArray[np.int64] | slice = slice(None)) -> Recipe:
    """By mean quality, and as much by its average over all sweeps: neighbours steady the choice."""
    means = {recipe: _mean(values[people]) for recipe, values in found.items()}
    paths: dict[Recipe, list[float]] = {}
    for recipe, mean in means.items():
        paths.setdefault(replace(recipe, sweeps=0), []).append(mean)

    def worth(recipe: Recipe) -> float:
        path = paths[replace(recipe, sweeps=0)]
        return means[recipe] + sum(path) / len(path)

    return max(means, key=worth)


def _mean(people: People) -> float:
    return float(people.mean())


def _crosswise(
    refined: dict[Recipe, People], null: dict[Recipe, People], rng: np.random.Generator
) -> tuple[float, float, float]:
    """Mean difference and its interval: each half is measured on what the other half chose."""
    order = rng.permutation(len(next(iter(null.values()))))
    halves = np.array_split(order, 2)
    differences = np.concatenate(
        [
            refined[_best(refined, chosen)][measured] - null[_best(null, chosen)][measured]
            for chosen, measured in (halves, halves[::-1])
        ]
    )
    low, high = bootstrap_interval(differences[:, None], rng=rng)
    return _mean(differences), float(low[0]), float(high[0])
