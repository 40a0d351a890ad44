"""Intervals over people for what is no plain mean."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from coldstart.statistics import resampled_means

RESAMPLES = 2000


def ratio_of_means(above: ArrayLike, below: ArrayLike, *, rng: int) -> list[float]:
    """``mean(above) / mean(below)`` over people, with the percentile bootstrap's 95% interval.

    Both are (n_people,) and resampled together. Where the mean below may be zero, the interval
    means nothing: ask for it only where it is not.
    """
    values = np.stack([np.asarray(above, np.float64), np.asarray(below, np.float64)], axis=1)
    means = resampled_means(values, RESAMPLES, np.random.default_rng(rng))
    low, high = np.quantile(means[:, 0] / means[:, 1], (0.025, 0.975))
    ratio = values[:, 0].mean() / values[:, 1].mean()
    return [float(ratio), float(low), float(high)]
