"""Answering: embeddings of the ids of one side, ranked against the embeddings of the other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from coldstart.als import PriorALS
from coldstart.errors import UnknownIdError
from coldstart.prior import Prior
from coldstart.ranking import recommend_rows, top_n
from coldstart.rows import gram_matrix, solve_rows
from coldstart.strength import Strength
from coldstart.vocabulary import Vocabulary, as_ids

__all__ = ["Belief", "Missing", "Served", "Side", "answer"]

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]
Missing = Literal["raise", "popular"]


@dataclass(frozen=True, eq=False)
class Belief:
    """What is believed of n rows before their interactions, and of a row that nobody knows.

    Parameters
    ----------
    prior : Prior of n + 1 rows
        The last one is that of an unknown id.
    mapped : array (n + 1,) of bool
        Whether the source says something of the row; elsewhere the prior is a mean.
    strength : Strength of mapped rows
    null : Strength of the others
    """

    prior: Prior
    mapped: NDArray[np.bool_]
    strength: Strength
    null: Strength

    @classmethod
    def of_mean(cls, factors: Floats, regularization: float) -> Belief:
        """Nothing is believed of the rows of `factors` (n, d), and of an unknown one that it is
        like them.
        """
        n, d = factors.shape
        rows = factors.astype(np.float64)
        mean = rows.mean(axis=0)
        covariance = n * np.cov(rows.T, bias=True) + np.eye(d) * (rows.var() or 1.0)
        prior = Prior(
            np.vstack([np.zeros((n, d), np.float32), mean.astype(np.float32)]),
            np.append(np.zeros(n), 1.0),
            shared=np.linalg.inv(np.reshape(covariance, (d, d)) / (n + 1)),
            origin=mean,
        )
        strength = Strength(regularization=regularization)
        return cls(prior, np.zeros(n + 1, bool), strength, strength)

    def at(self, rows: Rows, counts: NDArray[np.integer]) -> Prior:
        """The prior of some rows (-1: unknown ids) as it pulls rows with `counts` interactions."""
        knobs = [s.knobs(counts) for s in (self.strength, self.null)]
        mapped = self.mapped[rows]
        centre, temper = (np.where(mapped, own, null) for own, null in zip(*knobs, strict=True))
        return self.prior.take(rows).centre(centre).temper(temper)


@dataclass(frozen=True, eq=False)
class Side:
    """One side of a served catalog: n rows, m columns.

    Parameters
    ----------
    ids : Vocabulary of n ids
    factors : array (n, d)
    seen : csr_matrix (n, m)
        Stored interactions with the other side.
    gram : array (d, d)
        ``factors' factors`` over the rows that the model was trained on.
    belief : Belief
    alpha : float
    """

    ids: Vocabulary
    factors: Floats
    seen: sp.csr_matrix
    gram: NDArray[np.float64]
    belief: Belief
    alpha: float

    def embed(self, rows: Rows, history: sp.csr_matrix, other: Side, num_threads: int) -> Floats:
        """Embeddings (q, d) of some rows (-1: unknown ids) after their `history` (q, m), the other
        side held fixed.

        Rows without new history keep their stored embedding.
        """
        out = np.where((rows >= 0)[:, None], self.factors[rows], np.float32(0))
        fresh = np.flatnonzero((np.diff(history.indptr) > 0) | (rows < 0))
        if fresh.size:
            merged = self.merged(rows[fresh], history[fresh])
            counts = np.diff(merged.indptr)
            out[fresh] = solve_rows(
                merged,
                other.factors,
                alpha=self.alpha,
                regularization=self.belief.strength.regularization,
                prior=self.belief.at(rows[fresh], counts),
                num_threads=num_threads,
                gram=other.gram,
            )
        return out

    def merged(self, rows: Rows, history: sp.csr_matrix) -> sp.csr_matrix:
        """Stored interactions (q, m) of some rows with `history` added; of equal pairs the larger
        value counts.
        """
        stored = self.seen[np.maximum(rows, 0)]
        if (rows < 0).any():
            stored = sp.csr_matrix(sp.diags((rows >= 0).astype(np.float32)) @ stored)
            stored.eliminate_zeros()
        return sp.csr_matrix(stored.maximum(history)) if history.nnz else stored


@dataclass(frozen=True, eq=False)
class Served:
    """Both sides of a warm-started catalog, ready to answer."""

    mapped: Side
    other: Side

    @classmethod
    def of(
        cls,
        model: PriorALS,
        belief: Belief,
        ids: tuple[Vocabulary, Vocabulary],
        trained: sp.csr_matrix,
    ) -> Served:
        """Lay out the sides of a model whose rows are the mapped side and were trained on
        `trained`.

        `ids` are those of the mapped and of the other side; the mapped ones begin with the rows of
        the model, and those that only the source knows follow. Their embedding is their prior mean.
        """
        n_rows, n_all = len(model.user_factors), len(ids[0])
        new = np.arange(n_rows, n_all)
        added = belief.at(new, np.zeros(len(new), np.int64)).mean.astype(np.float32)
        indptr = np.append(trained.indptr, np.full(len(new), trained.nnz))
        seen = sp.csr_matrix(
            (trained.data, trained.indices, indptr), shape=(n_all, trained.shape[1])
        )
        rows, columns = model.user_factors, model.item_factors
        mapped = Side(
            ids[0], np.vstack([rows, added]), seen, gram_matrix(rows), belief, model.alpha
        )
        plain = Belief.of_mean(columns, model.regularization)
        other = Side(ids[1], columns, seen.T.tocsr(), gram_matrix(columns), plain, model.alpha)
        return cls(mapped, other)


def answer(
    query: Side,
    catalog: Side,
    ids: Iterable[Any],
    *,
    n: int,
    history: Mapping[Any, Iterable[Any]] | None,
    missing: Missing,
    num_threads: int,
) -> tuple[NDArray[Any], Floats]:
    """Best `n` of the catalog for every id of the query side: ids (len, n) and scores (len, n),
    best first.

    What an id has seen is left out. Short lists end in None and -inf.
    """
    if missing not in ("raise", "popular"):
        raise ValueError(f'missing must be "raise" or "popular", got {missing!r}')
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    asked = as_ids(ids).tolist()
    rows = query.ids.rows(asked, missing="mask")
    news = _history_matrix(asked, history or {}, catalog.ids, missing)
    unknown = (rows < 0) & (np.diff(news.indptr) == 0)
    if missing == "raise" and unknown.any():
        wanted = [asked[place] for place in np.flatnonzero(unknown)]
        _raise_unknown(query.ids, wanted, "to serve them the most popular")
    embedded = query.embed(rows, news, catalog, num_threads)
    seen = query.merged(rows, news)
    found, scores = recommend_rows(embedded, catalog.factors, n, seen=seen, num_threads=num_threads)
    popularity = np.diff(catalog.seen.indptr).astype(np.float32)
    found[unknown], scores[unknown] = top_n(popularity[None], n)
    named = np.empty(len(catalog.ids) + 1, object)  # the last is None: -1, the padding
    named[:-1] = catalog.ids.ids
    return named[found], scores


def _history_matrix(
    ids: list[Any], history: Mapping[Any, Iterable[Any]], columns: Vocabulary, missing: Missing
) -> sp.csr_matrix:
    strangers = history.keys() - set(ids)
    if strangers:
        raise ValueError(
            f"history names {len(strangers)} ids that were not asked for, "
            f"for example {min(strangers, key=str)!r}"
        )
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
    return sp.csr_matrix(parts, shape=(len(ids), len(columns)))


def _raise_unknown(known: Vocabulary, ids: list[Any], otherwise: str) -> None:
    examples = ", ".join(map(repr, dict.fromkeys(ids[:3])))
    more = f", ... ({len(ids)} in all)" * (len(ids) > 3)
    advice = f'take them out, or pass missing="popular" {otherwise}'
    here, came = known.kind, "str" if isinstance(ids[0], str) else "int"
    if here != came:
        names = {"int": "integers", "str": "strings"}
        advice = f"they are {names[came]} but those of the model are {names[here]}, convert them"
    raise UnknownIdError(f"unknown ids {examples}{more}: {advice}")
