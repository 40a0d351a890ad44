"""Where ids meet: the rows that two catalogs have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coldstart.adapters.feature_map import rows_told
from coldstart.errors import AnchorError, DataError
from coldstart.features import Features
from coldstart.interactions import Interactions
from coldstart.vocabulary import Vocabulary

__all__ = ["Anchors", "check_features", "find_anchors"]

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
    _check_kinds(side, "source", source, "target", target)
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


def check_features(
    features: Features, source: Vocabulary, target: Interactions, *, side: str
) -> None:
    """See that features belong to the rows of `target` on this side.

    Raises
    ------
    DataError
        When ids are integers in one place and strings in another, or fewer than two of the ids
        with features have interactions in the target: nothing could be learned from them.
    """
    _check_kinds(side, "features", features.ids, "source", source)
    _check_kinds(side, "features", features.ids, "target", target.users)
    ids = features.ids.take(rows_told(features.matrix))
    rows = target.users.rows(ids.ids, missing="mask")
    learned = int((np.diff(target.user_items.indptr)[rows[rows >= 0]] > 0).sum())
    if learned < 2:
        raise DataError(
            f"of {len(ids)} ids with features ({_example(ids)}) {learned} are {side} with "
            f"interactions in the target ({_example(target.users)}), so nothing can be learned "
            f"from them: with side={side!r} pass features of {side}, under the same ids"
        )


def _check_kinds(side: str, one: str, ids: Vocabulary, other: str, other_ids: Vocabulary) -> None:
    if len(ids) and len(other_ids) and ids.kind != other_ids.kind:
        raise DataError(
            f"{side.removesuffix('s')} ids are {_described(ids)} in the {one} but "
            f"{_described(other_ids)} in the {other}, so none match: "
            "convert one of them, for example with str"
        )


def _described(ids: Vocabulary) -> str:
    return f"{'integers' if ids.kind == 'int' else 'strings'} ({_example(ids)})"


def _example(ids: Vocabulary) -> str:
    if not len(ids):
        return "none"
    first = ids.ids[0]
    return f"for example {first if isinstance(first, str) else int(first)!r}"
