"""Groups: who gains and who loses, by activity and by the popularity of what is to be found."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from coldstart.heldout import Ranked
from coldstart.metrics import hits, metric
from coldstart.pool import Pool
from coldstart.popularity import counts
from coldstart.sitting import FIXED, Sitting

__all__ = ["groups_of"]

THIRDS = ("least", "medium", "most")

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


def groups_of(pool: Pool, arm: str, shots: int, baseline: str) -> list[dict[str, Any]]:
    """Means of an arm and of a baseline on the fixed truth, and their difference, for thirds of the
    people by their activity in the source, and of what is to be found by its popularity.

    Columns are in three groups that hold a third of the training interactions each; in such a group
    people are to find what of their truth is in it, and those who have any count.
    """
    counted = pool.counted(shots, FIXED)
    both = [pool.values(one, shots, FIXED)[:, pool.place] for one in (arm, baseline)]
    activity = np.concatenate([_activity(sitting) for sitting in pool.sittings])
    limits = np.quantile(activity[counted], [1 / 3, 2 / 3])
    third = np.searchsorted(limits, activity, side="left")
    rows = []
    for number, name in enumerate(THIRDS):
        who = counted & (third == number)
        told = _range(activity[who])
        rows.append(_row(pool, "activity", f"{name} active{told}", shots, who, both))
    for number, name in enumerate(THIRDS):
        parts = [_of_popularity(pool, one, shots, number) for one in (arm, baseline)]
        who = ~np.isnan(parts[0])
        rows.append(_row(pool, "item popularity", f"{name} popular", shots, who, parts))
    return [row for row in rows if row["users"] > 1]


def _activity(sitting: Sitting) -> NDArray[np.int64]:
    """Interactions (n_people,) of the test people in the source."""
    sizes = np.append(np.diff(sitting.split.source.user_items.indptr), 0)
    found: NDArray[np.int64] = sizes[sitting.split.test.source]  # -1 reads the 0 at the end
    return found


def _range(activity: NDArray[np.int64]) -> str:
    if not len(activity):
        return ""
    return f" ({activity.min()} to {activity.max()} in the source)"


def _of_popularity(pool: Pool, arm: str, shots: int, group: int) -> Floats:
    """Quality (n,) of an arm where only columns of one group are right."""
    measure = metric(pool.task.metric)
    found = []
    for sitting, ranked in zip(pool.sittings, pool.lists(arm, shots, FIXED), strict=True):
        inside = _popularity_group(sitting) == group
        truth = sitting.fixed_truth().multiply(inside[None, :]).tocsr()
        truth.eliminate_zeros()
        part = Ranked(
            ranked.columns, hits(ranked.columns, truth), np.diff(truth.indptr).astype(np.int64)
        )
        found.append(measure(part.hits, part.relevant))
    return np.concatenate(found)


def _popularity_group(sitting: Sitting) -> NDArray[np.int64]:
    """0 to 2 for each column (n_columns,), from the least popular on."""
    popular = counts(sitting.task.train.user_items).astype(np.float64)
    order = np.argsort(popular, kind="stable")
    before = np.empty(len(popular))
    before[order] = np.cumsum(popular[order]) - popular[order]
    third: NDArray[np.int64] = (3 * before / max(1.0, popular.sum())).astype(np.int64)
    return np.minimum(third, 2)


def _row(
    pool: Pool, by: str, group: str, shots: int, who: Mask, both: list[Floats]
) -> dict[str, Any]:
    above, below = (values[who][:, None] for values in both)
    mean, low, high = (float(part[0]) for part in pool.summary(above - below, who))
    return {
        "by": by,
        "group": group,
        "shots": shots,
        "users": pool.persons(who),
        "baseline": float(below.mean()) if len(below) else float("nan"),
        "mean": float(above.mean()) if len(above) else float("nan"),
        "difference": mean,
        "ci_low": low,
        "ci_high": high,
        "p": float(pool.p_values(above - below, who)[0]) if len(above) else float("nan"),
    }
