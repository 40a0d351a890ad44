"""Protocol ``sampled``: one positive against random negatives, as published tables have it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from coldstart.heldout import HeldOut
from coldstart.interactions import Interactions

from .cold import Cold
from .split import Split

__all__ = ["Sampled"]


@dataclass(frozen=True)
class Sampled(Cold):
    """As `Cold`, but the last interaction of every test person is ranked against `negatives` random
    columns that the person does not have, and nothing else.

    To set a number beside published tables, and for nothing else: sampled metrics are far higher
    than those of the whole catalog, and rank methods differently. Arms are tuned on the whole
    catalog.

    References
    ----------
    W. Krichene, S. Rendle (2020). On sampled metrics for item recommendation.
    """

    negatives: int = 999

    name: ClassVar[str] = "sampled"

    def split(self, source: Interactions, target: Interactions, *, side: str, seed: int) -> Split:
        """Split by `seed` alone."""
        if not isinstance(self.negatives, int) or self.negatives < 1:
            raise ValueError(f"negatives must be at least 1, got {self.negatives!r}")
        split = super().split(source, target, side=side, seed=seed)
        test = split.test.take(np.diff(split.test.held.matrix.indptr) > 0)
        rng = np.random.default_rng([seed, 2])
        return replace(split, test=test, negatives=_negatives(test.held, self.negatives, rng))


def _negatives(held: HeldOut, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Columns (n_people, count) that people do not have, each once."""
    n_columns = held.matrix.shape[1]
    fewest = n_columns - int(np.diff(held.matrix.indptr).max(initial=0))
    if fewest < count:
        raise ValueError(
            f"negatives={count} needs as many columns that a person does not have, but of "
            f"{n_columns} some have only {fewest} left: evaluate Sampled(negatives=...) with fewer"
        )
    found = np.empty((len(held), count), np.int64)
    for person in range(len(held)):
        free = np.ones(n_columns, bool)
        free[held.matrix[person].indices] = False
        found[person] = rng.choice(np.flatnonzero(free), count, replace=False)
    return found
