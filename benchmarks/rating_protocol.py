"""The rating protocol of EMCDR (Man et al. 2017) and PTUPCDR (Zhu et al. 2022).

A share beta of the people in both catalogs is cold: all their target ratings are taken away and
are to be predicted, those of items included that nobody else has rated. MAE and RMSE are over
ratings, as published, their intervals over people.

The rows know of a cold person what the published models know: ratings in the source. A tenth of
the other anchors choose every setting: they lose their target ratings, too, in a fit of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from biased_factors import Array, BiasedFactors, fit_factors
from intervals import ratio_of_means
from numpy.typing import NDArray

from coldstart.adapters import MeanAdapter, RidgeAdapter
from coldstart.adapters.base import AnchorContext
from coldstart.anchors import find_anchors
from coldstart.interactions import Interactions

BETAS = (0.2, 0.5, 0.8)
FACTORS = 10  # as in the configuration of PTUPCDR's repository
RIDGES = (1.0, 3.0, 10.0, 30.0)
SHRINKAGES = (1.0, 3.0, 10.0, 30.0, 100.0)
VALIDATION = 0.1
CONSTANT = "constant"
ROWS = (
    "zero",
    CONSTANT,
    "median",
    "item mean",
    "item bias",
    "item bias + source bias",
    "factors without biases, linear map",
    "factors, mean row",
    "factors, ridge map",
)


@dataclass(frozen=True, eq=False)
class RatingSplit:
    """Cold people and what may be fitted.

    Parameters
    ----------
    train : Interactions
        The target catalog without the cold people, and without items that only they have.
    cold : array (n_people,)
        Rows of the source.
    person, column, rating : arrays (n_ratings,)
        The ratings to be predicted: whose, of which column of `train` (-1: of none), and how many.
    """

    train: Interactions
    cold: NDArray[np.int64]
    person: NDArray[np.int64]
    column: NDArray[np.int64]
    rating: Array


def split_ratings(
    source: Interactions, target: Interactions, share: float, rng: np.random.Generator
) -> RatingSplit:
    """Take all target ratings of a `share` of the anchors away."""
    anchors = find_anchors(source.users, target.users)
    drawn = np.sort(rng.permutation(len(anchors))[: round(share * len(anchors))])
    anchors = anchors.take(drawn)
    keep = np.ones(len(target.users), bool)
    keep[anchors.target] = False
    train = target.keep_users(keep)
    held = target.user_items[anchors.target]
    person = np.repeat(np.arange(len(drawn)), np.diff(held.indptr))
    column = train.items.rows(target.items.ids[held.indices], missing="mask")
    return RatingSplit(train, anchors.source, person, column, held.data.astype(np.float64))


def errors(split: RatingSplit, predicted: Array) -> Array:
    """Sums of absolute and of squared errors, and numbers of ratings, (n_people, 3)."""
    missed = split.rating - predicted
    parts = np.abs(missed), missed**2, np.ones_like(missed)
    return np.stack([np.bincount(split.person, part, len(split.cold)) for part in parts], axis=1)


def measured(sums: Array, constant: Array) -> dict[str, list[float]]:
    """MAE and RMSE with 95% intervals over people, and how much the MAE is above the constant's."""
    absolute, squared, count = sums.T
    found = {
        "mae": ratio_of_means(absolute, count, rng=0),
        "rmse": [value**0.5 for value in ratio_of_means(squared, count, rng=0)],
        "mae_to_constant": ratio_of_means(absolute - constant[:, 0], count, rng=0),
        "mse_to_constant": ratio_of_means(squared - constant[:, 1], count, rng=0),
    }
    return {name: [round(value, 5) for value in values] for name, values in found.items()}


class SourceModels:
    """Factor models of the source, each fitted once: no cold person changes them."""

    def __init__(self, source: Interactions) -> None:
        self.log = source
        self._fitted: dict[tuple[float, bool], BiasedFactors] = {}

    def __call__(self, ridge: float, biased: bool = True) -> BiasedFactors:
        if (ridge, biased) not in self._fitted:
            self._fitted[ridge, biased] = fit_factors(
                self.log.user_items, factors=FACTORS, ridge=ridge, biased=biased
            )
        return self._fitted[ridge, biased]


def run(source: SourceModels, target: Interactions, share: float, seed: int) -> dict[str, Any]:
    """All rows on one split."""
    rng = np.random.default_rng(seed)
    split = split_ratings(source.log, target, share, rng)
    inner = split_ratings(source.log, split.train, VALIDATION, rng)
    sums, chosen = {}, {}
    for name in ROWS:
        chosen[name] = _choice(name, source, inner)
        sums[name] = errors(split, predictions(name, chosen[name], source, split))
    return {
        "beta": share,
        "seed": seed,
        "people": len(split.cold),
        "ratings": len(split.rating),
        "unknown items": round(float((split.column < 0).mean()), 4),
        "mean rating": round(float(split.rating.mean()), 4),
        "rows": {name: measured(sums[name], sums[CONSTANT]) for name in ROWS},
        "chosen": {name: value for name, value in chosen.items() if value is not None},
    }


def _choice(name: str, source: SourceModels, inner: RatingSplit) -> float | None:
    """The setting with the least squared error of the validation people, None without a choice."""
    if name in ("zero", CONSTANT, "median", "item mean"):
        return None
    settings = SHRINKAGES if name.startswith("item bias") else RIDGES

    def error(setting: float) -> float:
        return float(errors(inner, predictions(name, setting, source, inner))[:, 1].sum())

    return min(settings, key=error)


def predictions(
    name: str, setting: float | None, source: SourceModels, split: RatingSplit
) -> Array:
    """Ratings (n_ratings,) that a row of the table predicts."""
    ratings = split.train.user_items.data.astype(np.float64)
    if name == "zero":
        return np.zeros_like(split.rating)
    if name == "median":
        return np.full_like(split.rating, np.median(ratings))
    if name in (CONSTANT, "item mean", "item bias"):
        shrinkage = {CONSTANT: np.inf, "item mean": 0.0}.get(name, setting or 0.0)
        return _at(item_biases(split.train, shrinkage), split.column) + ratings.mean()
    if name == "item bias + source bias":
        return _with_source_bias(source.log, split, float(setting or 0.0))
    return _of_factors(name, source, split, float(setting or 0.0))


def item_biases(log: Interactions, shrinkage: float) -> Array:
    """``sum(r - mean) / (n + shrinkage)`` of every item, (n_items,); zero where that is nothing."""
    matrix = sp.csc_matrix(log.user_items, dtype=np.float64)
    left = matrix.data - matrix.data.mean()
    sums = np.bincount(np.repeat(np.arange(matrix.shape[1]), np.diff(matrix.indptr)), left)
    return sums / (np.diff(matrix.indptr) + shrinkage)


def _with_source_bias(source: Interactions, split: RatingSplit, shrinkage: float) -> Array:
    """The item's bias, and a share of how much above items the person rates in the source: the
    share that fits the training anchors' biases best.
    """
    anchors = find_anchors(source.users, split.train.users)
    there = _user_biases(source, shrinkage)
    here = _user_biases(split.train, shrinkage)
    x, y = there[anchors.source], here[anchors.target]
    share = float(x @ y / max(x @ x, 1e-12))
    mean = split.train.user_items.data.mean(dtype=np.float64)
    items = _at(item_biases(split.train, shrinkage), split.column)
    return mean + items + share * there[split.cold][split.person]


def _user_biases(log: Interactions, shrinkage: float) -> Array:
    """Shrunken means (n_users,) of what ratings are above mean and item bias."""
    matrix = sp.csr_matrix(log.user_items, dtype=np.float64)
    left = matrix.data - matrix.data.mean() - item_biases(log, shrinkage)[matrix.indices]
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    return np.bincount(rows, left, matrix.shape[0]) / (np.diff(matrix.indptr) + shrinkage)


def _of_factors(name: str, source: SourceModels, split: RatingSplit, ridge: float) -> Array:
    """What a factor model predicts with rows that come from an adapter."""
    biased = name != "factors without biases, linear map"
    there = source(ridge, biased)
    here = fit_factors(split.train.user_items, factors=FACTORS, ridge=ridge, biased=biased)
    anchors = find_anchors(source.log.users, split.train.users)
    pairs = there.users[anchors.source], here.users[anchors.target]
    cold = there.users[split.cold]
    if not biased:
        rows = cold @ np.linalg.lstsq(*pairs, rcond=None)[0]
    else:
        adapter = MeanAdapter() if name.endswith("mean row") else RidgeAdapter()
        axes = _axes(pairs[0])
        context = AnchorContext(mean=here.users.mean(axis=0), other_factors=here.slopes)
        adapter.fit(pairs[0] @ axes, pairs[1], context=context)
        rows = adapter.predict(cold @ axes).mean
    return here.predict(np.asarray(rows)[split.person], split.column)


def _axes(rows: Array) -> Array:
    """The directions (d, k) along which rows (n, d) vary: a ridge may have emptied some."""
    _, sizes, axes = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    return axes[sizes > 1e-4 * sizes[0]].T


def _at(values: Array, columns: NDArray[np.int64]) -> Array:
    """Values of columns, zero for those that are unknown (-1)."""
    return np.where(columns >= 0, values[columns], 0.0)
