"""How strongly to pull toward a prior: two knobs per number of interactions, read off held-out
people.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import product
from operator import index
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coldstart.als import PriorALS
from coldstart.heldout import HeldOut, Scorer
from coldstart.metrics import metric
from coldstart.prior import Prior
from coldstart.rows import gram_matrix, solve_rows

__all__ = ["Fold", "Search", "Strength", "search"]

Floats = NDArray[np.float32]
People = NDArray[np.float64]

CENTRES = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5)
TEMPERS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0)
RIDGES = (1.0, 0.0)  # of the mapped side, as multiples of the model's
PASSES = 2  # over tempers, then centres
POOLED = 0.25  # weight of the average over all numbers of shots beside that of one's own
PROBES = (0.3, 2.0)  # tempers at which adapters are compared with each other, the better counts
MEAN_TEMPERS = (0.0, 0.3, 1.0, 3.0, 10.0)  # of the mean prior; 0 is plain ALS
LEAST_PEOPLE = 10  # with anything left to find, for a number of shots to have a strength of its own


@dataclass(frozen=True)
class Strength:
    """The pull toward a prior, for rows with at least so many interactions.

    Parameters
    ----------
    shots : tuple of int
        Ascending, the first 0. A row with c interactions uses the last entry that is at most c.
    centre : tuple of float
        How far the prior mean stands from the mean of all rows (0: there, 1: where the adapter puts
        it).
    temper : tuple of float
        Factor on the prior's precision; without effect at zero interactions.
    regularization : float
        Ridge around zero of the mapped side.
    """

    shots: tuple[int, ...] = (0,)
    centre: tuple[float, ...] = (1.0,)
    temper: tuple[float, ...] = (1.0,)
    regularization: float = 20.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "shots", tuple(map(index, self.shots)))
        for name in ("centre", "temper"):
            object.__setattr__(self, name, tuple(map(float, getattr(self, name))))
        object.__setattr__(self, "regularization", float(self.regularization))
        if not len(self.shots) == len(self.centre) == len(self.temper):
            raise ValueError("shots, centre and temper must have the same length")
        if not self.shots or self.shots[0] != 0 or list(self.shots) != sorted(set(self.shots)):
            raise ValueError(f"shots must be ascending and begin with 0, got {self.shots}")
        if not np.isfinite(self.centre).all():
            raise ValueError(f"centre must be finite, got {self.centre}")
        for name, values in (("temper", self.temper), ("regularization", (self.regularization,))):
            if not all(np.isfinite(value) and value >= 0 for value in values):
                raise ValueError(
                    f"{name} must be finite and not negative, got {getattr(self, name)}"
                )

    def knobs(self, counts: NDArray[np.integer]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Centre and temper (n,) of rows with `counts` (n,) interactions."""
        bucket = np.searchsorted(self.shots, counts, side="right") - 1
        return np.asarray(self.centre)[bucket], np.asarray(self.temper)[bucket]

    def apply(self, prior: Prior, counts: NDArray[np.integer]) -> Prior:
        """The prior (n rows) as it pulls rows with `counts` (n,) interactions."""
        centre, temper = self.knobs(counts)
        return prior.centre(centre).temper(temper)

    def to_json(self) -> dict[str, Any]:
        """Plain values, which `from_json` reads."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Strength:
        """Read what `to_json` wrote."""
        lists = {name: tuple(values[name]) for name in ("shots", "centre", "temper")}
        return cls(**lists, regularization=values["regularization"])


@dataclass(frozen=True, eq=False)
class Fold:
    """A target model fitted without some people, and what adapters say of these people.

    Parameters
    ----------
    model : PriorALS
        Fitted on the other rows; its item factors are those of the columns of `held`.
    held : HeldOut
    priors : list of Prior
        One per candidate adapter, over the held-out people (n_people rows).
    means : dict of str to array (d,)
        Centres of priors that know nothing of the source.
    popularity : array (n_columns,)
    """

    model: PriorALS
    held: HeldOut
    priors: Sequence[Prior]
    means: dict[str, NDArray[np.float64]]
    popularity: Floats

    def ranker(self, metric_name: str, n: int, num_threads: int) -> Ranker:
        """What ranks these people's lists."""
        return Ranker(self, metric_name, n, num_threads, gram_matrix(self.model.item_factors))


@dataclass(frozen=True, eq=False)
class Ranker:
    """Quality of the held-out people of one fold, person by person."""

    fold: Fold
    metric: str
    n: int
    num_threads: int
    gram: NDArray[np.float64]

    def of_scores(self, scores: Scorer, shots: int) -> NDArray[np.float64]:
        """Quality (n_people,), NaN without truth."""
        ranked = self.fold.held.rank_all(scores, shots, n=self.n, num_threads=self.num_threads)
        return metric(self.metric)(ranked.hits, ranked.relevant)

    def of_prior(self, prior: Prior, strength: Strength, shots: int) -> NDArray[np.float64]:
        """Quality (n_people,) of rows folded in under a prior."""
        model, held = self.fold.model, self.fold.held
        history = held.history(shots)
        counts = np.full(len(held), shots)
        rows = solve_rows(
            history,
            model.item_factors,
            alpha=model.alpha,
            regularization=strength.regularization,
            prior=strength.apply(prior, counts),
            num_threads=self.num_threads,
            gram=self.gram,
        )
        return self.of_scores(lambda block: rows[block] @ model.item_factors.T, shots)

    def of_popularity(self, shots: int) -> NDArray[np.float64]:
        """Quality (n_people,) of the same list for everybody."""
        popularity = self.fold.popularity

        def scores(block: slice) -> Floats:
            return np.tile(popularity, (block.stop - block.start, 1))

        return self.of_scores(scores, shots)


@dataclass(frozen=True, eq=False)
class Search:
    """What held-out people chose, and how they fared.

    Attributes
    ----------
    adapter : int
        Number of the chosen candidate.
    strength : Strength
    null : Strength
        For rows that no source knows, whose prior is the mean of all rows.
    shots : tuple of int
    quality : array (n_shots, n_people)
        Of the chosen transfer.
    baseline : array (n_shots, n_people)
        Of the best arm without a source, chosen on the same people.
    baseline_names : tuple of str, one per number of shots
    """

    adapter: int
    strength: Strength
    null: Strength
    shots: tuple[int, ...]
    quality: NDArray[np.float64]
    baseline: NDArray[np.float64]
    baseline_names: tuple[str, ...]


def search(
    folds: Sequence[Fold],
    *,
    shots: tuple[int, ...] = (0, 1, 2, 5),
    metric_name: str = "ndcg",
    n: int = 10,
    num_threads: int = 0,
    tick: Callable[[], object] = lambda: None,
) -> Search:
    """Choose adapter, temper, centre and ridge, in this order, by the mean quality of the held-out
    people of all folds.

    One adapter and one ridge serve every number of shots. Temper and centre are chosen for each, in
    turns, by its own quality and with little weight that of all the others. `tick` is called before
    every ranking of all people.
    """
    rankers = [fold.ranker(metric_name, n, num_threads) for fold in folds]
    ridge = float(folds[0].model.regularization)
    usable = tuple(k for k in shots if k == 0 or _people_with_truth(folds, k) >= LEAST_PEOPLE)

    def quality(adapter: int, k: int, centre: float, temper: float, ridge: float) -> People:
        tick()
        strength = Strength((0,), (centre,), (temper,), ridge)
        return _together(r.of_prior(r.fold.priors[adapter], strength, k) for r in rankers)

    def probe(adapter: int) -> float:
        return _mean(
            max(_mean(quality(adapter, k, 1.0, t, ridge)) for t in (PROBES if k else (1.0,)))
            for k in usable
        )

    best = int(np.argmax([probe(adapter) for adapter in range(len(folds[0].priors))]))
    tempers, centres = dict.fromkeys(usable, 1.0), dict.fromkeys(usable, 1.0)
    for _ in range(PASSES):
        tempers |= _for_each(
            {k: {t: quality(best, k, centres[k], t, ridge) for t in TEMPERS} for k in usable if k}
        )
        centres = _for_each(
            {k: {c: quality(best, k, c, tempers[k], ridge) for c in CENTRES} for k in usable}
        )
    served = {
        r * ridge: [quality(best, k, centres[k], tempers[k], r * ridge) for k in usable]
        for r in RIDGES
    }
    ridge = max(served, key=lambda r: _mean(map(_mean, served[r])))
    baselines = [_without_source(rankers, best, k, tick) for k in usable]
    null = tuple(_null_temper(rankers, best, k, ridge, tick) for k in usable)
    return Search(
        adapter=best,
        strength=Strength(
            usable, tuple(centres[k] for k in usable), tuple(tempers[k] for k in usable), ridge
        ),
        null=Strength(usable, (1.0,) * len(usable), null, ridge),
        shots=usable,
        quality=np.array(served[ridge]),
        baseline=np.array([people for _, people in baselines]),
        baseline_names=tuple(name for name, _ in baselines),
    )


def _for_each(grid: dict[int, dict[float, People]]) -> dict[int, float]:
    """Best value of a knob for each number of shots: by its own relative quality, and a little by
    everybody's.
    """
    relative = {}
    for k, row in grid.items():
        means = {value: _mean(people) for value, people in row.items()}
        best = max(means.values()) or 1.0
        relative[k] = {value: mean / best for value, mean in means.items()}

    def worth(k: int, value: float) -> float:
        return relative[k][value] + POOLED * _mean(row[value] for row in relative.values())

    return {k: max(row, key=partial(worth, k)) for k, row in relative.items()}


def _without_source(
    rankers: Sequence[Ranker], adapter: int, shots: int, tick: Callable[[], object]
) -> tuple[str, People]:
    """Best arm that knows nothing of the source, and its quality (n_people,)."""
    ridge = rankers[0].fold.model.regularization
    arms = {"popularity": _together(r.of_popularity(shots) for r in rankers)}
    for name, kappa in product(rankers[0].fold.means, MEAN_TEMPERS if shots else (1.0,)):
        tick()
        label = f"mean of {name}, temper {kappa:g}" if kappa else "plain ALS"
        arms[label] = _of_mean(rankers, adapter, name, shots, kappa, ridge)
    return max(arms.items(), key=lambda arm: _mean(arm[1]))


def _null_temper(
    rankers: Sequence[Ranker], adapter: int, shots: int, ridge: float, tick: Callable[[], object]
) -> float:
    """Best temper of the mean of all rows; not 0 where there is no ridge, which would leave nothing
    to hold a row.
    """
    if not shots:
        return 1.0
    means = {}
    for kappa in MEAN_TEMPERS if ridge else MEAN_TEMPERS[1:]:
        tick()
        means[kappa] = _mean(_of_mean(rankers, adapter, "all", shots, kappa, ridge))
    return max(means, key=means.__getitem__)


def _of_mean(
    rankers: Sequence[Ranker], adapter: int, name: str, shots: int, temper: float, ridge: float
) -> NDArray[np.float64]:
    """Quality (n_people,) of one mean for everybody, with the precisions of the adapter's prior."""
    strength = Strength((0,), (0.0,), (temper,), ridge)
    return _together(
        r.of_prior(r.fold.priors[adapter].centre(0.0, r.fold.means[name]), strength, shots)
        for r in rankers
    )


def _people_with_truth(folds: Sequence[Fold], shots: int) -> int:
    return sum(int((np.diff(fold.held.truth(shots).indptr) > 0).sum()) for fold in folds)


def _together(parts: Iterable[People]) -> People:
    return np.concatenate(list(parts))


def _mean(values: Iterable[float] | People) -> float:
    """Mean of what is not NaN; 0 where nothing is."""
    array = np.fromiter(values, float)
    known = array[~np.isnan(array)]
    return float(known.mean()) if known.size else 0.0
