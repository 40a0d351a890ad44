"""From a refined target model to what is served: whom the source knows, and what serves others."""

from __future__ import annotations

import numpy as np

from coldstart.anchors import Anchors
from coldstart.prior import Prior
from coldstart.refine import KnownRows, Refined
from coldstart.refine_trials import Recipe
from coldstart.strength import WHOSE, NullArm
from coldstart.transfer import Space

__all__ = ["known_rows", "null_arm", "null_priors"]


def known_rows(origin: Space, anchors: Anchors) -> KnownRows:
    """The target rows that the source knows too."""
    matrix = None if origin.matrix is None else origin.matrix[anchors.source]
    rows = origin.rows[anchors.source]
    return KnownRows(anchors.target, rows, matrix, origin.moments[1])


def null_arm(recipe: Recipe, refined: Refined) -> NullArm:
    """What serves rows that do not follow the source, beside a model fitted by that recipe."""
    kind = "popularity" if recipe.popular else "mean" if recipe.temper else "plain"
    pull = refined.null if recipe.source else refined.strength
    return NullArm(kind, "all", pull.temper[0], pull.regularization)


def null_priors(refined: Refined, told: KnownRows) -> Prior:
    """Priors that know no source, one for each of `WHOSE`, all around the mean of all rows: with
    the average precision of the rows that the model was `told` of.
    """
    said = told.prior(refined.adapter)
    average = said.pad(len(said) + 1, refined.mean).take([len(said)])
    means = np.tile(refined.mean, (len(WHOSE), 1))
    return Prior(means, shared=average.matrices()[0], origin=refined.mean)
