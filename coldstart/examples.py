"""Examples: what a few people, drawn at random, would have been shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from coldstart.pool import Pool
from coldstart.sitting import FIXED
from coldstart.vocabulary import Vocabulary

__all__ = ["examples"]

PEOPLE = 4
SHOWN = 8  # of what a person has
LISTED = 5  # of each list

Titles = Mapping[str, str]


def examples(pool: Pool, arms: list[str], side: str, titles: Titles) -> list[dict[str, Any]]:
    """Lists of some arms at the fewest shots for a few people, who are numbered and not named.

    They are drawn from those with something to find and three interactions in the source; `titles`
    are those of items by their ids as text, other ids stand for themselves.
    """
    sitting, shots = pool.sittings[0], pool.shots[0]
    held, source = sitting.split.test.held, sitting.split.source
    lists = {arm: pool.lists(arm, shots, FIXED)[0] for arm in arms}
    has = np.diff(source.user_items.indptr)[sitting.split.test.source] >= 3
    has &= (lists[arms[0]].relevant > 0) & (sitting.split.test.source >= 0)
    drawn = np.random.default_rng([pool.seed, 6]).permutation(np.flatnonzero(has))[:PEOPLE]
    named = _namer(side, titles)
    columns = sitting.task.train.items
    truth, given = sitting.fixed_truth(), held.history(shots)
    return [
        {
            "person": _who(side, number, sitting.ids[row], titles),
            "source": named(source.items, _row(source.user_items, sitting.split.test.source[row])),
            "given": named(columns, _row(given, row)),
            "truth": named(columns, _row(truth, row)),
            "lists": {
                arm: [
                    {"item": name, "hit": bool(hit)}
                    for name, hit in zip(
                        named(columns, found.columns[row][:LISTED]), found.hits[row], strict=False
                    )
                ]
                for arm, found in lists.items()
            },
        }
        for number, row in enumerate(drawn, start=1)
    ]


def _row(matrix: sp.csr_matrix, row: int) -> NDArray[np.int64]:
    """Columns of one row, the heaviest first, no more than are shown."""
    begin, end = matrix.indptr[row], matrix.indptr[row + 1]
    heaviest = np.argsort(-matrix.data[begin:end], kind="stable")[:SHOWN]
    columns: NDArray[np.int64] = matrix.indices[begin:end][heaviest].astype(np.int64)
    return columns


def _namer(side: str, titles: Titles) -> Callable[[Vocabulary, NDArray[np.int64]], list[str]]:
    """How columns are called: items by their titles, people by numbers."""

    def named(ids: Vocabulary, columns: NDArray[np.int64]) -> list[str]:
        columns = columns[columns >= 0]
        if side == "items":
            return [f"person {column + 1}" for column in columns.tolist()]
        return [titles.get(str(name), str(name)) for name in ids.ids[columns].tolist()]

    return named


def _who(side: str, number: int, name: Any, titles: Titles) -> str:
    return titles.get(str(name), str(name)) if side == "items" else f"person {number}"
