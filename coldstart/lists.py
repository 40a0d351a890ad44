"""Ranked lists for many ids: who asks and with what history, read from files, and the answers."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

import typer

from coldstart.errors import ColdstartError, DataError, UnknownIdError

if TYPE_CHECKING:
    import polars as pl

    from coldstart.interactions import Interactions
    from coldstart.vocabulary import Vocabulary
    from coldstart.warmstart import WarmStart

__all__ = [
    "Lists",
    "check_known",
    "check_place",
    "histories",
    "naming",
    "of_those_asked",
    "read_ids",
]

IDS_AT_ONCE = 10_000  # served and written in one go, which bounds the memory

_SEPARATORS = {".csv": ",", ".tsv": "\t"}
_TABLES = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".parquet")

Side = Literal["users", "items"]


def check_place(path: Path) -> None:
    """Fail where lists cannot have this name."""
    if path.suffix.lower() not in (*_SEPARATORS, ".parquet"):
        raise ValueError(f"--out: expected a file ending in .csv, .tsv or .parquet, got {path}")
    if path.is_dir():
        raise ColdstartError(f"cannot write {path}: there is a folder of that name")


def read_ids(path: Path, column: str, known: Vocabulary) -> list[Any]:
    """Ids of the kind of `known` in the order of a file, each once.

    They stand in a column of a table, CSV, TSV or Parquet by its name, or one per line.
    """
    with naming(path):
        return list(dict.fromkeys(_as_in(known, _ids_in(path, column))))


def _ids_in(path: Path, column: str) -> list[Any]:
    """Ids in the order of a file: of a column of a table, else one per line."""
    from coldstart import frames
    from coldstart.datasets.files import read_table

    if path.name.lower().endswith(_TABLES):
        table = frames.opened(read_table(path, [column], None), [column])
        return list(frames.ids(table, column).tolist())
    try:
        with path.open(encoding="utf-8-sig") as lines:
            found = [line.rstrip("\n") for line in lines if line != "\n"]
    except UnicodeDecodeError as error:
        raise DataError(f"the file is not UTF-8 ({error.reason})") from None
    if not found:
        raise DataError("the file is empty")
    return found


def _as_in(known: Vocabulary, ids: Sequence[Any]) -> list[Any]:
    """Turn text into what the ids of the model are."""
    if isinstance(ids[0], str):
        return known.parse(ids)
    if known.kind == "str":
        raise DataError(
            f"ids are integers, such as {ids[0]}, but strings in the model, such as "
            f"{next(iter(known))!r}: convert one of them"
        )
    return list(ids)


@contextmanager
def naming(path: object) -> Iterator[None]:
    """Say in which file something was wrong."""
    try:
        yield
    except ColdstartError as error:
        raise type(error)(f"{path}: {error}") from None


def histories(log: Interactions, query: Vocabulary, catalog: Vocabulary) -> dict[Any, list[Any]]:
    """The interactions of each id of the query side."""
    rows, columns = _as_in(query, list(log.users)), _as_in(catalog, list(log.items))
    limits = log.user_items.indptr
    return {
        row: [columns[place] for place in log.user_items.indices[begin:end]]
        for row, begin, end in zip(rows, limits[:-1], limits[1:], strict=True)
    }


def of_those_asked(
    histories: Mapping[Any, list[Any]], ids: Iterable[Any], catalog: Vocabulary, missing: str
) -> dict[Any, list[Any]]:
    """Leave out the histories of others, and say so."""
    asked = {key: histories[key] for key in ids if key in histories}
    if len(asked) < len(histories):
        _note(f"history of {len(histories) - len(asked)} ids left out: they are not asked for")
    others = {other for history in asked.values() for other in history}
    unknown = sorted(other for other in others if other not in catalog)
    _report_unknown(unknown, len(others), "are left out of the history", missing)
    return asked


def _note(text: str) -> None:
    typer.echo(text, err=True)


def _report_unknown(unknown: Sequence[Any], total: int, otherwise: str, missing: str) -> None:
    if not unknown:
        return
    count = f"{len(unknown)} of {total} ids unknown to the model, such as {unknown[0]!r}"
    if missing == "raise":
        raise UnknownIdError(f"{count}: take them out, or pass --missing popular")
    _note(f"{count}: they {otherwise}")


def check_known(
    ids: Sequence[Any], history: Mapping[Any, list[Any]], known: Vocabulary, missing: str
) -> None:
    """Unknown ids without a history are an error or a note."""
    unknown = [key for key in ids if key not in known and not history.get(key)]
    _report_unknown(unknown, len(ids), "are served what is popular", missing)


@dataclass(frozen=True)
class Lists:
    """Ranked lists of many ids, made block by block; `sides` is what comes in and what goes out."""

    warm: WarmStart
    sides: tuple[Side, Side]
    ids: Sequence[Any]
    history: Mapping[Any, list[Any]]
    n: int
    missing: Literal["raise", "popular"]

    def __iter__(self) -> Iterator[pl.DataFrame]:
        from tqdm import tqdm

        answer = self.warm.recommend if self.sides[0] == "users" else self.warm.audience
        starts = range(0, len(self.ids), IDS_AT_ONCE)
        for start in tqdm(starts, desc="blocks of ids", disable=not sys.stderr.isatty()):
            block = self.ids[start : start + IDS_AT_ONCE]
            told = {key: self.history[key] for key in block if key in self.history}
            yield self._frame(block, *answer(block, self.n, history=told, missing=self.missing))

    def _frame(self, block: Sequence[Any], found: Any, scores: Any) -> pl.DataFrame:
        """One row for each place of each list, without padding."""
        import numpy as np
        import polars as pl

        kinds = {"int": pl.Int64, "str": pl.String}
        ids, others = (kinds[self.warm.ids(side).kind] for side in self.sides)
        lists, places = np.nonzero(scores > -np.inf)
        asked, given = (side.removesuffix("s") for side in self.sides)
        return pl.DataFrame(
            {
                asked: pl.Series([block[row] for row in lists.tolist()], dtype=ids),
                "rank": pl.Series(places + 1, dtype=pl.Int32),
                given: pl.Series(found[lists, places].tolist(), dtype=others),
                "score": pl.Series(scores[lists, places], dtype=pl.Float32),
            }
        )

    def write(self, path: Path | None) -> None:
        """Write a file, which gets its name when it is whole; CSV on stdout without one."""
        from polars.exceptions import PolarsError

        if path is None:
            self._write_text(sys.stdout.buffer, ",")
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with TemporaryDirectory(dir=path.parent, prefix=".coldstart-") as folder:
                whole = Path(folder, "whole")
                self._write_whole(whole, path.suffix.lower())
                os.replace(whole, path)
        except (OSError, PolarsError) as error:
            raise ColdstartError(f"cannot write {path}: {error}") from None

    def _write_whole(self, path: Path, suffix: str) -> None:
        if suffix == ".parquet":
            self._write_parquet(path)
            return
        with path.open("wb") as file:
            self._write_text(file, _SEPARATORS[suffix])

    def _write_text(self, file: BinaryIO, separator: str) -> None:
        for number, frame in enumerate(self):
            text = frame.write_csv(include_header=number == 0, separator=separator)
            file.write(text.encode())
        file.flush()

    def _write_parquet(self, path: Path) -> None:
        import polars as pl

        parts = []
        for number, frame in enumerate(self):
            parts.append(path.with_name(f"{number}.parquet"))
            frame.write_parquet(parts[-1])
        pl.scan_parquet(parts).sink_parquet(path)
