"""The gate: held-out people prove that a transfer helps, or it is switched off.

Everything is read off one bootstrap over people, whose resamples all candidates and all numbers of
shots share.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri, stdtrit

from coldstart.decision import (
    DISSIMILAR,
    LATE,
    LEAST_PEOPLE,
    METHOD,
    ONE_FAMILY,
    POWER,
    UNDETERMINED,
    Decision,
    Difference,
)
from coldstart.statistics import resampled_means

__all__ = ["Decision", "Difference", "decide"]

Array = NDArray[np.float64]

SHARE = 0.8  # of the level that is spent, see `decide`
_ROUNDING = 1e-12  # variances below this share of the mean square are zero


def decide(
    quality: Mapping[str, ArrayLike],
    baseline: ArrayLike,
    *,
    chosen: str,
    shots: tuple[int, ...],
    baseline_names: Sequence[str],
    families: int | None = None,
    metric: str = "ndcg@10",
    level: float = 0.05,
    resamples: int = 2000,
    rng: int | np.random.Generator | None = None,
) -> Decision:
    r"""Open the gate where held-out people prove that the chosen candidate gains.

    For candidate j and shots k the paired differences of the people have the mean
    :math:`m_{jk}` and the standard error :math:`s_{jk}`. A resample of people, the same for all,
    has :math:`m^*_{jk}` and a standard error of its own, and from

    .. math:: T^*_{jk} = (m^*_{jk} - m_{jk}) / s^*_{jk}

    come critical values, each at least that of Student's t: :math:`c_k`, exceeded by
    :math:`T^*_{jk}` of the chosen j at a rate of a, and c, exceeded by
    :math:`\max_{jk} T^*_{jk}` at that rate.

    *The gate* tests the numbers of shots one after the other, by :math:`m_k - c_k s_k > 0`, and
    closes at the first failure. To open wrongly, it has to pass the first number of shots at which
    the chosen candidate gains nothing: the probability is at most a, whatever comes before and
    after. This fixed sequence is what makes it powerful: no correction for the number of shots.

    *The table of all candidates* has :math:`m_{jk} - c s_{jk}` as lower limits, which hold together
    (single-step max-T), and upper limits that do so at half the level. They say why a gate is
    closed.

    The rate a is 0.8 of `level`. The rest pays for a choice made on people of other folds, who were
    tested with choices made on these: among four candidates that are equally good this adds about
    0.01 (`benchmarks/gate.py`), and for what a bootstrap of few people misses.

    Parameters
    ----------
    quality : mapping of str to array (n_shots, n_people)
        Of every candidate, each person's while held out; NaN where nothing is left to find.
    baseline : array (n_shots, n_people)
        Of the best arm without a source, for the same people.
    chosen : str
        Key of the candidate that would be used.
    shots : tuple of int
        Ascending, the first 0.
    baseline_names : sequence of str, one per number of shots
    families : int, optional
        Of adapters that the candidates come from, as many as candidates by default. Domains are
        named as the cause of a closed gate only where there are several.
    metric : str
        For the report.
    level : float
        Largest probability that the gate opens where nothing is gained.
    resamples : int
    rng : int or numpy.random.Generator, optional

    Raises
    ------
    ValueError
        When shapes do not fit or an argument is out of its range.

    References
    ----------
    P. Hall (1988). Theoretical comparison of bootstrap confidence intervals.
    P. H. Westfall, A. Krishen (2001). Optimally weighted, fixed sequence and gatekeeper multiple
    testing procedures.
    J. P. Romano, M. Wolf (2005). Exact and approximate stepdown methods for multiple hypothesis
    testing.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> baseline = rng.random((2, 300))
    >>> quality = {"ridge": baseline + rng.normal(0.1, 0.2, (2, 300))}
    >>> decision = decide(quality, baseline, chosen="ridge", shots=(0, 5),
    ...                   baseline_names=("popularity", "plain ALS"), rng=0)
    >>> decision.open, decision.bucket([0, 3, 7]).tolist()
    ((True, True), [0, 0, 1])
    """
    arms, without = _checked(quality, baseline, chosen, shots, baseline_names, level, resamples)
    cells = _Cells.of(arms, without)
    alone, together, high = _critical_values(cells, level, resamples, np.random.default_rng(rng))
    tables = {
        name: cells.row(j, together, high, shots, baseline_names) for j, name in enumerate(quality)
    }
    j = list(quality).index(chosen)
    buckets = cells.row(j, alone, high, shots, baseline_names)
    opened = tuple(bool(o) for o in np.logical_and.accumulate([b.low > 0 for b in buckets]))
    return Decision(
        chosen=chosen,
        metric=metric,
        level=float(level),
        shots=tuple(map(int, shots)),
        open=opened,
        buckets=buckets,
        candidates=tables,
        cause=None if any(opened) else _cause(tables, families or len(tables)),
    )


def _cause(candidates: Mapping[str, tuple[Difference, ...]], families: int) -> str:
    every = [difference for row in candidates.values() for difference in row]
    gaining = [difference.shots for difference in every if difference.low > 0]
    if gaining:
        return LATE if min(gaining) else METHOD
    if not all(difference.excludes_gain for difference in every):
        return UNDETERMINED
    return DISSIMILAR if families > 1 else ONE_FAMILY


@dataclass(frozen=True, eq=False)
class _Cells:
    """Differences (n_people, n_candidates * n_shots), NaN where unknown, and what they come to.

    The other arrays are (n_candidates * n_shots,).
    """

    differences: Array
    people: NDArray[np.int64]
    differing: NDArray[np.int64]
    mean: Array
    standard_error: Array
    baseline: Array
    tested: NDArray[np.bool_]

    @classmethod
    def of(cls, quality: Array, baseline: Array) -> _Cells:
        """From quality (n_candidates, n_shots, n_people) and baseline (n_shots, n_people)."""
        n_candidates, n_shots, n_people = quality.shape
        shape = n_candidates * n_shots, n_people
        differences = (quality - baseline).reshape(shape).T
        without = np.broadcast_to(baseline, quality.shape).reshape(shape).T
        known = ~np.isnan(differences)
        people, differing = known.sum(axis=0), (known & (differences != 0)).sum(axis=0)
        mean = _mean(differences, known)
        square = _mean((differences - mean) ** 2, known)
        varied = square > _ROUNDING * (square + mean**2)
        enough = (people >= LEAST_PEOPLE) & (differing >= LEAST_PEOPLE)
        return cls(
            differences=differences,
            people=people,
            differing=differing,
            mean=mean,
            standard_error=np.sqrt(square / np.maximum(people - 1, 1)),
            baseline=_mean(without, known),
            tested=enough & varied,
        )

    def resampled_t(self, resamples: int, rng: np.random.Generator) -> Array:
        """Studentised means of the tested columns, (resamples, n_tested)."""
        differences = self.differences[:, self.tested]
        known = ~np.isnan(differences)
        centred = np.where(known, differences - self.mean[self.tested], 0.0)
        columns = np.hstack([known, centred, centred**2])
        share, mean, square = np.split(resampled_means(columns, resamples, rng), 3, axis=1)
        people = np.maximum(np.rint(share * len(columns)), 1.0)
        mean, square = (total * len(columns) / people for total in (mean, square))
        variance = square - mean**2
        varied = (people > 1) & (variance > _ROUNDING * square)
        error = np.sqrt(np.where(varied, variance, 1.0) / np.maximum(people - 1, 1))
        return np.where(varied, mean / error, np.copysign(np.inf, mean))

    def row(
        self, j: int, low: Array, high: Array, shots: Sequence[int], names: Sequence[str]
    ) -> tuple[Difference, ...]:
        """Candidate number j, with limits so many standard errors below and above the mean."""
        found = []
        for k, (count, name) in enumerate(zip(shots, names, strict=True)):
            at = j * len(shots) + k
            people, differing = int(self.people[at]), int(self.differing[at])
            mean, error = float(self.mean[at]), float(self.standard_error[at])
            limits = mean - float(low[at]) * error, mean + float(high[at]) * error
            if people >= LEAST_PEOPLE and not differing:
                limits = 0.0, 0.0
            found.append(
                Difference(
                    shots=int(count),
                    people=people,
                    differing=differing,
                    mean=mean,
                    standard_error=error,
                    low=limits[0],
                    high=limits[1],
                    baseline=float(self.baseline[at]),
                    baseline_name=str(name),
                    detectable=(float(low[at]) + float(ndtri(POWER))) * error,
                )
            )
        return tuple(found)


def _critical_values(
    cells: _Cells, level: float, resamples: int, rng: np.random.Generator
) -> tuple[Array, Array, Array]:
    """How many standard errors, (n_columns,) each: below for a column alone and for all together,
    above for all together; NaN where nothing is tested.
    """
    alone, together, high = (np.full(len(cells.mean), np.nan) for _ in range(3))
    if cells.tested.any():
        t = cells.resampled_t(resamples, rng)
        spent, above = SHARE * level, level / 2
        freedom = cells.people[cells.tested] - 1.0
        least = stdtrit(freedom, 1 - spent)
        alone[cells.tested] = np.maximum(_exceeded(t, spent), least)
        together[cells.tested] = np.maximum(_exceeded(t.max(axis=1), spent), least)
        upper = _exceeded(-t.min(axis=1), above)
        high[cells.tested] = np.maximum(upper, stdtrit(freedom, 1 - above))
    return alone, together, high


def _exceeded(values: Array, rate: float) -> Array:
    """What columns of values (resamples, ...) exceed at this rate: an order statistic."""
    place = math.ceil((1 - rate) * (len(values) + 1) - 1e-9) - 1
    return np.asarray(np.sort(values, axis=0)[place])


def _mean(values: Array, known: NDArray[np.bool_]) -> Array:
    """Column means of what is known, NaN where nothing is."""
    total = np.where(known, values, 0.0).sum(axis=0)
    count = known.sum(axis=0)
    out = np.full(len(count), math.nan)
    np.divide(total, count, out=out, where=count > 0)
    return out


def _checked(
    quality: Mapping[str, ArrayLike],
    baseline: ArrayLike,
    chosen: str,
    shots: Sequence[int],
    names: Sequence[str],
    level: float,
    resamples: int,
) -> tuple[Array, Array]:
    """Quality (n_candidates, n_shots, n_people) and baseline (n_shots, n_people)."""
    if chosen not in quality:
        raise ValueError(f"chosen is {chosen!r}, but candidates are {', '.join(quality)}")
    if not len(shots) or shots[0] != 0 or list(shots) != sorted(set(shots)):
        raise ValueError(f"shots must be ascending and begin with 0, got {tuple(shots)}")
    if len(names) != len(shots):
        raise ValueError(f"{len(names)} names of baselines for {len(shots)} numbers of shots")
    if not 0 < level < 0.5:
        raise ValueError(f"level must lie between 0 and 0.5, got {level}")
    if resamples < 2 / level:
        raise ValueError(f"a level of {level} needs {2 / level:.0f} resamples, got {resamples}")
    without = np.asarray(baseline, dtype=np.float64)
    if without.ndim != 2 or len(without) != len(shots):
        raise ValueError(f"baseline must be ({len(shots)}, people), got shape {without.shape}")
    arms = {name: np.asarray(values, dtype=np.float64) for name, values in quality.items()}
    for name, values in arms.items():
        if values.shape != without.shape:
            raise ValueError(
                f"quality of {name!r} has shape {values.shape} but the baseline {without.shape}: "
                "pass the same shots and people"
            )
        if np.isinf(values).any() or np.isinf(without).any():
            raise ValueError(f"quality of {name!r} or of the baseline is infinite")
    return np.stack(list(arms.values())), without
