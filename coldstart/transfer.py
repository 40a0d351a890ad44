"""From two fitted catalogs to priors: embeddings, anchors, and the adapter between them."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from tqdm.auto import tqdm

from coldstart.adapters.base import Adapter, AnchorContext, Tunable
from coldstart.als import PriorALS
from coldstart.anchors import Anchors
from coldstart.factors import Factors
from coldstart.heldout import hold_out
from coldstart.interactions import Interactions
from coldstart.popularity import counts
from coldstart.prior import Prior
from coldstart.strength import Fold, Search, search
from coldstart.threads import one_blas_thread
from coldstart.vocabulary import Vocabulary

__all__ = [
    "Space",
    "candidates",
    "choose",
    "fit_adapter",
    "predict",
    "source_space",
    "target_space",
]

Floats = NDArray[np.float32]

SHARE = 0.2  # of the eligible anchors, held out in one fold
ENOUGH = 1000  # people to choose on, about: so many folds, at most MOST_FOLDS
MOST_FOLDS = 5
ACTIVE = 5  # interactions on both sides that make an anchor eligible
FEWEST = 10  # eligible anchors below which nothing can be chosen


@dataclass(frozen=True, eq=False)
class Space:
    """The rows of one catalog as an adapter sees them.

    Parameters
    ----------
    ids : Vocabulary of n ids
    rows : array (n, d)
    matrix : csr_matrix (n, m) or None
        Their interactions, where they are at hand.
    other : array (m, d) or None
        Factors of the columns.
    alpha : float or None
    """

    ids: Vocabulary
    rows: Floats
    matrix: sp.csr_matrix | None = None
    other: Floats | None = None
    alpha: float | None = None

    @property
    def active(self) -> NDArray[np.bool_]:
        """Rows (n,) with at least one interaction, or with an embedding that is not zero."""
        counts = self.counts
        return np.any(self.rows, axis=1) if counts is None else counts > 0

    @property
    def counts(self) -> NDArray[np.int64] | None:
        """Interactions per row (n,), where they are at hand."""
        return None if self.matrix is None else np.diff(self.matrix.indptr).astype(np.int64)

    @cached_property
    def moments(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean (d,) and covariance (d, d) of the active rows."""
        rows = self.rows[self.active].astype(np.float64)
        if not len(rows):
            return np.zeros(self.rows.shape[1]), np.eye(self.rows.shape[1])
        mean = rows.mean(axis=0)
        return mean, (rows - mean).T @ (rows - mean) / len(rows)


def target_space(model: PriorALS, catalog: Interactions) -> Space:
    """The exact rows of a fitted model."""
    matrix = catalog.user_items
    return Space(catalog.users, model.fold_in(matrix), matrix, model.item_factors, model.alpha)


def source_space(source: Interactions | Factors, model: Any, *, show_progress: bool) -> Space:
    """Embed the rows of the source: with `model`, or as they come from elsewhere."""
    if isinstance(source, Factors):
        return Space(source.users, source.user_factors, None, source.item_factors)
    if isinstance(model, PriorALS):
        model.fit(source.user_items, show_progress=show_progress)
        return target_space(model, source)
    model = copy.deepcopy(model)
    # other libraries want arrays that they could write to
    model.fit(source.user_items.copy(), show_progress=show_progress)
    rows, columns = (np.asarray(f, np.float32) for f in (model.user_factors, model.item_factors))
    return Space(source.users, rows, source.user_items, columns)


def candidates(adapter: Adapter) -> Sequence[Adapter]:
    """What held-out people may choose between: the adapter's open settings spelled out, or a copy
    of it.
    """
    return adapter.candidates() if isinstance(adapter, Tunable) else [copy.deepcopy(adapter)]


def fit_adapter(adapter: Adapter, source: Space, target: Space, anchors: Anchors) -> Adapter:
    """A copy of the adapter, fitted on the anchors."""
    mean, covariance = target.moments
    context = AnchorContext(
        source_rows=None if source.matrix is None else source.matrix[anchors.source],
        target_rows=None if target.matrix is None else target.matrix[anchors.target],
        other_factors=target.other,
        alpha=target.alpha,
        mean=mean,
        covariance=covariance,
    )
    rows = source.rows[anchors.source], target.rows[anchors.target]
    with one_blas_thread():
        return copy.deepcopy(adapter).fit(*rows, context=context)


def predict(adapter: Adapter, source: Space, rows: NDArray[Any]) -> Prior:
    """What a fitted adapter says of some rows of the source."""
    matrix = None if source.matrix is None else source.matrix[rows]
    return adapter.predict(source.rows[rows], context=AnchorContext(source_rows=matrix))


def choose(
    options: Sequence[Adapter],
    model: PriorALS,
    source: Space,
    target: Interactions,
    anchors: Anchors,
    *,
    rng: np.random.Generator,
    show_progress: bool,
) -> Search | None:
    """Hold anchors out and choose adapter and strength on them; None where there are too few to
    hold out.
    """
    eligible = rng.permutation(_eligible(source, target, anchors))
    if len(eligible) < FEWEST:
        return None
    size = max(int(SHARE * len(eligible)), 2)
    groups = [eligible[begin : begin + size] for begin in range(0, len(eligible), size)]
    count = min(MOST_FOLDS, max(1, ENOUGH // size))
    folds = [
        _fold(group, options, model, source, target, anchors, rng)
        for group in tqdm(groups[:count], desc="held-out anchors", disable=not show_progress)
    ]
    with tqdm(desc="choosing the strength", disable=not show_progress) as bar:
        return search(folds, num_threads=model.num_threads, tick=bar.update)


def _eligible(source: Space, target: Interactions, anchors: Anchors) -> NDArray[np.int64]:
    """Positions of anchors with enough interactions, or with two in the target where few have
    enough.
    """
    in_target = np.diff(target.user_items.indptr)[anchors.target]
    in_source = in_target if source.counts is None else source.counts[anchors.source]
    eligible = np.flatnonzero((in_target >= ACTIVE) & (in_source >= ACTIVE))
    return eligible if len(eligible) >= 2 * FEWEST else np.flatnonzero(in_target >= 2)


def _fold(
    held: NDArray[np.int64],
    options: Sequence[Adapter],
    model: PriorALS,
    source: Space,
    target: Interactions,
    anchors: Anchors,
    rng: np.random.Generator,
) -> Fold:
    """Everything about the target, fitted without the anchors at positions `held`."""
    train, taken = hold_out(target, anchors.target[held], order="auto", rng=rng)
    fitted = model.clone().fit(train.user_items, show_progress=False)
    space = target_space(fitted, train)
    rest = anchors.take(np.setdiff1d(np.arange(len(anchors)), held))
    rest = Anchors(rest.source, train.users.rows(target.users.ids[rest.target]))
    adapters = [fit_adapter(option, source, space, rest) for option in options]
    rows = space.rows[rest.target].astype(np.float64)
    return Fold(
        model=fitted,
        held=taken,
        priors=[predict(adapter, source, anchors.source[held]) for adapter in adapters],
        means={"all": space.moments[0], "anchors": rows.mean(axis=0)},
        popularity=counts(train.user_items),
    )
