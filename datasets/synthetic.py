"""Two synthetic catalogs whose user embeddings are joined by a known linear map."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from numbers import Integral, Real
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.special import ndtri

from coldstart.interactions import Interactions

__all__ = ["CrossDomain", "make_cross_domain"]

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

_INTERCEPT = 0.2  # standard deviation of the taste that everybody shares in the target catalog
_ACTIVITY = 0.8  # standard deviation of the log of a person's expected number of interactions
_KEYS_AT_ONCE = 2**21  # pairs weighed in one block: bounds the memory, does not change the data


@dataclass(frozen=True, eq=False, repr=False)
class CrossDomain:
    """Two catalogs, and everything that was used to draw them.

    A person with embedding x chooses items one after the other, none twice; the next one is item i
    with probability proportional to ``exp(x'y_i + popularity_i)``. Unpacks into the two logs:
    ``source, target = make_cross_domain()``.

    Attributes
    ----------
    source, target : Interactions
        The logs; ids are strings: people "u17", source items "s5", target items "t9".
    map : ndarray (1 + d_source, d_target)
        Target embeddings are ``[1, source embedding] @ map`` plus noise; the intercept comes first.
    source_embeddings : ndarray (n_source_users, d_source)
        True embeddings of the people, aligned with ``source.users``.
    target_embeddings : ndarray (n_target_users, d_target)
        True embeddings of the people, aligned with ``target.users``.
    source_item_embeddings : ndarray (n_source_items, d_source)
    target_item_embeddings : ndarray (n_target_items, d_target)
    source_popularity : ndarray (n_source_items,)
        Logarithm of how much an item is liked whatever the taste.
    target_popularity : ndarray (n_target_items,)
    twins : list of (str, str)
        Source and target id of the same product; their buyers are the same people.
    """

    source: Interactions
    target: Interactions
    map: Floats
    source_embeddings: Floats
    target_embeddings: Floats
    source_item_embeddings: Floats
    target_item_embeddings: Floats
    source_popularity: Floats
    target_popularity: Floats
    twins: list[tuple[str, str]]

    def __post_init__(self) -> None:
        for value in vars(self).values():
            if isinstance(value, np.ndarray):
                value.setflags(write=False)

    def __iter__(self) -> Iterator[Interactions]:
        return iter((self.source, self.target))

    def __repr__(self) -> str:
        shared = len(set(self.source.users) & set(self.target.users))
        return (
            f"CrossDomain(source={self.source!r}, target={self.target!r}, "
            f"{shared} people in both, {len(self.twins)} twins)"
        )


def make_cross_domain(
    n_users: int = 2000,
    n_source_items: int = 1200,
    n_target_items: int = 900,
    *,
    factors: int = 16,
    target_factors: int = 12,
    overlap: float = 0.8,
    source_interactions: float = 30.0,
    target_interactions: float = 10.0,
    affinity: float = 1.5,
    skew: float = 1.1,
    noise: float = 0.5,
    twins: int = 0,
    unrelated: bool = False,
    rng: int | np.random.Generator | None = 0,
) -> CrossDomain:
    """Draw two catalogs that share people, whose tastes are joined by a known linear map.

    With s_u and e_u standard normal, person u has the embedding s_u in the source catalog and ::

        t_u = [1, s_u] @ map + noise * e_u

    in the target catalog. How much a person buys is log-normal over people, and who is eager in one
    catalog tends to be eager in the other. Items are drawn without replacement from the softmax of
    affinity plus log popularity, as the first arrivals of an exponential race [1]_ [2]_.

    Parameters
    ----------
    n_users : int
        People altogether, in one catalog or in both.
    n_source_items, n_target_items : int
        Items of each catalog, those that nobody happened to choose included.
    factors, target_factors : int
        Width of the true embeddings in the source and in the target catalog.
    overlap : float
        Share of the people that are in both catalogs; the rest is split evenly between the two.
    source_interactions, target_interactions : float
        Expected number of interactions per person. Everybody has at least one, and at most half of
        the catalog; copies of twins come on top in the target.
    affinity : float
        Standard deviation of s_u'y_i in the source catalog; 0 leaves popularity alone.
    skew : float
        Standard deviation of log popularity; 0 makes all items equally popular.
    noise : float
        Standard deviation of the part of t_u that the map misses, per dimension (the mapped part
        has about 1). With 0 the map is exact.
    twins : int
        Products listed in both catalogs, as first items of the source and last items of the target.
        Only people in both catalogs buy them, and each of them buys both copies or none.
    unrelated : bool
        Whether t_u and the activity in the target follow a stranger instead of person u, so that
        nothing but twins can be transferred.
    rng : int, numpy.random.Generator or None
        Seed; the same seed gives the same data.

    Returns
    -------
    CrossDomain
        Both logs with the true embeddings, popularities and map.

    Raises
    ------
    ValueError
        If an argument is out of its range.

    References
    ----------
    .. [1] P. S. Efraimidis and P. G. Spirakis (2006). Weighted random sampling with a reservoir.
    .. [2] W. Kool, H. van Hoof and M. Welling (2019). Stochastic beams and where to find them: the
       Gumbel-top-k trick for sampling sequences without replacement.

    Examples
    --------
    >>> source, target = make_cross_domain(200, 60, 50, source_interactions=9, twins=5)
    >>> source.shape, target.shape
    ((180, 60), (180, 50))
    """
    _check_integers(2, n_users=n_users)
    _check_integers(4, n_source_items=n_source_items, n_target_items=n_target_items)
    _check_integers(1, factors=factors, target_factors=target_factors)
    _check_integers(0, min(n_source_items, n_target_items) // 2, twins=twins)
    _check_numbers(0, 1, overlap=overlap)
    if twins and round(overlap * n_users) == 0:
        raise ValueError(f"twins need people in both catalogs, got an overlap of {overlap!r}")
    _check_numbers(0, affinity=affinity, skew=skew, noise=noise)
    _check_numbers(1, (n_source_items - twins) / 2, source_interactions=source_interactions)
    _check_numbers(1, (n_target_items - twins) / 2, target_interactions=target_interactions)

    rng = np.random.default_rng(rng)
    in_source, in_target = _membership(n_users, overlap, rng)
    true_map = _draw_map(factors, target_factors, rng)
    people = _draw_people(n_users, factors, rng)
    strangers = _draw_people(n_users, factors, rng)
    mapped = _map_people(strangers if unrelated else people, true_map, noise, rng)
    items = _draw_items(n_source_items, factors, affinity, skew, rng)
    own_items = _draw_items(n_target_items - twins, target_factors, affinity, skew, rng)
    twin_items = _list_again(items, true_map, twins)

    barred = ~(in_source & in_target)
    log = _choose(people, items, source_interactions, rng, twins, barred)
    own_log = _choose(mapped, own_items, target_interactions, rng)
    target_log = sp.hstack([own_log, log[:, :twins]], format="csr")
    return CrossDomain(
        source=_interactions(log, in_source, "s"),
        target=_interactions(target_log, in_target, "t"),
        map=true_map,
        source_embeddings=people.tastes[in_source],
        target_embeddings=mapped.tastes[in_target],
        source_item_embeddings=items.embeddings,
        target_item_embeddings=np.concatenate([own_items.embeddings, twin_items.embeddings]),
        source_popularity=items.popularity,
        target_popularity=np.concatenate([own_items.popularity, twin_items.popularity]),
        twins=[(f"s{j}", f"t{n_target_items - twins + j}") for j in range(twins)],
    )


class _People(NamedTuple):
    tastes: Floats  # (n_users, d)
    eagerness: Floats  # (n_users,)


class _Items(NamedTuple):
    embeddings: Floats  # (n_items, d)
    popularity: Floats  # (n_items,), logarithmic


def _check_integers(low: int, high: float = math.inf, **values: object) -> None:
    for name, value in values.items():
        if not isinstance(value, Integral):
            raise ValueError(f"{name} must be an integer, got {value!r}")
    _check_numbers(low, high, **values)


def _check_numbers(low: int, high: float = math.inf, **values: object) -> None:
    limits = f"from {low} to {high:g}" if high < math.inf else f"of at least {low}"
    for name, value in values.items():
        known = isinstance(value, Real) and not isinstance(value, bool)
        number = float(value) if known else math.nan  # type: ignore[arg-type]
        if not (math.isfinite(number) and low <= number <= high):
            raise ValueError(f"{name} must be a number {limits}, got {value!r}")


def _membership(
    n_users: int, overlap: float, rng: np.random.Generator
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Who is in the source, and who is in the target, (n_users,) each."""
    place = rng.permutation(n_users)
    both = round(overlap * n_users)
    source_only = (n_users - both + 1) // 2
    return place < source_only + both, place >= source_only


def _draw_map(width: int, target_width: int, rng: np.random.Generator) -> Floats:
    """An intercept over a map (d_source, d_target) that keeps the variance of standard normals."""
    intercept = _INTERCEPT * rng.standard_normal((1, target_width))
    slopes = rng.standard_normal((width, target_width)) / math.sqrt(width)
    return np.concatenate([intercept, slopes])


def _draw_people(n: int, width: int, rng: np.random.Generator) -> _People:
    return _People(rng.standard_normal((n, width)), rng.standard_normal(n))


def _map_people(
    people: _People, true_map: Floats, noise: float, rng: np.random.Generator
) -> _People:
    """The people as they are in the target catalog."""
    mapped = true_map[0] + people.tastes @ true_map[1:]  # (n_users, d_target)
    return _People(mapped + noise * rng.standard_normal(mapped.shape), people.eagerness)


def _draw_items(
    n: int, width: int, affinity: float, skew: float, rng: np.random.Generator
) -> _Items:
    """Embeddings of length `affinity` in all directions; log popularity on normal quantiles."""
    embeddings = rng.standard_normal((n, width))
    embeddings *= affinity / np.linalg.norm(embeddings, axis=1, keepdims=True)
    return _Items(embeddings, skew * ndtri((rng.permutation(n) + 0.5) / n))


def _list_again(items: _Items, true_map: Floats, twins: int) -> _Items:
    """The first `twins` items as the target lists them, liked as in the source.

    ``[1, s] @ map @ y_target + popularity_target = s'y_source + popularity_source`` for every s, as
    nearly as the map allows.
    """
    wanted = items.embeddings[:twins].T  # (d_source, twins)
    listed = np.linalg.lstsq(true_map[1:], wanted, rcond=None)[0]  # (d_target, twins)
    embeddings = np.asarray(listed.T, np.float64)
    return _Items(embeddings, items.popularity[:twins] - embeddings @ true_map[0])


def _activity(
    eagerness: Floats, mean: float, limit: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Interactions per person (n,): one, and a Poisson number of log-normal rate."""
    log_rate = _ACTIVITY * (eagerness + rng.standard_normal(eagerness.size)) / math.sqrt(2)
    rate = (mean - 1) * np.exp(log_rate - _ACTIVITY**2 / 2)
    return np.minimum(1 + rng.poisson(rate), limit)


def _choose(
    people: _People,
    items: _Items,
    mean: float,
    rng: np.random.Generator,
    twins: int = 0,
    barred: NDArray[np.bool_] | None = None,
) -> sp.csr_matrix:
    """Who chose what, (n_users, n_items); people who are `barred` never choose the first `twins`.

    Item i arrives after an exponential time of rate ``exp(x'y_i + popularity_i)``, and everybody
    takes the first arrivals.
    """
    n_items = len(items.popularity)
    counts = _activity(people.eagerness, mean, (n_items - twins) // 2, rng)
    step = max(1, _KEYS_AT_ONCE // n_items)
    blocks = []
    for start in range(0, counts.size, step):
        rows = slice(start, start + step)
        arrival = -(people.tastes[rows] @ items.embeddings.T) - items.popularity
        arrival += np.log(rng.standard_exponential(arrival.shape))
        if barred is not None:
            arrival[barred[rows], :twins] = np.inf
        blocks.append(_first_arrivals(arrival, counts[rows]))
    return sp.vstack(blocks, format="csr")


def _first_arrivals(arrival: Floats, counts: NDArray[np.int64]) -> sp.csr_matrix:
    """Ones at the `counts` (n,) smallest values of the rows of `arrival` (n, n_items)."""
    most = counts.max()
    first = np.sort(np.partition(arrival, most - 1, axis=1)[:, :most], axis=1)
    last = first[np.arange(counts.size), counts - 1]
    return sp.csr_matrix((arrival <= last[:, None]).astype(np.float32))


def _interactions(log: sp.csr_matrix, members: NDArray[np.bool_], prefix: str) -> Interactions:
    users = [f"u{number}" for number in np.flatnonzero(members)]
    items = [f"{prefix}{number}" for number in range(log.shape[1])]
    return Interactions.from_csr(log[members], users=users, items=items)
