"""Where ids meet: the rows that two catalogs have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coldstart.errors import AnchorError, DataError
from coldstart.vocabulary import Vocabulary

__all__ = ["Anchors", "find_anchors"]

Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Anchors:
    """Row numbers of the same ids in both catalogs, (n,) each, in source order."""

    source: Rows
    target: Rows

    def __len__(self) -> int:
        return len(self.source)

    def take(self, which: NDArray[Any]) -> Anchors:
        """Some of the anchors, by position or boolean mask."""
        return Anchors(self.source[which], self.target[which])


def find_anchors(
    source: Vocabulary, target: Vocabulary, *, side: str = "users", needed: bool = True
) -> Anchors:
    """Match two vocabularies of the same side ("users" or "items").

    Raises
    ------
    DataError
        When ids are integers in one catalog and strings in the other: such a join finds nothing.
    AnchorError
        When there are none in common although they are `needed`.
    """
    if len(source) and len(target) and source.kind != target.kind:
        raise DataError(
            f"{side.removesuffix('s')} ids are {_described(source)} in the source but "
            f"{_described(target)} in the target, so none match: "
            "convert one of them, for example with str"
        )
    rows = target.rows(source.ids, missing="mask")
    found = np.flatnonzero(rows >= 0)
    if needed and not len(found):
        raise AnchorError(
            f"source and target have no {side} in common: "
            f"{len(source)} in the source ({_example(source)}), "
            f"{len(target)} in the target ({_example(target)}); check that both use the same ids, "
            "or use MeanAdapter, which needs none"
        )
    return Anchors(found, rows[found])


def _described(ids: Vocabulary) -> str:
    return f"{'integers' if ids.kind == 'int' else 'strings'} ({_example(ids)})"


def _example(ids: Vocabulary) -> str:
    if not len(ids):
        return "none"
    first = ids.ids[0]
    return f"for example {first if isinstance(first, str) else int(first)!r}"
