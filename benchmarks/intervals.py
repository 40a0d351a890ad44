"""The ratio of two means as the studies write it down."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from coldstart import intervals


def ratio_of_means(above: ArrayLike, below: ArrayLike, *, rng: int) -> list[float]:
    """``mean(above) / mean(below)`` of two arrays (n_people,), with the limits of its 95% interval.

    These are NaN where the mean below may be zero: ask only where it is not.
    """
    columns = (np.asarray(part, np.float64)[:, None] for part in (above, below))
    return [float(part[0]) for part in intervals.ratio_of_means(*columns, rng=rng)]
