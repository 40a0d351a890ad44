"""Whether to refine: one decision for the model, made on hidden interactions of its rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.special import ndtri
from tqdm.auto import tqdm

from coldstart.adapters.base import Adapter
from coldstart.adapters.baselines import MeanAdapter
from coldstart.als import PriorALS
from coldstart.decision import POWER
from coldstart.refine import KnownRows, Refined, refine
from coldstart.refine_trials import People, Recipe, RefineTrials, hidden_in_turn, plain_model
from coldstart.statistics import bootstrap_interval

__all__ = ["Recipe", "RefineChoice", "choose_refinement", "fit_recipe"]

LEAST_PEOPLE = 10  # with anything hidden, below which nothing is chosen
SPLITS = 10  # of the people into halves that choose for each other
LEVEL = 0.05  # largest probability, about, that a model is kept whose source adds nothing


@dataclass(frozen=True)
class RefineChoice:
    """What people with hidden interactions said.

    Attributes
    ----------
    refined, null : Recipe
        The best with and without the source, by everybody's mean NDCG@10.
    model : Recipe
        The best without a source that is no list of what is popular.
    plain : Recipe
        The best that has no prior at all.
    keep : bool
        Whether the refined model is kept: `low` is above zero.
    gain, low, high : float
        Mean of refined minus null and its 90% interval, paired over people. Each half of the people
        is measured with the recipes that the other half chose; means over ten ways to halve them.
    detectable : float
        The true gain for which `low` is above zero with a probability of 80%, about.
    people : int
    trials : int
        Recipes tried with the source; without it no fewer were.
    """

    refined: Recipe
    null: Recipe
    model: Recipe
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

    def to_json(self) -> dict[str, Any]:
        """Plain values, which `from_json` reads."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> RefineChoice:
        """Read what `to_json` wrote."""
        names = ("refined", "null", "model", "plain")
        return cls(**{**values, **{name: Recipe(**values[name]) for name in names}})

    def __str__(self) -> str:
        return f"{'keeps' if self.keep else 'drops'} the refined model: {self.grounds}"

    @property
    def grounds(self) -> str:
        """What the choice was made on, in words."""
        other = self.null if self.keep else self.refined
        return (
            f"{self.recipe.name} against {other.name}, "
            f"refined minus the best without a source {100 * self.gain:+.2f} "
            f"({100 * self.low:+.2f} .. {100 * self.high:+.2f}) points of NDCG@10 on {self.people} "
            f"people; a gain of {100 * self.detectable:.2f} is found with {POWER:.0%} probability"
        )


def choose_refinement(
    model: PriorALS,
    user_items: sp.csr_matrix,
    known: KnownRows,
    adapter: Adapter,
    *,
    sweeps: int,
    temper: float | None = None,
    rng: np.random.Generator,
    show_progress: bool = False,
) -> RefineChoice:
    """Hide interactions, fit on the rest, and choose how to fit everything.

    20% of all interactions are hidden, whoever's they are; nobody is left out, and a row may lose
    all it has. Where fewer than 3,000 people lose any, other 20% are hidden in turn, until each has
    been. With the source and without it (`MeanAdapter`) the same trials are made: every pair of
    confidence and ridge at temper 1, the best two pairs at other tempers, each after 0, 1, ...
    `sweeps` sweeps; plain ALS at every pair and what is popular come on top of those without a
    source. The full catalog is ranked for at most 3,000 people, and the best recipe of each kind is
    chosen by NDCG@10: its own, and as much the average over all sweeps.

    What the source adds is measured crosswise: each half of the people on the recipes that the
    other half chose, ten times over, so that little depends on how they were halved. Where the
    lower limit of the difference, paired over people, is not above zero at a level of 5%, the best
    without a source is the answer.

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
    temper : float, optional
        The only one that is tried with the source.

    Returns
    -------
    RefineChoice
        A front door fits ``fit_recipe(model, user_items, known, adapter, choice.recipe)``.
    """
    folds = hidden_in_turn(user_items, rng)
    people = len(np.unique(np.concatenate([held.rows for held, _ in folds])))
    if people < LEAST_PEOPLE:
        raise ValueError(
            f"{people} rows have hidden interactions, and {LEAST_PEOPLE} are needed to choose: "
            "use refine=0"
        )
    with tqdm(desc="choosing the refinement", disable=not show_progress) as bar:
        trials = RefineTrials(model, folds, known, sweeps, bar.update)
        refined = trials.search(adapter, temper)
        null = trials.search_untold()
    gain, low, high = _crosswise(refined, null, rng)
    models = {r: people for r, people in null.items() if not r.popular}
    return RefineChoice(
        refined=_best(refined),
        null=replace(_best(models), popular=_best(null).popular),
        model=_best(models),
        plain=_best({r: people for r, people in models.items() if not r.temper}),
        keep=low > 0,
        gain=gain,
        low=low,
        high=high,
        detectable=_detectable(low, high),
        people=people,
        trials=len(refined),
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
    """Fit a recipe on everything; `model` gives the settings that the recipe leaves open.

    What comes back takes ``recipe.told(known, n_users)`` for the known rows.
    """
    fitted = plain_model(model, recipe.alpha, recipe.regularization)
    fitted.fit(user_items, show_progress=show_progress)
    return refine(
        fitted,
        user_items,
        recipe.told(known, user_items.shape[0]),
        adapter if recipe.source else MeanAdapter(),
        sweeps=recipe.sweeps,
        temper=recipe.temper,
        show_progress=show_progress,
    )


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


def _detectable(low: float, high: float) -> float:
    """The true gain that is found with the power of the gate, by limits so far apart."""
    return (high - low) / 2 * float(1 + ndtri(POWER) / ndtri(1 - LEVEL))


def _mean(people: People) -> float:
    return float(people.mean())


def _crosswise(
    refined: dict[Recipe, People], null: dict[Recipe, People], rng: np.random.Generator
) -> tuple[float, float, float]:
    """Mean difference and its interval, each half of the people measured on what the other half
    chose; means over several ways to halve them.

    Means over halvings vary less than one of them, so the mean of their limits is on the safe side.
    """
    n = len(next(iter(null.values())))
    differences = np.zeros((n, SPLITS))
    for split in range(SPLITS):
        halves = np.array_split(rng.permutation(n), 2)
        for chosen, measured in (halves, halves[::-1]):
            with_it, without = refined[_best(refined, chosen)], null[_best(null, chosen)]
            differences[measured, split] = (with_it - without)[measured]
    low, high = bootstrap_interval(differences, confidence=1 - 2 * LEVEL, rng=rng)
    return _mean(differences), _mean(low), _mean(high)
