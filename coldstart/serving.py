"""Both sides of a fitted catalog, and the rows that stand for their ids in a product."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from coldstart.evidence import SoftGate, mixed
from coldstart.prior import Prior
from coldstart.ranking import row_sizes
from coldstart.row_loss import RowLoss
from coldstart.rowmap import blended, spread_of
from coldstart.strength import WHOSE, Counts, Fallback, NullArm, Strength
from coldstart.targets import Layout
from coldstart.vocabulary import Vocabulary

__all__ = ["Belief", "Extras", "Served", "Side", "beyond", "solve_believed", "trust_of", "with_any"]

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Belief:
    """What is believed of n rows before their interactions, and of a row that nobody knows.

    Parameters
    ----------
    prior : Prior of n + 1 rows
        What the source says of them; the last one is that of an unknown id.
    mapped : array (n + 1,) of bool
        Whether the source says anything of the row.
    nulls : Prior of 3 rows
        Around the mean of all rows, around that of the anchors and half way between, for everybody
        else.
    strength : Strength
        Of mapped rows.
    open : tuple of bool, one per number of shots of `strength`
        Whether mapped rows with so many interactions follow the source.
    fallback : Fallback
        What serves mapped rows where that is closed.
    unknown : Fallback
        What serves rows of which no source knows.
    soft : SoftGate, optional
        How far to trust the source for each row that follows it, by how well it foretold the row's
        interactions; the rest of the row is what `unknown` makes of it. Wholly, by default.
    learned : Learned, optional
        Rows that are believed to be what they were, whatever was said of them before that.
    """

    prior: Prior
    mapped: NDArray[np.bool_]
    nulls: Prior
    strength: Strength
    open: tuple[bool, ...]
    fallback: Fallback
    unknown: Fallback
    soft: SoftGate | None = None
    learned: Learned | None = None

    @classmethod
    def of_mean(cls, factors: Floats, regularization: float) -> Belief:
        """Nothing is believed of the rows of `factors` (n, d), and of an unknown one that it is
        like them.
        """
        n, d = factors.shape
        rows = factors.astype(np.float64)
        mean = rows.mean(axis=0)
        covariance = n * np.cov(rows.T, bias=True) + np.eye(d) * (rows.var() or 1.0)
        shared = np.linalg.inv(np.reshape(covariance, (d, d)) / (n + 1))
        nulls = Prior(np.tile(mean, (len(WHOSE), 1)), shared=shared, origin=mean)
        nothing = Prior(np.zeros((n + 1, d), np.float32), 0.0)
        plain, mean_of_all = (
            Fallback((0,), (NullArm(kind, "all", 1.0, regularization),))
            for kind in ("plain", "mean")
        )
        strength, known = (
            Strength(regularization=regularization),
            np.append(np.ones(n, bool), False),
        )
        return cls(nothing, known, nulls, strength, (False,), plain, mean_of_all)

    def follows(self, rows: Rows, counts: Counts) -> NDArray[np.bool_]:
        """Which rows (-1: unknown ids) with `counts` interactions follow the source."""
        opened = np.asarray(self.open)[self.strength.bucket(counts)]
        follows: NDArray[np.bool_] = self.mapped[rows] & opened & ~self.knows(rows)
        return follows

    def knows(self, rows: Rows) -> NDArray[np.bool_]:
        """Which rows (-1: unknown ids) were learned before."""
        if self.learned is None:
            return np.zeros(len(rows), bool)
        return self.learned.place[rows] >= 0

    def grown(self, n: int) -> Belief:
        """The same of `n` rows, the last ones being unknown ids."""
        more = n + 1 - len(self.mapped)
        if more <= 0:
            return self
        place = np.append(np.arange(len(self.mapped)), np.full(more, len(self.mapped) - 1))
        learned = self.learned
        if learned is not None:
            learned = replace(learned, place=learned.place[place])
        return replace(
            self, prior=self.prior.take(place), mapped=self.mapped[place], learned=learned
        )

    def arms(self, rows: Rows, counts: Counts) -> NDArray[np.object_]:
        """The arm without a source (q,) of rows that do not follow it, None for those that do."""
        chosen = np.full(len(rows), None, object)
        left = ~self.follows(rows, counts) & ~self.knows(rows)
        if not left.any():
            return chosen
        for fallback, who in (
            (self.fallback, left & self.mapped[rows]),
            (self.unknown, left & ~self.mapped[rows]),
        ):
            arms = np.array([*fallback.arms, None], object)[:-1]
            chosen[who] = arms[fallback.bucket(counts[who])]
        return chosen

    def pulled(self, rows: Rows, counts: Counts) -> Prior:
        """The source's prior of some rows as it pulls rows with `counts` interactions; nothing is
        known of those that do not follow it.
        """
        centre, temper = self.strength.knobs(counts)
        temper = np.where(self.follows(rows, counts), temper, 0.0)
        return self.prior.take(rows).centre(centre).temper(temper)

    def groups(self, rows: Rows, counts: Counts) -> Iterator[tuple[Rows, Prior | None, float]]:
        """Positions of rows that are solved alike, their prior and their ridge; not of those that
        were `learned`.
        """
        arms = self.arms(rows, counts)
        mine = np.flatnonzero(self.follows(rows, counts))
        if len(mine):
            prior = self.pulled(rows[mine], counts[mine])
            yield mine, prior, self.strength.regularization
        for arm in dict.fromkeys(arm for arm in arms if arm is not None):
            mean = None
            if arm.kind != "plain":  # behind a list of what is popular stands a mean as well
                mean = self.nulls.take([arm.row]).temper(arm.temper)
            yield np.flatnonzero(arms == arm), mean, arm.regularization


@dataclass(frozen=True, eq=False)
class Learned:
    """Rows with a posterior: what they were, and how much that is worth.

    Parameters
    ----------
    place : array (n + 1,)
        For each row of a belief its number in the `prior`, or -1.
    prior : Prior of some rows
        A scale for each row times one matrix.
    columns : int
        How many columns there were: pairs with them were counted.
    """

    place: NDArray[np.int64]
    prior: Prior
    columns: int

    @classmethod
    def of(
        cls, rows: Floats, along: Doubles, total: Doubles, who: Rows, n: int, columns: int
    ) -> Learned:
        """Of the rows numbered `who` among `n`: their values (k, f) and second derivatives, along
        their entries (k, f) and in `total` (f, f), of which the scale of each row and the mean
        matrix are kept.
        """
        mean = (total + total.T) / (2 * len(rows)) if len(rows) else np.eye(rows.shape[1])
        scale = (along / np.diag(mean)).mean(axis=1)
        place = np.full(n + 1, -1)
        place[who] = np.arange(len(who))
        return cls(place, Prior(rows, scale, shared=mean), columns)


@dataclass(frozen=True, eq=False)
class Extras:
    """What stands beside the factors in a score: a row map, and popularity.

    Parameters
    ----------
    rows : array (n + 1, r)
        Coordinates of the mapped side, zero where the source says nothing.
    columns : array (m, r)
    popularity : array (2, m)
        Rows of each column, among all and among the anchors; (0, m) where no arm asks for it.
    """

    rows: Floats
    columns: Floats
    popularity: Floats

    def grown(self, n: int, counts: Counts) -> Extras:
        """The same of `n` mapped rows and of columns with so many interactions (m,)."""
        m, popularity = len(counts), self.popularity
        if len(popularity):
            anchors = _longer(popularity[1][:, None], m)[:, 0]
            popularity = np.stack([counts.astype(np.float32), anchors])
        else:
            popularity = np.zeros((0, m), np.float32)
        last = self.rows[-1:]
        rows = np.vstack([self.rows[:-1], np.repeat(last, n + 2 - len(self.rows), axis=0)])
        return Extras(rows, _longer(self.columns, m), popularity)


@dataclass(frozen=True, eq=False)
class Side:
    """One side of a served catalog: n rows, m columns.

    Parameters
    ----------
    ids : Vocabulary of n ids
    factors : array (n, f)
    seen : csr_matrix (n, m)
        Stored interactions with the other side.
    evidence : csr_matrix (n, m)
        Those of them that do not speak through the belief already.
    loss : RowLoss
        Of its rows.
    belief : Belief
    """

    ids: Vocabulary
    factors: Floats
    seen: sp.csr_matrix
    evidence: sp.csr_matrix
    loss: RowLoss
    belief: Belief

    def embed(self, rows: Rows, history: sp.csr_matrix, num_threads: int) -> Floats:
        """Embeddings (q, f) of some rows (-1: unknown ids) after their `history` (q, m), the other
        side held fixed.

        Rows whose history is stored already keep their stored embedding.
        """
        out = np.where((rows >= 0)[:, None], self.factors[rows], np.float32(0))
        unknown, told = rows < 0, np.diff(history.indptr) > 0
        if told.any():
            told[told] = with_any(beyond(self.seen[np.maximum(rows[told], 0)], history[told]))
        fresh = np.flatnonzero(unknown | told)
        if fresh.size:
            merged = _merged(self.evidence, rows[fresh], history[fresh])
            out[fresh] = solve_believed(
                self.belief, rows[fresh], merged, self.loss, num_threads=num_threads
            )
        return out

    def merged(self, rows: Rows, history: sp.csr_matrix) -> sp.csr_matrix:
        """Stored interactions (q, m) of some rows with `history` added; of equal pairs the larger
        value counts.
        """
        return _merged(self.seen, rows, history)


def beyond(stored: sp.csr_matrix, told: sp.csr_matrix) -> sp.csr_matrix:
    """Those `told` interactions (n, m) that say more than the `stored` ones (n, m)."""
    if not told.nnz:
        return told
    more = sp.csr_matrix(told.multiply(told > stored), dtype=np.float32)
    more.eliminate_zeros()
    return more


def with_any(matrix: sp.csr_matrix) -> NDArray[np.bool_]:
    """Which rows (n,) have an interaction."""
    return np.asarray(np.diff(sp.csr_matrix(matrix).indptr) > 0)


def _merged(stored: sp.csr_matrix, rows: Rows, history: sp.csr_matrix) -> sp.csr_matrix:
    places = np.maximum(rows, 0)
    one = len(places) == 1  # a slice takes less than half as long, and a server asks for one
    found = stored[places[0] : places[0] + 1] if one else stored[places]
    if (rows < 0).any():
        found = sp.csr_matrix(sp.diags((rows >= 0).astype(np.float32)) @ found)
        found.eliminate_zeros()
    return sp.csr_matrix(found.maximum(history)) if history.nnz else found


def _hstacked(*parts: Floats) -> Floats:
    """Side by side, without a copy where only the first is of any width."""
    wide = [part for part in parts if part.shape[1]]
    return np.hstack(wide) if len(wide) > 1 else parts[0]


def _longer(rows: Floats, n: int) -> Floats:
    """`n` rows, the last ones zeros."""
    return np.vstack([rows, np.zeros((n - len(rows), rows.shape[1]), rows.dtype)])


def solve_believed(
    belief: Belief,
    rows: Rows,
    matrix: sp.csr_matrix,
    loss: RowLoss,
    *,
    num_threads: int = 0,
) -> Floats:
    """Embeddings (q, f) of some rows with interactions `matrix` (q, m), each under its own prior or
    arm.
    """
    out = _solved(belief, rows, matrix, loss, num_threads)
    mine = np.flatnonzero(belief.follows(rows, np.diff(matrix.indptr)))
    if belief.soft is not None and len(mine):
        null = _solved(belief, _strangers(mine), matrix[mine], loss, num_threads)
        trust = trust_of(belief, rows[mine], matrix[mine], loss, num_threads=num_threads)
        out[mine] = mixed(out[mine], null, trust)
    return out


def trust_of(
    belief: Belief,
    rows: Rows,
    matrix: sp.csr_matrix,
    loss: RowLoss,
    *,
    num_threads: int = 0,
) -> Doubles:
    """How far (q,) some rows with interactions `matrix` (q, m) follow the source, from 0 to 1."""
    follows = belief.follows(rows, np.diff(matrix.indptr))
    trust = follows.astype(np.float64)
    mine = np.flatnonzero(follows)
    if belief.soft is not None and len(mine):
        transfer, null = (
            _foretold(belief, which, matrix[mine], loss, num_threads)
            for which in (rows[mine], _strangers(mine))
        )
        trust[mine] = belief.soft.weight(transfer, null)
    return trust


def _solved(
    belief: Belief, rows: Rows, matrix: sp.csr_matrix, loss: RowLoss, num_threads: int
) -> Floats:
    """Rows (q, f), of those that follow the source as if it were trusted wholly."""
    out = np.zeros((len(rows), loss.columns.shape[1]), np.float32)
    for where, prior, ridge in belief.groups(rows, np.diff(matrix.indptr)):
        out[where] = loss.solve(
            matrix[where], prior=prior, regularization=ridge, num_threads=num_threads
        )
    known = np.flatnonzero(belief.knows(rows))
    if belief.learned is not None and len(known):
        prior = belief.learned.prior.take(belief.learned.place[rows[known]])
        again = loss.afresh(belief.learned.columns)
        out[known] = again.solve(
            matrix[known], prior=prior, regularization=0.0, num_threads=num_threads
        )
    return out


def _foretold(
    belief: Belief, rows: Rows, matrix: sp.csr_matrix, loss: RowLoss, num_threads: int
) -> Doubles:
    """Log evidence (q,) of the interactions of each row under what pulls it."""
    out = np.zeros(len(rows))
    for where, prior, ridge in belief.groups(rows, np.diff(matrix.indptr)):
        out[where] = loss.foretold(
            matrix[where], prior=prior, regularization=ridge, num_threads=num_threads
        )
    return out


def _strangers(rows: Rows) -> Rows:
    """As many rows that nobody knows."""
    return np.full(len(rows), -1)


@dataclass(frozen=True, eq=False)
class Catalog:
    """One side as it is ranked: what does not change from one question to the next.

    Parameters
    ----------
    rows : array (n, D)
    sizes : array (n,)
        Their norms.
    popularity : array (1, n)
        Interactions of each.
    names : array (n + 1,)
        Ids, and None behind them, which number -1 stands for.
    """

    rows: Floats
    sizes: Floats
    popularity: Floats
    names: NDArray[np.object_]

    @classmethod
    def of(cls, side: Side, rows: Floats) -> Catalog:
        """That of a side whose rows are ranked so."""
        names = np.empty(len(side.ids) + 1, object)
        names[:-1] = side.ids.ids
        popularity = np.diff(side.seen.indptr).astype(np.float32)[None]
        rows = np.ascontiguousarray(rows)
        return cls(rows, row_sizes(rows), popularity, names)


@dataclass(frozen=True, eq=False)
class Served:
    """Both sides of a warm-started catalog, ready to answer.

    Scores are products of rows that may be wider than the factors: `extras` stand beside them.
    """

    mapped: Side
    other: Side
    layout: Layout
    extras: Extras

    @cached_property
    def _spreads(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        columns = self.layout.columns(self.other.factors)
        return spread_of(columns), spread_of(self.extras.columns)

    @cached_property
    def _rows(self) -> Catalog:
        everybody = np.arange(len(self.mapped.ids))
        rows = self._widened(everybody, self.mapped.factors, self.mapped.seen, 0)
        return Catalog.of(self.mapped, rows)

    @cached_property
    def _columns(self) -> Catalog:
        columns = self.layout.columns(self.other.factors)
        extras = self.extras.columns, self.extras.popularity.T
        return Catalog.of(self.other, _hstacked(columns, *extras))

    def ranked(self, side: Side) -> Catalog:
        """One side as it is ranked, made when it is first asked for."""
        return self._columns if side is self.other else self._rows

    def catalog(self, side: Side) -> Floats:
        """The rows (n, D) of one side as they are ranked."""
        return self.ranked(side).rows

    def queries(
        self,
        side: Side,
        rows: Rows,
        history: sp.csr_matrix,
        num_threads: int,
        *,
        merged: sp.csr_matrix | None = None,
    ) -> Floats:
        """Rows (q, D) whose products with the catalog of the other side are the scores of some
        rows (-1: unknown ids) after their `history` (q, m).

        `merged` (q, m) is what `Side.merged` makes of both, where the caller has it already.
        """
        embedded = side.embed(rows, history, num_threads)
        if side is self.other:
            columns, unliked = self.extras.columns, self.extras.popularity.T[:0]
            known = np.where((rows >= 0)[:, None], columns[rows], np.float32(0))
            nothing = np.zeros((len(rows), unliked.shape[1]), np.float32)
            return _hstacked(self.layout.columns(embedded, rows), known, nothing)
        merged = side.merged(rows, history) if merged is None else merged
        wide = self._widened(rows, embedded, merged, num_threads)
        for place, arm in enumerate(side.belief.arms(rows, np.diff(merged.indptr))):
            if arm is not None and arm.kind == "popularity":
                wide[place] = 0
                wide[place, -1 if arm.whose == "anchors" else -2] = 1
        return wide

    def trust(self, rows: Rows, matrix: sp.csr_matrix, num_threads: int) -> Doubles:
        """How far (q,) some mapped rows with interactions `matrix` (q, m) follow the source."""
        return trust_of(self.mapped.belief, rows, matrix, self.mapped.loss, num_threads=num_threads)

    def _widened(
        self, rows: Rows, embedded: Floats, matrix: sp.csr_matrix, num_threads: int
    ) -> Floats:
        """Mapped rows with interactions `matrix` beside what the row map adds, and nothing of
        popularity.
        """
        belief, counts = self.mapped.belief, np.diff(matrix.indptr)
        ranked = self.layout.rows(embedded)
        nothing = np.zeros((len(rows), len(self.extras.popularity)), np.float32)
        if not self.extras.rows.shape[1]:
            return _hstacked(ranked, nothing)
        weight = np.asarray(belief.strength.blend)[belief.strength.bucket(counts)]
        weight = np.where(belief.follows(rows, counts), weight, 0.0)
        if belief.soft is not None and weight.any():
            weight = weight * self.trust(rows, matrix, num_threads)
        spread, added = self._spreads
        wide = blended(ranked, spread, self.extras.rows[rows], added, weight)
        return _hstacked(wide, nothing)
