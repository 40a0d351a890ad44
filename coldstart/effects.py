"""How large differences between two arms are, and how large they must be to be seen."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from coldstart.statistics import ROUNDING, people_by_columns

__all__ = ["effect_size", "shares", "smallest_detectable"]


def effect_size(differences: ArrayLike) -> NDArray[np.float64]:
    """Mean over people in units of their standard deviation, (n_columns,).

    NaN where a column of `differences` (n_people, n_columns) is constant or not finite, or there
    are fewer than two people. About 0.2 is called small, 0.5 medium, 0.8 large.

    References
    ----------
    J. Cohen (1988). Statistical power analysis for the behavioral sciences.
    """
    differences = people_by_columns(differences)
    size = np.full(differences.shape[1], np.nan)
    if len(differences) < 2:
        return size
    usable = np.flatnonzero(np.isfinite(differences).all(axis=0))
    usable = usable[np.ptp(differences[:, usable], axis=0) > 0]
    known = differences[:, usable]
    size[usable] = known.mean(axis=0) / known.std(axis=0, ddof=1)
    return size


def shares(
    differences: ArrayLike, *, tolerance: float = ROUNDING
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Shares of the people who gain, who lose, and who are unchanged, each (n_columns,).

    A person whose difference, in `differences` (n_people, n_columns), is within `tolerance` of 0 is
    unchanged. NaN where there are no people or a value is NaN.

    Examples
    --------
    >>> gain, lose, unchanged = shares([[0.5], [0.1 + 0.2 - 0.3], [-0.1], [0.2]])
    >>> gain[0], lose[0], unchanged[0]
    (np.float64(0.5), np.float64(0.25), np.float64(0.25))
    """
    differences = people_by_columns(differences)
    if not len(differences):
        gain, lose, unchanged = np.full((3, differences.shape[1]), np.nan)
        return gain, lose, unchanged
    missing = np.where(np.isnan(differences).any(axis=0), np.nan, 0.0)
    gain = (differences > tolerance).mean(axis=0) + missing
    lose = (differences < -tolerance).mean(axis=0) + missing
    unchanged = (np.abs(differences) <= tolerance).mean(axis=0) + missing
    return gain, lose, unchanged


def smallest_detectable(
    standard_error: ArrayLike, *, power: float = 0.8, level: float = 0.05
) -> NDArray[np.float64]:
    r"""The smallest true difference that a two-sided test sees with this power.

    .. math:: (z_{1 - level / 2} + z_{power}) \, standard\ error

    Examples
    --------
    >>> float(smallest_detectable(0.001).round(4))
    0.0028
    """
    for name, share in (("power", power), ("level", level)):
        if not 0 < share < 1:
            raise ValueError(f"{name} must lie between 0 and 1, got {share}: pass a share")
    return np.asarray(ndtri(1 - level / 2) + ndtri(power)) * np.asarray(standard_error, np.float64)
