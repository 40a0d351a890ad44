"""Is crossing likely to pay? What can be said before anything is fitted for good."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coldstart.adapters.base import scaled
from coldstart.agreement import FEWEST, Agreement, rank_agreement, spearman
from coldstart.als import PriorALS
from coldstart.anchors import Anchors, find_anchors
from coldstart.diagnosis_report import Diagnosis, Side
from coldstart.errors import AnchorError, DataError
from coldstart.hygiene import Check, checks, size_check, time_check
from coldstart.interactions import Interactions
from coldstart.map_evidence import linear_evidence
from coldstart.overlap import Coverage
from coldstart.popularity import counts
from coldstart.shift import Shift, covariate_shift
from coldstart.similarity import alignment, canonical
from coldstart.targets.prior_als import PriorALSTarget
from coldstart.transfer import Space, source_space, target_space
from coldstart.twins import Twins, find_twins
from coldstart.verdict import Verdict, held_out_verdict

__all__ = ["Diagnosis", "diagnose"]

Rng = np.random.Generator

COMPARED = 5000  # anchors, at most, on which embeddings are compared
_TWO_SIDED = 1.96  # standard errors on either side of a mean, for 95%


def diagnose(
    source: Interactions,
    target: Interactions,
    *,
    side: Side = "users",
    factors: int = 64,
    rng: int = 0,
    num_threads: int = 0,
    show_progress: bool = False,
) -> Diagnosis:
    """Say whether a warm start from `source` is likely to help in `target`, and why.

    The verdict rests on held-out people alone: what they gained from a ridge map, with its
    interval. Everything else describes: who the anchors are, how embeddings of both catalogs hang
    together, which products are listed twice. Such scores may rank candidates and explain, but do
    not decide. Distances between the two embedding spaces (A-distance, MMD, CORAL) are not offered:
    spaces that were trained apart differ by an arbitrary rotation, and so do such distances.

    Parameters
    ----------
    source, target : Interactions
    side : {"users", "items"}
        Whose embeddings would be mapped.
    factors : int
        Width of the embeddings.
    rng : int
        Seed of models, folds and permutations.
    num_threads : int, default 0
        0 is all cores.
    show_progress : bool, default False

    Returns
    -------
    Diagnosis

    Raises
    ------
    AnchorError
        When no id is in both catalogs.
    DataError
        When a catalog is empty, or ids are numbers in one and strings in the other.

    Examples
    --------
    >>> from coldstart.datasets import make_cross_domain
    >>> source, target = make_cross_domain(400, 120, 90, rng=0)
    >>> found = diagnose(source, target, factors=8)
    >>> found.anchors, found.twins.pairs
    (320, 0)
    """
    _check(source, target, side, factors=factors, rng=rng, num_threads=num_threads)
    if side == "items":
        source, target = source.T, target.T
    anchors = _anchors(source, target, side)
    draws = np.random.default_rng(rng)
    model = PriorALS(factors, rng=rng, num_threads=num_threads)
    origin = source_space(source, model, show_progress=show_progress)
    trained = PriorALSTarget(model, "users").fit(target.user_items, show_progress=show_progress)
    space = target_space(trained, target)
    x, y = _compared(origin, space, anchors, draws)
    twins = _twins(source, target, anchors)
    verdict = held_out_verdict(source, target, model, len(anchors), show_progress=show_progress)
    return Diagnosis(
        side=side,
        factors=factors,
        seed=rng,
        anchors=len(anchors),
        source=Coverage.of(source, anchors.source),
        target=Coverage.of(target, anchors.target),
        source_shift=_shift(origin, anchors.source, draws),
        target_shift=_shift(space, anchors.target, draws),
        canonical=canonical(x, y, rng=draws),
        cka=alignment(x, y, rng=draws),
        evidence=linear_evidence(x, y),
        source_popularity=_agreement(source, anchors.source, draws),
        target_popularity=_agreement(target, anchors.target, draws),
        common_popularity=_common(source, target),
        twins=twins,
        verdict=verdict,
        checks=(
            _size(verdict),
            *checks(source, target, side=side, twins=twins),
            *_times(source, target, anchors),
        ),
    )


def _anchors(source: Interactions, target: Interactions, side: Side) -> Anchors:
    """Rows with interactions in both catalogs."""
    shared = find_anchors(source.users, target.users, side=side)
    active = np.diff(source.user_items.indptr)[shared.source] > 0
    active &= np.diff(target.user_items.indptr)[shared.target] > 0
    if not active.any():
        raise AnchorError(
            f"none of the {len(shared)} {side} in both catalogs has interactions in both: "
            "there is nothing to learn from"
        )
    return shared.take(active)


def _compared(
    origin: Space, space: Space, anchors: Anchors, rng: Rng
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Source and target rows of the anchors, of length 1: how active they are is no taste."""
    some = np.sort(rng.permutation(len(anchors))[:COMPARED])
    x, y = origin.rows[anchors.source[some]], space.rows[anchors.target[some]]
    return scaled(x, True).astype(np.float64), scaled(y, True).astype(np.float64)


def _group(n: int, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    group = np.zeros(n, bool)
    group[rows] = True
    return group


def _shift(space: Space, anchors: NDArray[np.int64], rng: Rng) -> Shift | None:
    """Anchors against the other active rows, by direction of the embedding and log activity."""
    activity = np.log1p(np.asarray(space.counts, np.float64))[:, None]
    known = np.hstack([scaled(space.rows, True), activity])
    group, active = _group(len(known), anchors), space.active
    return covariate_shift(known[active], group[active], rng=rng)


def _agreement(log: Interactions, anchors: NDArray[np.int64], rng: Rng) -> Agreement | None:
    return rank_agreement(log.user_items, _group(len(log.users), anchors), rng=rng)


def _common(source: Interactions, target: Interactions) -> Agreement | None:
    """Popularity of columns with the same id in both catalogs; None where those are few."""
    if source.items.kind != target.items.kind:
        return None
    same = find_anchors(source.items, target.items, needed=False)
    if len(same) < FEWEST:
        return None
    popular = counts(source.user_items)[same.source], counts(target.user_items)[same.target]
    return Agreement(spearman(*popular), len(same))


def _twins(source: Interactions, target: Interactions, anchors: Anchors) -> Twins:
    pairs = find_twins(source.user_items[anchors.source], target.user_items[anchors.target])
    return Twins.of(pairs, target.user_items, (source.items.ids, target.items.ids))


def _times(source: Interactions, target: Interactions, anchors: Anchors) -> list[Check]:
    """Whoever is held out is an anchor, and loses target interactions of any time."""
    check = time_check(source, target.keep_users(anchors.target).timestamps)
    return [] if check is None else [check]


def _size(verdict: Verdict) -> Check:
    """What could be seen without interactions in the target."""
    if not verdict.gains:
        return Check(
            "size", "warning", "Nobody was held out, so no gain was tested.", {"people": 0}
        )
    gain = verdict.gains[0]
    half = _TWO_SIDED * gain.standard_error
    return size_check(
        gain.people,
        verdict.metric,
        gain.baseline,
        gain.mean,
        gain.mean - half,
        gain.mean + half,
        gain.detectable,
    )


def _check(source: Any, target: Any, side: Any, **numbers: object) -> None:
    for name, log in (("source", source), ("target", target)):
        if not isinstance(log, Interactions):
            raise TypeError(f"{name} must be Interactions, got {type(log).__name__}")
        if not log.nnz:
            raise DataError(f"{name} is empty: it has no interactions")
    if side not in ("users", "items"):
        raise ValueError(f'side must be "users" or "items", got {side!r}')
    for name, value in numbers.items():
        least = 1 if name == "factors" else 0
        if not isinstance(value, Integral) or int(value) < least:
            raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}")
