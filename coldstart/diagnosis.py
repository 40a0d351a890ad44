"""Is crossing likely to pay? What can be said before anything is fitted for good."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from numbers import Integral
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from coldstart.adapters.base import scaled
from coldstart.agreement import Agreement, rank_agreement, spearman
from coldstart.als import PriorALS
from coldstart.anchors import Anchors, find_anchors
from coldstart.errors import AnchorError, DataError
from coldstart.evidence import Evidence, linear_evidence
from coldstart.interactions import Interactions
from coldstart.overlap import Coverage, id_warnings
from coldstart.popularity import counts
from coldstart.shift import Shift, covariate_shift
from coldstart.similarity import Alignment, Canonical, alignment, canonical
from coldstart.transfer import Space, source_space, target_space
from coldstart.transfer_report import Gain
from coldstart.twins import Twins, find_twins
from coldstart.verdict import Verdict, expected_gains, judged

__all__ = ["Diagnosis", "diagnose"]

Side = Literal["users", "items"]
Rng = np.random.Generator

SCHEMA = 1
COMPARED = 5000  # anchors, at most, on which embeddings are compared


@dataclass(frozen=True, repr=False)
class Diagnosis:
    """What `diagnose` found; ``print`` it for sentences, `to_json` for plain values.

    A part is None where it could not be measured, mostly because too few rows are there.

    Attributes
    ----------
    side : {"users", "items"}
    factors, seed : int
    anchors : int
    source, target : Coverage
        How much of each catalog the anchors are.
    source_shift, target_shift : Shift or None
        How anchors differ from the other rows of their catalog.
    canonical : Canonical or None
    cka : Alignment or None
    evidence : Evidence or None
    source_popularity, target_popularity : Agreement or None
        Between anchors and the others, over columns.
    common_popularity : Agreement or None
        Between both catalogs, over columns with the same id.
    twins : Twins
    gains : tuple of Gain
        What held-out people gained at each number of shots; empty where none could be held out.
    verdict : {"likely", "unlikely", "too few"}
    reason : str
    warnings : tuple of str
    """

    side: Side
    factors: int
    seed: int
    anchors: int
    source: Coverage
    target: Coverage
    source_shift: Shift | None
    target_shift: Shift | None
    canonical: Canonical | None
    cka: Alignment | None
    evidence: Evidence | None
    source_popularity: Agreement | None
    target_popularity: Agreement | None
    common_popularity: Agreement | None
    twins: Twins
    gains: tuple[Gain, ...]
    verdict: Verdict
    reason: str
    warnings: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values; NaN is None."""
        text = json.dumps({"schema": SCHEMA, **asdict(self)})
        values: dict[str, Any] = json.loads(text, parse_constant=lambda _: None)
        return values

    def __str__(self) -> str:
        few, columns = "too few rows to tell", _OTHER[self.side]
        beside = _beside(self.source, self.side), _beside(self.target, self.side)
        lines = [
            f"Crossing is {_WORDS[self.verdict]}: {self.reason}.",
            *(f"  {gain} {self.side}." for gain in self.gains),
            f"Anchors: {self.anchors} {self.side} are in both catalogs.",
            f"  Of the source: {self.source.described(self.side)}.",
            f"  Of the target: {self.target.described(self.side)}.",
            f"Anchors against the other {self.side}:",
            f"  In the source: {self.source_shift or beside[0]}.",
            f"  In the target: {self.target_shift or beside[1]}.",
            f"  Popularity of {columns} in the source: {self.source_popularity or beside[0]}.",
            f"  Popularity of {columns} in the target: {self.target_popularity or beside[1]}.",
            "Source against target embeddings of the anchors (hints, which decide nothing):",
            f"  Canonical correlations: {self.canonical or few}.",
            f"  Alignment: {self.cka or few}.",
            f"  Linear map: {self.evidence or few}.",
            f"{columns.capitalize()} of both catalogs:",
            f"  Twins: {self.twins}.",
        ]
        if self.common_popularity is not None:
            lines.append(f"  Popularity of those with the same id: {self.common_popularity}.")
        return "\n".join([*lines, *(f"Warning: {warning}." for warning in self.warnings)])

    def __repr__(self) -> str:
        return (
            f"Diagnosis({self.verdict}, {self.anchors} anchors, {self.twins.pairs} twins, "
            f"gains {', '.join(f'{gain.warm - gain.baseline:+.4f}' for gain in self.gains)})"
        )


_OTHER = {"users": "items", "items": "users"}
_WORDS = {
    "likely": "likely to pay",
    "unlikely": "unlikely to pay",
    "too few": "undecided, too few people to tell",
}


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
    origin = source_space(source, model.clone(), show_progress=show_progress)
    fitted = model.clone().fit(target.user_items, show_progress=show_progress)
    space = target_space(fitted, target)
    x, y = _compared(origin, space, anchors, draws)
    gains = expected_gains(source, target, model, len(anchors), show_progress=show_progress)
    verdict, reason = judged(gains)
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
        twins=_twins(source, target, anchors),
        gains=gains,
        verdict=verdict,
        reason=reason,
        warnings=tuple(id_warnings(source.users, target.users, side)),
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
    """Popularity of columns with the same id in both catalogs; None where there are fewer than
    two.
    """
    if source.items.kind != target.items.kind:
        return None
    same = find_anchors(source.items, target.items, needed=False)
    if len(same) < 2:
        return None
    popular = counts(source.user_items)[same.source], counts(target.user_items)[same.target]
    return Agreement(spearman(*popular), len(same))


def _twins(source: Interactions, target: Interactions, anchors: Anchors) -> Twins:
    pairs = find_twins(source.user_items[anchors.source], target.user_items[anchors.target])
    return Twins.of(pairs, target.user_items, (source.items.ids, target.items.ids))


def _beside(coverage: Coverage, side: Side) -> str:
    """Why anchors were not compared with the others."""
    rest = coverage.rows - coverage.anchors
    return f"{rest} others are too few to tell" if rest else f"all {side} are anchors"


def _check(source: Any, target: Any, side: Any, **numbers: object) -> None:
    for name, log in (("source", source), ("target", target)):
        if not isinstance(log, Interactions):
            raise TypeError(f"{name} must be Interactions, got {type(log).__name__}")
        if not log.nnz:
            raise DataError(f"{name} is empty: it has no interactions")
    if side not in _OTHER:
        raise ValueError(f'side must be "users" or "items", got {side!r}')
    for name, value in numbers.items():
        least = 1 if name == "factors" else 0
        if not isinstance(value, Integral) or int(value) < least:
            raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}")
