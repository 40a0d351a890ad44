"""Protocol ``anchors``: as ``cold``, with few people in common."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from coldstart.anchors import find_anchors
from coldstart.interactions import Interactions
from coldstart.vocabulary import Vocabulary

from .cold import Cold
from .split import Split

__all__ = ["FewAnchors"]


@dataclass(frozen=True)
class FewAnchors(Cold):
    """As `Cold`, but only `anchors` of those who are not held out are known to be in both catalogs.

    The others have other ids in the source: both catalogs stay as large as they are, and only the
    link between them is lost. Larger numbers contain the smaller ones. Validation people stay as
    many as they are, so that arms which tune on them tune better than few anchors would let them.

    Parameters
    ----------
    anchors : int or None
        None is all.
    """

    anchors: int | None = 30

    name: ClassVar[str] = "anchors"

    def split(self, source: Interactions, target: Interactions, *, side: str, seed: int) -> Split:
        """Split by `seed` alone."""
        if self.anchors is not None and (not isinstance(self.anchors, int) or self.anchors < 1):
            raise ValueError(f"anchors must be a whole number of at least 1, got {self.anchors!r}")
        split = super().split(source, target, side=side, seed=seed)
        linked = find_anchors(source.users, split.train.users, side=side, needed=False).source
        # by id, as people are drawn
        linked = linked[np.argsort(source.users.ids[linked], kind="stable")]
        kept = np.random.default_rng([seed, 3]).permutation(linked)[: self.anchors]
        users = _renamed(source.users, np.setdiff1d(linked, kept), target.users)
        return replace(split, source=replace(source, users=users), level=float(len(kept)))


def _renamed(users: Vocabulary, rows: NDArray[np.int64], others: Vocabulary) -> Vocabulary:
    """The ids with new ones in some rows, which are in neither vocabulary."""
    ids = users.ids.copy()
    if users.kind == "int":
        most = max(int(users.ids.max(initial=0)), int(others.ids.max(initial=0)))
        ids[rows] = most + 1 + np.arange(len(rows))
        return Vocabulary(ids)
    mark = "?"
    while any(f"{ids[row]}{mark}" in users or f"{ids[row]}{mark}" in others for row in rows):
        mark += "?"
    ids[rows] = [f"{name}{mark}" for name in ids[rows]]
    return Vocabulary(ids)
