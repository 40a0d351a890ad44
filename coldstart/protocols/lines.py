"""The lines that a split is in a table: written, and read again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from coldstart.arms.base import People
from coldstart.heldout import HeldOut
from coldstart.interactions import Interactions
from coldstart.vocabulary import Vocabulary

from .split import Known, Split

if TYPE_CHECKING:
    import polars as pl

__all__ = ["lines_of", "split_of"]

Cells = NDArray[np.int64]


EARLIER = "earlier "  # before the parts of a split of an earlier moment


def lines_of(split: Split, source: Interactions, target: Interactions) -> Iterator[dict[str, Any]]:
    """What is to be said of one split; ids as text, all lines of one part together."""
    if split.earlier is not None:
        for line in lines_of(split.earlier, source, target):
            yield {**line, "part": EARLIER + line["part"]}
    rows, columns = (_text(ids) for ids in (target.users, target.items))
    train = _cells(split.train, target)
    gone = np.setdiff1d(_cells(target, target), train)
    for name, people in (("test", split.test), ("validation", split.validation)):
        held = people.held
        yield _part(f"{name} person", rows[held.rows], "", held.dropped)
        who = np.repeat(np.arange(len(held)), np.diff(held.matrix.indptr))
        what = _translated(split.train.items, target.items)[held.matrix.indices]
        known = np.zeros(len(who), bool)
        if held.known is not None:
            known = held.rank < held.known[who]
        gone = np.setdiff1d(gone, held.rows[who] * len(columns) + what)
        for kind, mask in ((name, ~known), (f"{name} known", known)):
            yield _part(kind, rows[held.rows[who[mask]]], columns[what[mask]], held.rank[mask])
    if split.known is not None:
        truth = split.known.truth.tocoo()
        hidden = _translated(split.train.users, target.users)[truth.row] * len(columns)
        hidden += _translated(split.train.items, target.items)[truth.col]
        gone = np.setdiff1d(gone, hidden)
        lists = _text(split.train.items)[split.known.columns]
        yield _part("known truth", rows[hidden // len(columns)], columns[hidden % len(columns)])
        yield _part("list", "", lists)
    yield _part("absent", rows[gone // len(columns)], columns[gone % len(columns)])
    if split.negatives is not None:
        who = np.repeat(split.test.held.rows, split.negatives.shape[1])
        chosen = _text(split.train.items)[split.negatives.ravel()]
        yield _part("negative", rows[who], chosen, np.arange(len(who)))
    yield from _source_lines(split.source, source)


def _source_lines(kept: Interactions, source: Interactions) -> Iterator[dict[str, Any]]:
    """What of the source may not be fitted, or under which other ids."""
    rows, columns = _text(source.users), _text(source.items)
    if kept.nnz == source.nnz:  # else it was cut
        renamed = np.flatnonzero(kept.users.ids != source.users.ids)
        yield _part("renamed", rows[renamed], _text(kept.users)[renamed])
        return
    gone = np.setdiff1d(_cells(source, source), _cells(kept, source))
    yield _part("source absent", rows[gone // len(columns)], columns[gone % len(columns)])


def split_of(
    table: pl.DataFrame, about: dict[str, Any], source: Interactions, target: Interactions
) -> Split:
    """A split as its lines say."""
    before = table.filter(pl_column("part").str.starts_with(EARLIER))
    earlier = None
    if len(before):
        parts = pl_column("part").str.strip_prefix(EARLIER)
        earlier = split_of(before.with_columns(parts), about, source, target)
    lines = _Lines(table, source, target)
    out = [lines.cells(part) for part in ("absent", "test", "validation", "known truth")]
    train = target.keep_entries(~np.isin(_cells(target, target), np.concatenate(out)))
    if not about["timed"]:
        train = replace(train, timestamps=None)
    past = lines.source()
    test, validation = (lines.people(name, train, past) for name in ("test", "validation"))
    known = lines.known(train, past)
    negatives = lines.negatives(train, len(test))
    return Split(
        train,
        test,
        validation,
        about["eligible"],
        past,
        level=about["level"],
        seed=about["seed"],
        known=known,
        negatives=negatives,
        earlier=earlier,
    )


def pl_column(name: str) -> pl.Expr:
    """Of a table of polars, which is imported when it is used."""
    import polars as pl

    return pl.col(name)


@dataclass(frozen=True, eq=False)
class _Lines:
    """The lines of one split, and the logs that they are about."""

    table: pl.DataFrame
    source_log: Interactions
    target_log: Interactions

    def part(self, name: str) -> pl.DataFrame:
        """Lines of one part."""
        return self.table.filter(part=name)

    def cells(self, name: str) -> Cells:
        """Numbers of target cells."""
        found = self.part(name)
        return _numbers(self.target_log.users, found["row"]) * len(self.target_log.items) + (
            _numbers(self.target_log.items, found["column"])
        )

    def source(self) -> Interactions:
        """What may be fitted of the source."""
        source, gone, renamed = (
            self.source_log,
            self.part("source absent"),
            self.part("renamed"),
        )
        if len(gone):
            cells = _numbers(source.users, gone["row"]) * len(source.items)
            cells += _numbers(source.items, gone["column"])
            return source.keep_entries(~np.isin(_cells(source, source), cells))
        if len(renamed):
            ids = source.users.ids.copy()
            names = renamed["column"].to_list()
            ids[_numbers(source.users, renamed["row"])] = (
                np.array(names, np.int64) if source.users.kind == "int" else names
            )
            return replace(source, users=Vocabulary(ids))
        return source

    def people(self, name: str, train: Interactions, past: Interactions) -> People:
        """Test or validation people, in their order."""
        persons = self.part(f"{name} person")
        rows = _numbers(self.target_log.users, persons["row"])
        shape = len(rows), len(train.items)
        place = np.full(len(self.target_log.users), -1)
        place[rows] = np.arange(len(rows))
        entries, known = self.part(name), self.part(f"{name} known")
        both = [
            np.concatenate([_numbers(ids, part[which]) for part in (known, entries)])
            for ids, which in ((self.target_log.users, "row"), (self.target_log.items, "column"))
        ]
        cells = place[both[0]], _translated(self.target_log.items, train.items)[both[1]]
        weights = self.target_log.user_items[both[0], both[1]]
        values = (
            np.asarray(weights, np.float32).ravel() if len(both[0]) else np.zeros(0, np.float32)
        )
        matrix = sp.csr_matrix((values, cells), shape)
        ranks = np.concatenate([known["place"].to_numpy(), entries["place"].to_numpy()])
        order = np.lexsort(cells[::-1])
        counts = np.bincount(cells[0][: len(known)], minlength=len(rows)) if len(known) else None
        held = HeldOut(rows, matrix, ranks[order], persons["place"].to_numpy(), counts)
        return People(past.users.rows(self.target_log.users.ids[rows], missing="mask"), held)

    def known(self, train: Interactions, past: Interactions) -> Known | None:
        """What is to be found among known rows."""
        lists, hidden = self.part("list"), self.cells("known truth")
        if not len(lists):
            return None
        width = len(self.target_log.items)
        cells = (
            _translated(self.target_log.users, train.users)[hidden // width],
            _translated(self.target_log.items, train.items)[hidden % width],
        )
        there = np.minimum(*cells) >= 0
        ones = np.ones(there.sum(), np.float32)
        truth = sp.csr_matrix((ones, tuple(cell[there] for cell in cells)), train.shape)
        return Known(
            past.users.rows(train.users.ids, missing="mask"),
            truth,
            _numbers(train.items, lists["column"]),
        )

    def negatives(self, train: Interactions, people: int) -> Cells | None:
        """Columns that a positive is ranked against."""
        lines = self.part("negative")
        if not len(lines):
            return None
        return _numbers(train.items, lines["column"]).reshape(people, -1)


def _part(name: str, rows: Any, columns: Any, place: NDArray[Any] | None = None) -> dict[str, Any]:
    """Lines of one part; one of `rows` and `columns` may be the same for all."""
    n = max(np.size(rows) if np.ndim(rows) else 0, np.size(columns) if np.ndim(columns) else 0)
    numbers = np.arange(n) if place is None else place
    return {"part": name, "row": rows, "column": columns, "place": numbers.astype(np.int64)}


def _text(ids: Vocabulary) -> NDArray[Any]:
    return np.array([str(one) for one in ids.ids.tolist()], dtype=object)


def _numbers(ids: Vocabulary, names: Any) -> Cells:
    """Row numbers of ids that were written as text."""
    found: list[Any] = names.to_list()
    return ids.rows([int(name) for name in found] if ids.kind == "int" else found)


def _translated(ids: Vocabulary, others: Vocabulary) -> Cells:
    """For each of the ids its number among others, -1 for none."""
    return others.rows(ids.ids, missing="mask")


def _cells(log: Interactions, whole: Interactions) -> Cells:
    """Numbers (nnz,) of the cells of a log in the matrix of the whole one."""
    rows = np.repeat(_translated(log.users, whole.users), np.diff(log.user_items.indptr))
    columns = _translated(log.items, whole.items)[log.user_items.indices]
    cells: Cells = rows * len(whole.items) + columns
    return cells
