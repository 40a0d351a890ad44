"""Synthetic pairs whose anchors are unlike the rest of the target, and whose source says nothing.

The hardest case for a gate: a map that says nothing of a person still tells the anchors, who are
asked, from everybody else, on whom arms without a source may rest.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from coldstart.interactions import Interactions

__all__ = ["anchors_apart"]

OTHERS, STRANGERS = 800, 100  # rows of the target, and of the source, that are no anchors
SOURCE_ITEMS, TARGET_ITEMS = 150, 120
FACTORS = 5
SPREAD, OFFSET = 0.5, 0.6  # of target rows around their mean, and of that mean from zero
IN_SOURCE, IN_TARGET = 12, 8  # interactions of a person, the latter on average


def anchors_apart(anchors: int, shift: float, seed: int) -> tuple[Interactions, Interactions]:
    """Source and target: so many anchors, their mean embedding that far from that of the others."""
    rng = np.random.default_rng(seed)
    mean, away = (_direction(rng) * length for length in (OFFSET, shift))
    tastes = mean + SPREAD * rng.standard_normal((anchors + OTHERS, FACTORS))
    tastes[:anchors] += away
    liked = tastes @ rng.standard_normal((FACTORS, TARGET_ITEMS))
    bought = np.maximum(2, rng.poisson(IN_TARGET, len(tastes)))
    popular = np.tile(0.8 * rng.standard_normal(SOURCE_ITEMS), (anchors + STRANGERS, 1))
    known = np.arange(anchors + STRANGERS)
    known[anchors:] += OTHERS  # strangers are not in the target
    source = _chosen(popular, np.full(len(popular), IN_SOURCE), rng)
    target = _chosen(liked, bought, rng)
    return _log(known, source, "s"), _log(np.arange(len(tastes)), target, "t")


def _direction(rng: np.random.Generator) -> NDArray[np.float64]:
    drawn = rng.standard_normal(FACTORS)
    return np.asarray(drawn / np.linalg.norm(drawn))


def _chosen(
    utility: NDArray[np.float64], sizes: NDArray[np.int64], rng: np.random.Generator
) -> list[NDArray[np.int64]]:
    """For each row so many columns without replacement, by the softmax of its utility."""
    noisy = utility + rng.gumbel(size=utility.shape)
    return [np.argpartition(-row, n)[:n] for row, n in zip(noisy, sizes, strict=True)]


def _log(people: NDArray[np.int64], chosen: list[NDArray[np.int64]], kind: str) -> Interactions:
    pairs = [
        (f"u{person}", f"{kind}{item}")
        for person, items in zip(people, chosen, strict=True)
        for item in items
    ]
    users, items = zip(*pairs, strict=True)
    return Interactions.from_frame(pl.DataFrame({"user": users, "item": items}))
