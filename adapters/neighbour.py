"""A local average: what the anchors most similar to a row have in the target."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, Literal

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray

from coldstart.prior import Prior
from coldstart.ranking import top_n
from coldstart.threads import one_blas_thread

from .base import (
    AnchorContext,
    Array,
    Rows,
    Settled,
    anchor_arrays,
    check_fitted,
    embeddings,
    score_metric,
    spelled_out,
)
from .source_rows import SourceRows, canonical, null_mean, source_kinds
from .spread import Spread

__all__ = ["NeighbourAdapter"]

SIZES = (20, 50, 100, 200)
KINDS = ("embeddings", "interactions")
CHECKED = 4096  # anchors, about, that are predicted from their own neighbours
TINY = 1e-9  # neighbours that the null mean is worth at least: a row may have no other
SIMILARITIES_AT_ONCE = 8_000_000  # held at one time while neighbours are looked for


class NeighbourAdapter(Settled):
    """Average of the target rows of the k anchors most similar to a source row.

    With c the cosine of two source rows, N the k anchors with the largest (of those that are
    positive), t their target rows, b the null mean and c0 the mean similarity of an anchor to its
    own neighbours, ::

        m = (h c0 b + sum_{a in N} c_a t_a) / (h c0 + sum_{a in N} c_a)

    h counts neighbours that have the null mean: a row unlike all anchors stays there. The null mean
    ``b = (n0 m0 + sum_u w_u t_u) / (n0 + n)`` holds the mean m0 over all target rows as n0 anchors.

    Residuals r come from anchors that are predicted without themselves and those equal to them. An
    average of rows with shares p is less certain by ``1 + sum_a p_a^2``, b being one of them, and
    the residuals are measured in that unit. Their size grows with activity (`Spread`).

    Memory beyond the inputs: the rows compared, and blocks of similarities.

    Parameters
    ----------
    k : int or "auto", default "auto"
        Number of neighbours; "auto" takes that of 20, 50, 100, 200 with the least error of anchors
        predicted without themselves, measured in scores where the context brings the other side's
        factors. An anchor of weight 2 is two neighbours.
    rows : "embeddings", "interactions" or "auto", default "auto"
        What is compared: source embeddings, or the source interactions of the context. "auto" takes
        the better by the same error. Where a context brings no interactions, embeddings are
        compared instead, in `fit` and in `predict`.
    idf : bool, default True
        Columns of interactions weigh ``log(1 + n / anchors with the column)``.
    pseudo : float, default 5.0
        h, how many neighbours the null mean is worth.
    pseudo_anchors : float, default 64.0
        n0, how many anchors the mean over all target rows is worth.

    Attributes
    ----------
    k_ : int
    rows_ : str
    origin_ : array (d_target,), b
    spread_ : Spread

    References
    ----------
    Sarwar, Karypis, Konstan and Riedl (2001), Item-Based Collaborative Filtering Recommendation
    Algorithms. Nadaraya (1964), On Estimating Regression.

    Examples
    --------
    >>> import numpy as np
    >>> source = np.random.default_rng(0).normal(size=(500, 2))
    >>> near = NeighbourAdapter(k=20).fit(source, np.sign(source))
    >>> np.round(near.predict([[2.0, 2.0], [-2.0, 2.0]]).mean)
    array([[ 1.,  1.],
           [-1.,  1.]])
    """

    needs_anchors = True

    def __init__(
        self,
        k: int | Literal["auto"] = "auto",
        *,
        rows: Literal["embeddings", "interactions", "auto"] = "auto",
        idf: bool = True,
        pseudo: float = 5.0,
        pseudo_anchors: float = 64.0,
    ) -> None:
        self.k = k
        self.rows = rows
        self.idf = idf
        self.pseudo = pseudo
        self.pseudo_anchors = pseudo_anchors

    def get_params(self) -> dict[str, Any]:
        """The constructor's arguments, by name."""
        return {
            "k": self.k,
            "rows": self.rows,
            "idf": self.idf,
            "pseudo": self.pseudo,
            "pseudo_anchors": self.pseudo_anchors,
        }

    def candidates(self) -> Sequence[NeighbourAdapter]:
        """What is left open ("auto"), spelled out for held-out people to choose from."""
        kinds = KINDS if self.rows == "auto" else (self.rows,)
        sizes = SIZES if self.k == "auto" else (self.k,)
        return spelled_out(self, rows=kinds, k=sizes)

    def fit(
        self,
        source: ArrayLike,
        target: ArrayLike,
        *,
        weight: ArrayLike | None = None,
        context: AnchorContext | None = None,
    ) -> NeighbourAdapter:
        """Keep n anchors: `source` (n, d_source), `target` (n, d_target), `weight` (n,)."""
        self._check_settings()
        s, t, w = anchor_arrays(source, target, weight, who="NeighbourAdapter", context=context)
        context = context or AnchorContext()
        order, same = canonical(s, t, w)
        self._width = s.shape[1]
        self.origin_ = null_mean(t[order], w[order], context, self.pseudo_anchors)
        with one_blas_thread():
            self._learn(s[order], t[order].astype(np.float64), w[order], same, context.take(order))
        return self

    def _learn(
        self,
        s: Rows,
        t: Array,
        w: Array,
        same: NDArray[np.int64],
        context: AnchorContext,
    ) -> None:
        some = np.flatnonzero(same % -(-(same[-1] + 1) // CHECKED) == 0)
        apart = same[some, None] == same
        metric = score_metric(context, t.shape[1])
        kinds, sizes = source_kinds(self.rows, context), SIZES if self.k == "auto" else (self.k,)
        tried: dict[tuple[str, int], tuple[_Neighbours, Array, Array]] = {}
        errors: dict[tuple[str, int], float] = {}
        for kind in sorted({"embeddings", *kinds}):
            view = SourceRows.of(kind, s, context, unit=True, idf=self.idf)
            near = _Neighbours(view, t, w, max(sizes), self.pseudo, self.origin_)
            found = near.look(view.rows[some], apart)
            for k in sizes:
                of_k = replace(near, k=k)
                of_k = replace(of_k, typical=of_k.similarity(found, w[some]))
                mean, leverage = of_k.average(found)
                tried[kind, k] = of_k, t[some] - mean, leverage
                r = t[some] - mean
                errors[kind, k] = float(w[some] @ np.einsum("ij,ij->i", r @ metric, r))
        self.rows_, self.k_ = min(product(kinds, sizes), key=errors.__getitem__)
        self._near = {kind: near for (kind, k), (near, _, _) in tried.items() if k == self.k_}
        _, residuals, leverage = tried[self.rows_, self.k_]
        residuals = residuals / np.sqrt(1 + leverage)[:, None]
        self.spread_ = Spread.of(residuals, w[some], s[some], context.take(some))

    def predict(self, source: ArrayLike, *, context: AnchorContext | None = None) -> Prior:
        """A Gaussian around the local average for `source` (m, d_source)."""
        check_fitted(self, "spread_")
        s = embeddings(source, "source", self._width, context)
        kind = self.rows_ if source_kinds(self.rows_, context) == (self.rows_,) else "embeddings"
        near = self._near[kind]
        rows = near.view.beside(s, context)
        mean, leverage = np.empty((len(s), near.target.shape[1])), np.empty(len(s))
        for block in near.blocks(len(s)):
            mean[block], leverage[block] = near.average(near.look(rows[block]))
        return self.spread_.prior(mean, s, context, origin=self.origin_, leverage=leverage)

    def _check_settings(self) -> None:
        if self.k != "auto" and (isinstance(self.k, str) or self.k < 1 or self.k != int(self.k)):
            raise ValueError(f'k must be "auto" or a whole number from 1, got {self.k!r}')
        if self.rows not in (*KINDS, "auto"):
            raise ValueError(
                f'rows must be "embeddings", "interactions" or "auto", got {self.rows!r}'
            )
        for name in ("pseudo", "pseudo_anchors"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value >= 0):
                raise ValueError(f"{name} must not be negative, got {value!r}")


@dataclass(frozen=True, eq=False)
class _Neighbours:
    """Anchors by their rows of length 1, and the average over those nearest to a row.

    `origin` counts as `pseudo` neighbours of similarity `typical`.
    """

    view: SourceRows
    target: Array
    weight: Array
    k: int
    pseudo: float
    origin: Array
    typical: float = 1.0

    def look(
        self, rows: Array | sp.csr_matrix, apart: NDArray[np.bool_] | None = None
    ) -> tuple[NDArray[np.int64], Array]:
        """Anchors (m, places) nearest to `rows`, best first, and their similarities, 0 where there
        are no more; without those that are `apart` (m, n).
        """
        places = self._places()
        found = np.zeros((rows.shape[0], places), np.int64), np.zeros((rows.shape[0], places))
        for block in self.blocks(rows.shape[0]):
            similar = rows[block] @ self.view.rows.T
            similar = similar if isinstance(similar, np.ndarray) else similar.toarray()
            if apart is not None:
                similar[apart[block]] = -np.inf
            columns = top_n(similar, places)[0]  # -1 where there are no more
            found[0][block] = np.maximum(columns, 0)
            values = np.take_along_axis(similar, found[0][block], axis=1)
            found[1][block] = np.where((columns >= 0) & (values > 0), values, 0.0)
        return found

    def similarity(self, found: tuple[NDArray[np.int64], Array], weight: Array) -> float:
        """The mean similarity of rows that weigh `weight` (m,) to their neighbours."""
        shares = self._shares(*found)
        total = float(weight @ (shares * found[1]).sum(axis=1))
        return total / float(weight @ shares.sum(axis=1) or 1.0) or 1.0

    def average(self, found: tuple[NDArray[np.int64], Array]) -> tuple[Array, Array]:
        """Means (m, d_target), and the sum of the squared shares (m,) of what is in them."""
        columns, similar = found
        shares = self._shares(columns, similar)
        own = max(self.pseudo, TINY) * self.typical
        total = own + (shares * similar).sum(axis=1)
        starts = np.arange(0, columns.size + 1, columns.shape[1])
        size = len(columns), len(self.target)
        near = sp.csr_matrix(((shares * similar).reshape(-1), columns.reshape(-1), starts), size)
        mean = (own * self.origin + near @ self.target) / total[:, None]
        squares = own**2 + (shares * similar**2).sum(axis=1)
        return mean, squares / total**2

    def _places(self) -> int:
        """How many anchors are k neighbours, whatever their weights."""
        enough = int(np.searchsorted(np.cumsum(np.sort(self.weight)), self.k)) + 1
        return min(enough, len(self.weight))

    def _shares(self, columns: NDArray[np.int64], similar: Array) -> Array:
        """How much of its weight every anchor brings until k are reached, (m, places)."""
        weight = np.where(similar > 0, self.weight[columns], 0.0)
        before = np.cumsum(weight, axis=1) - weight
        shares: Array = np.clip(self.k - before, 0.0, weight)
        return shares

    def blocks(self, count: int) -> Iterator[slice]:
        step = max(1, SIMILARITIES_AT_ONCE // len(self.weight))
        return (slice(begin, begin + step) for begin in range(0, count, step))
