"""Ids that a file asks for, block by block: memory is bounded, however many there are."""

from __future__ import annotations

import csv
import gzip
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any, cast

import numpy as np

from coldstart.errors import ColdstartError, DataError
from coldstart.vocabulary import Vocabulary

__all__ = ["JSON_LINES", "SEPARATORS", "AskedIds", "as_in", "naming", "readable_again"]

IDS_AT_ONCE = 10_000

SEPARATORS = {".csv": ",", ".tsv": "\t"}
JSON_LINES = (".jsonl", ".ndjson")


@dataclass(frozen=True, eq=False)
class AskedIds:
    """Blocks of ids of the kind of `known`, in the order of a file.

    They stand in a column of a table (CSV, TSV, Parquet or JSON lines by its name), or one per
    line. An id that is known comes once, one that is not once in its block. Every iteration reads
    the file again.
    """

    path: Path
    column: str
    known: Vocabulary

    def __iter__(self) -> Iterator[list[Any]]:
        come = np.zeros(len(self.known), bool)
        with naming(self.path):
            empty = True
            for found in self._read():
                empty = False
                ids = list(dict.fromkeys(as_in(self.known, found)))
                rows = self.known.rows(ids, missing="mask")
                new = (rows < 0) | ~come[rows]
                come[rows[rows >= 0]] = True
                yield [key for key, first in zip(ids, new, strict=True) if first]
            if empty:
                raise DataError("the file is empty")

    def _read(self) -> Iterator[Sequence[Any]]:
        name = self.path.name.lower()
        if name.endswith(".parquet"):
            return self._of_parquet()
        suffix = Path(name.removesuffix(".gz")).suffix
        if suffix in JSON_LINES:
            return self._of_json()
        if suffix in SEPARATORS:
            return self._of_table(SEPARATORS[suffix])
        return self._of_lines()

    def _of_lines(self) -> Iterator[Sequence[str]]:
        with self._text() as lines:
            ids = (line.rstrip("\r\n") for line in lines)
            yield from _blocks(key for key in ids if key)

    def _of_json(self) -> Iterator[Sequence[Any]]:
        with self._text() as lines:
            for block in _blocks(line for line in lines if line.strip()):
                try:
                    yield self._ids([json.loads(line)[self.column] for line in block])
                except (ValueError, TypeError, LookupError):
                    raise DataError(
                        f'every line must be a JSON object with "{self.column}" in it'
                    ) from None

    def _of_table(self, separator: str) -> Iterator[Sequence[Any]]:
        from coldstart.frames import check_columns

        with self._text(newline="") as lines:
            rows = csv.reader(lines, delimiter=separator, strict=True)
            header = next(rows, None)
            if header is None:
                raise DataError("the file is empty")
            check_columns(header, [self.column])
            place = header.index(self.column)
            empty = True
            for block in _blocks(row for row in rows if row):
                empty = False
                yield self._ids([row[place] or None if place < len(row) else None for row in block])
            if empty:
                raise DataError("the file has a header but no rows")

    def _of_parquet(self) -> Iterator[Sequence[Any]]:
        import polars as pl

        from coldstart.frames import check_columns

        try:
            scan = pl.scan_parquet(self.path)
            check_columns(scan.collect_schema().names(), [self.column])
            scan = scan.select(self.column)
            total = scan.select(pl.len()).collect().item()
            for begin in range(0, total, IDS_AT_ONCE):
                yield self._ids(scan.slice(begin, IDS_AT_ONCE).collect()[self.column])
        except FileNotFoundError:
            raise DataError("there is no such file") from None
        except pl.exceptions.PolarsError as error:
            why = " ".join(str(error).split())
            raise DataError(f"this is no valid parquet file: {why}") from None

    def _ids(self, values: Any) -> Sequence[Any]:
        """Some values of the column as ids."""
        import polars as pl

        from coldstart import frames

        column = pl.Series(self.column, values, strict=False)
        table = frames.opened(pl.DataFrame([column]), [self.column])
        return cast("list[Any]", frames.ids(table, self.column).tolist())

    @contextmanager
    def _text(self, newline: str | None = None) -> Iterator[IO[str]]:
        """The lines of the file, and in one line what goes wrong with them."""
        zipped = self.path.suffix.lower() == ".gz"
        try:
            with (
                gzip.open(self.path, "rt", encoding="utf-8-sig", newline=newline)
                if zipped
                else self.path.open(encoding="utf-8-sig", newline=newline)
            ) as lines:
                yield cast("IO[str]", lines)
        except FileNotFoundError:
            raise DataError("there is no such file") from None
        except UnicodeDecodeError as error:
            raise DataError(f"the file is not UTF-8 ({error.reason})") from None
        except (EOFError, gzip.BadGzipFile) as error:
            raise DataError(f"the file is not gzip, or damaged: {error}") from None
        except csv.Error as error:
            raise DataError(f"the table cannot be read: {error}") from None
        except OSError as error:
            raise DataError(f"the file cannot be read: {error.strerror}") from None


def _blocks(values: Iterator[Any]) -> Iterator[list[Any]]:
    while block := list(islice(values, IDS_AT_ONCE)):
        yield block


def as_in(known: Vocabulary, ids: Sequence[Any]) -> list[Any]:
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
def readable_again(path: Path) -> Iterator[Path]:
    """A file that can be read more than once: of a pipe what has come out of it."""
    if not path.exists() or path.is_file() or path.is_dir():
        yield path
        return
    with TemporaryDirectory() as folder:
        kept = Path(folder, path.name)
        with path.open("rb") as pipe, kept.open("wb") as file:
            shutil.copyfileobj(pipe, file)
        yield kept


@contextmanager
def naming(path: object) -> Iterator[None]:
    """Say in which file something was wrong."""
    try:
        yield
    except ColdstartError as error:
        raise type(error)(f"{path}: {error}") from None
