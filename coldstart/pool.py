"""A pool: the people of several sittings under one condition, and how well each was served."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coldstart.arms import Task
from coldstart.heldout import Ranked
from coldstart.intervals import interval, ratio_of_means
from coldstart.metrics import METRICS, coverage, popularity_bias
from coldstart.popularity import counts, percentiles
from coldstart.seeds import two_level
from coldstart.sitting import FIXED, LEFT, Served, Sitting, available
from coldstart.statistics import sign_flip_p

__all__ = ["Pool"]

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Pool:
    """Sittings whose people are counted together: halves of the people, and several seeds.

    Parameters
    ----------
    sittings : sequence of Sitting
        At least one, all with the same shots.
    same_people : bool
        Whether only those count who have something left to find at the largest number of shots.
    """

    sittings: Sequence[Sitting]
    same_people: bool = False
    _values: dict[tuple[str, int, str], Floats] = field(default_factory=dict, init=False)

    @cached_property
    def arms(self) -> list[str]:
        """Names of the arms that served in every sitting."""
        return available(self.sittings)[0]

    @property
    def level(self) -> float | None:
        """Of the condition."""
        return self.sittings[0].split.level

    @property
    def task(self) -> Task:
        """Of the first sitting: what all have in common are its settings."""
        return self.sittings[0].task

    @cached_property
    def place(self) -> int:
        """Number of the metric that arms are compared by."""
        return list(METRICS).index(self.task.metric)

    @property
    def shots(self) -> tuple[int, ...]:
        """Ascending."""
        return self.task.shots

    @property
    def seed(self) -> int:
        """Of resamples."""
        return self.task.seed

    @cached_property
    def people(self) -> NDArray[np.int64]:
        """A number (n,) for each person, the same one in every sitting."""
        ids = np.concatenate([sitting.ids for sitting in self.sittings])
        numbers: NDArray[np.int64] = np.unique(ids, return_inverse=True)[1]
        return numbers

    @cached_property
    def seeds(self) -> NDArray[np.int64]:
        """The seed (n,) of each person's sitting."""
        parts = [np.full(len(sitting.ids), sitting.split.seed) for sitting in self.sittings]
        return np.concatenate(parts)

    @property
    def several(self) -> bool:
        """Whether there are several seeds."""
        return len(np.unique(self.seeds)) > 1

    def persons(self, counted: Mask) -> int:
        """How many different people those who count (n,) are."""
        return len(np.unique(self.people[counted]))

    def served(self, arm: str) -> list[Served]:
        """By one arm, sitting by sitting."""
        return [one for s in self.sittings for one in s.served if one.arm.name == arm]

    def uses_source(self, arm: str) -> bool:
        """Whether an arm sees the source."""
        return bool(self.served(arm)[0].arm.uses_source)

    def lists(self, arm: str, shots: int, truth: str) -> list[Ranked]:
        """Lists of one arm, sitting by sitting."""
        return [one.lists[shots, truth] for one in self.served(arm)]

    def values(self, arm: str, shots: int, truth: str) -> Floats:
        """Every metric (n, n_metrics) of everybody, NaN for those without truth."""
        key = arm, shots, truth
        if key not in self._values:
            self._values[key] = np.concatenate(list(map(_measured, self.lists(*key))))
        return self._values[key]

    def counted(self, shots: int, truth: str) -> Mask:
        """Who counts (n,): those with something to find."""
        if self.same_people and truth == LEFT:
            shots = self.shots[-1]  # whoever has something left then has it before
        lists = self.lists(self.arms[0], shots, truth)
        return np.concatenate([ranked.relevant > 0 for ranked in lists])

    def of_counted(self, arm: str, shots: int, truth: str) -> Floats:
        """Every metric (n_counted, n_metrics) of those who count."""
        return self.values(arm, shots, truth)[self.counted(shots, truth)]

    def main(self, arm: str, shots: int, truth: str) -> Floats:
        """The metric (n_counted, 1) that arms are compared by, of those who count."""
        return self.of_counted(arm, shots, truth)[:, [self.place]]

    def baseline(self, shots: int) -> str | None:
        """The arm without a source that was best for the validation people."""
        without = [arm for arm in self.arms if not self.uses_source(arm)]
        return max(without, key=lambda arm: self.validation(arm, shots), default=None)

    def strongest(self, shots: int, truth: str) -> str | None:
        """The arm without a source that was best for the test people themselves, to its favour."""
        without = [arm for arm in self.arms if not self.uses_source(arm)]
        return max(without, key=lambda arm: self.main(arm, shots, truth).mean(), default=None)

    def validation(self, arm: str, shots: int) -> float:
        """Mean quality of the validation people, averaged over sittings; -inf without any."""
        found = float(np.mean([one.validation[shots] for one in self.served(arm)]))
        return found if np.isfinite(found) else -np.inf

    def summary(self, values: Floats, counted: Mask) -> tuple[Floats, Floats, Floats]:
        """Means of some values (n_counted, n_columns) and their 95% limits: over people, and over
        seeds where there are several, which then count alike.
        """
        if not len(values):
            nothing = np.full(values.shape[1], np.nan)
            return nothing, nothing, nothing
        if not self.several:
            means = np.array([column.mean() for column in values.T])
            return (means, *interval(values, rng=self.seed))
        found = two_level(values, self.people[counted], self.seeds[counted], rng=self.seed)
        return found.mean, found.low, found.high

    def p_values(self, differences: Floats, counted: Mask) -> Floats:
        """Of paired differences (n_counted, n_columns): randomisation over people, and over seeds
        by the standard error of both levels where there are several.
        """
        if not self.several or len(differences) < 2:
            return sign_flip_p(differences, rng=self.seed)
        return two_level(differences, self.people[counted], self.seeds[counted], rng=self.seed).p

    def ratio(self, above: Floats, below: Floats, counted: Mask) -> tuple[Floats, Floats, Floats]:
        """Ratio of means (n_columns,) of values (n_counted, n_columns) and its 95% limits; over
        people, and over seeds where there are several, by its linear part.
        """
        if not self.several or len(above) < 2:
            return ratio_of_means(above, below, rng=self.seed)
        means = [self.summary(values, counted)[0] for values in (above, below)]
        ratio = np.full(len(means[0]), np.nan)
        np.divide(means[0], means[1], out=ratio, where=means[1] > 0)
        scale = np.where(means[1] > 0, means[1], np.nan)
        _, low, high = self.summary((above - ratio * below) / scale, counted)
        return ratio, ratio + low, ratio + high

    def coverage(self, arm: str, shots: int, truth: str = LEFT) -> float:
        """Share of the catalog that is listed for anybody, averaged over sittings."""
        shares = [
            coverage(ranked.columns, len(sitting.task.train.items))
            for sitting, ranked in zip(self.sittings, self.lists(arm, shots, truth), strict=True)
        ]
        return float(np.mean(shares))

    def popularity(self, arm: str, shots: int) -> float:
        """Mean popularity percentile of what is listed on the fixed truth."""
        found = [
            popularity_bias(ranked.columns, counts(sitting.task.train.user_items))
            for sitting, ranked in zip(self.sittings, self.lists(arm, shots, FIXED), strict=True)
        ]
        listed = np.concatenate(found)
        return float(np.nanmean(listed)) if np.isfinite(listed).any() else float("nan")

    def truth_popularity(self) -> float:
        """Mean popularity percentile of what was to be found, over people."""
        found = []
        for sitting in self.sittings:
            truth, train = sitting.fixed_truth(), sitting.task.train
            place = percentiles(counts(train.user_items))[truth.indices]
            sizes = np.diff(truth.indptr)
            people = np.repeat(np.arange(len(sizes)), sizes)
            sums = np.bincount(people, place, minlength=len(sizes))
            found.append(sums[sizes > 0] / sizes[sizes > 0])
        return float(np.concatenate(found).mean())

    def table(self) -> Mapping[str, Any]:
        """Columns of the table of people, a line for each who counts, arm, shots and truth."""
        ids = np.concatenate([sitting.ids for sitting in self.sittings])
        parts: dict[str, list[Any]] = {}
        for arm, shots, truth in self._measured():
            counted = self.counted(shots, truth)
            n = int(counted.sum())
            line = {
                "person": [str(one) for one in ids[counted].tolist()],
                "seed": self.seeds[counted],
                "level": np.full(n, np.nan if self.level is None else self.level),
                "arm": [arm] * n,
                "shots": np.full(n, shots),
                "truth": [truth] * n,
                **dict(zip(METRICS, self.values(arm, shots, truth)[counted].T, strict=True)),
            }
            for name, column in line.items():
                parts.setdefault(name, []).append(column)
        return {name: np.concatenate(columns) for name, columns in parts.items()}

    def _measured(self) -> list[tuple[str, int, str]]:
        return [(arm, *key) for arm in self.arms for key in self.served(arm)[0].lists]


def _measured(ranked: Ranked) -> Floats:
    """Every metric (n_people, n_metrics) of some lists."""
    return np.stack([one(ranked.hits, ranked.relevant) for one in METRICS.values()], axis=1)
