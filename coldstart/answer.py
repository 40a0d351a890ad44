"""Answers: ids and histories in, the best of the other side out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from coldstart.errors import UnknownIdError
from coldstart.ranking import recommend_rows, top_n
from coldstart.serving import Served, Side
from coldstart.vocabulary import Vocabulary, as_ids

__all__ = ["Missing", "answer"]

Floats = NDArray[np.float32]
Missing = Literal["raise", "popular"]


def answer(
    served: Served,
    query: Side,
    ids: Iterable[Any],
    *,
    n: int,
    history: Mapping[Any, Iterable[Any]] | None,
    missing: Missing,
    num_threads: int,
) -> tuple[NDArray[Any], Floats]:
    """Best `n` of the other side for every id of the query side: ids (len, n) and scores (len, n),
    best first.

    What an id has seen is left out. Short lists end in None and -inf.
    """
    if missing not in ("raise", "popular"):
        raise ValueError(f'missing must be "raise" or "popular", got {missing!r}')
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    catalog = served.other if query is served.mapped else served.mapped
    asked = as_ids(ids).tolist()
    rows = query.ids.rows(asked, missing="mask")
    news = _history_matrix(asked, history or {}, catalog.ids, missing)
    unknown = (rows < 0) & (np.diff(news.indptr) == 0)
    if missing == "raise" and unknown.any():
        wanted = [asked[place] for place in np.flatnonzero(unknown)]
        _raise_unknown(query.ids, wanted, "to serve them the most popular")
    seen = query.merged(rows, news)
    wanted_rows = served.queries(query, rows, news, num_threads, merged=seen)
    ranked = served.ranked(catalog)
    found, scores = recommend_rows(
        wanted_rows,
        ranked.rows,
        n,
        seen=seen,
        sizes=ranked.sizes,
        num_threads=num_threads,
    )
    if unknown.any():
        found[unknown], scores[unknown] = top_n(ranked.popularity, n)
    return ranked.names[found], scores


def _history_matrix(
    ids: list[Any], history: Mapping[Any, Iterable[Any]], columns: Vocabulary, missing: Missing
) -> sp.csr_matrix:
    strangers = history.keys() - set(ids)
    if strangers:
        raise ValueError(
            f"history names {len(strangers)} ids that were not asked for, "
            f"for example {min(strangers, key=str)!r}"
        )
    shape = len(ids), len(columns)
    if not history:
        return sp.csr_matrix(shape, dtype=np.float32)
    indptr, indices = [0], []
    for key in ids:
        wanted = as_ids(history.get(key, ()))
        found = columns.rows(wanted, missing="mask")
        if missing == "raise" and (found < 0).any():
            _raise_unknown(columns, wanted[found < 0].tolist(), "to leave them out of the history")
        found = np.unique(found)
        indices.append(found[found >= 0])
        indptr.append(indptr[-1] + len(indices[-1]))
    flat = np.concatenate([*indices, np.empty(0, np.int64)])
    parts = np.ones(len(flat), np.float32), flat, np.array(indptr)
    return sp.csr_matrix(parts, shape=shape)


def _raise_unknown(known: Vocabulary, ids: list[Any], otherwise: str) -> None:
    examples = ", ".join(map(repr, dict.fromkeys(ids[:3])))
    more = f", ... ({len(ids)} in all)" * (len(ids) > 3)
    advice = f'take them out, or pass missing="popular" {otherwise}'
    here, came = known.kind, "str" if isinstance(ids[0], str) else "int"
    if here != came:
        names = {"int": "integers", "str": "strings"}
        advice = f"they are {names[came]} but those of the model are {names[here]}, convert them"
    raise UnknownIdError(f"unknown ids {examples}{more}: {advice}")
