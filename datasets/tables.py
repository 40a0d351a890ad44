"""Tables in CSV, TSV, Parquet and RecBole's files: the columns that are wanted, or why not."""

from __future__ import annotations

import gzip
import zlib
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from coldstart.errors import DataError
from coldstart.frames import check_columns

if TYPE_CHECKING:
    import polars as pl

__all__ = ["as_numbers", "read_table"]

_SEPARATORS = {".csv": ",", ".tsv": "\t"}
_ATOMIC = (".inter", ".inter.gz", ".item", ".item.gz")
_SUFFIXES = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".parquet", *_ATOMIC)
_TYPES = ("token", "token_seq", "float", "float_seq")
_ALIASES = {  # what a column is called in RecBole's files, where it has not the name asked for
    "user": ("user_id",),
    "item": ("item_id",),
    "title": ("movie_title", "book_title", "name"),
}


def read_table(file: Path, wanted: list[str | None], separator: str | None) -> pl.DataFrame:
    """Read the columns that are wanted, and ``"timestamp"``."""
    import polars as pl

    suffix = next((end for end in _SUFFIXES if file.name.lower().endswith(end)), None)
    if suffix is None:
        raise DataError(f"unknown type of file, the known ones are {', '.join(_SUFFIXES)}")
    raw = _content(file, compressed=suffix.endswith(".gz"))
    if suffix == ".parquet" and separator is not None:
        raise ValueError(f"separator is for text files, but {file} is Parquet")
    try:
        if suffix == ".parquet":
            return _parquet(raw, wanted)
        if suffix in _ATOMIC:
            return _atomic(raw, wanted, "\t" if separator is None else separator)
        return _text(raw, wanted, _SEPARATORS[suffix[:4]] if separator is None else separator)
    except pl.exceptions.PolarsError as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"this is no valid {suffix[1:]} file: {reason}") from None


def _content(file: Path, *, compressed: bool) -> bytes:
    try:
        raw = file.read_bytes()
        return gzip.decompress(raw) if compressed else raw
    except FileNotFoundError:
        raise DataError("there is no such file") from None
    except EOFError:
        raise DataError("the compressed file is cut short: get it again") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"the file is not gzip, or damaged: {error}") from None
    except OSError as error:
        raise DataError(f"the file cannot be read: {error.strerror}") from None


def _parquet(raw: bytes, wanted: list[str | None]) -> pl.DataFrame:
    import polars as pl

    if not raw:
        raise DataError("the file is empty")
    columns = list(pl.read_parquet_schema(BytesIO(raw)))
    return pl.read_parquet(BytesIO(raw), columns=_selection(columns, wanted))


def _text(raw: bytes, wanted: list[str | None], separator: str) -> pl.DataFrame:
    """Read every column as strings; an empty field is null, quoted or not."""
    import polars as pl

    raw = _checked(raw, separator)
    if raw.count(b'"') % 2:  # a parser skips over it, and over all the rows that follow
        raise DataError("a double quote is never closed: quote that field, and double its quotes")
    columns = pl.read_csv(raw, separator=separator, n_rows=0, infer_schema_length=0).columns
    frame = pl.read_csv(
        raw,
        columns=_selection(columns, wanted),
        separator=separator,
        infer_schema_length=0,
    )
    if frame.is_empty():
        raise DataError("the file has a header but no rows")
    return frame.with_columns(pl.all().replace("", None))


def _selection(columns: list[str], wanted: list[str | None]) -> list[str]:
    check_columns(columns, wanted)
    return [name for name in columns if name in wanted or name == "timestamp"]


def _checked(raw: bytes, separator: str) -> bytes:
    """Text without blank lines at its end."""
    if len(separator.encode()) != 1 or separator in '"\r\n':
        raise ValueError(f"separator must be one ASCII character, got {separator!r}")
    raw = raw.rstrip(b"\r\n")
    if not raw:
        raise DataError("the file is empty")
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise DataError(f"line {line} is not UTF-8: save the file in that encoding") from None
    return raw


def _atomic(raw: bytes, wanted: list[str | None], separator: str) -> pl.DataFrame:
    """Read a file of RecBole, whose header says NAME:TYPE and in which quotes mean nothing."""
    import polars as pl

    raw = _checked(raw, separator)
    header = raw.partition(b"\n")[0].decode("utf-8-sig").rstrip("\r").split(separator)
    names, types = zip(*map(_typed, header), strict=True)
    called = {
        next((each for each in _ALIASES.get(name, ()) if each in names), name): name
        for name in wanted
        if name is not None and name not in names
    }
    columns = [called.get(name, name) for name in names]
    frame = pl.read_csv(
        raw,
        columns=[columns.index(name) for name in _selection(columns, wanted)],
        separator=separator,
        quote_char=None,
        infer_schema_length=0,
    )
    if frame.is_empty():
        raise DataError("the file has a header but no rows")
    frame.columns = [columns[header.index(name)] for name in frame.columns]
    kinds = dict(zip(columns, types, strict=True))
    for name in ("user", "item"):
        if kinds.get(name, "token") != "token":
            raise DataError(
                f"column {names[columns.index(name)]!r} is of type {kinds[name]}, "
                "but ids are of type token"
            )
    return frame.with_columns(
        as_numbers(frame[name]) if kinds[name] == "float" else pl.col(name).replace("", None)
        for name in frame.columns
    )


def _typed(field: str) -> tuple[str, str]:
    name, _, kind = field.rpartition(":")
    if not name or ":" in name or kind not in _TYPES:
        raise DataError(
            f"the header must name columns as NAME:TYPE, as in user_id:token, with a type out of "
            f"{', '.join(_TYPES)}, got {field!r}: is this a file of RecBole?"
        )
    return name, kind


def as_numbers(texts: pl.Series) -> pl.Series:
    """Turn text into numbers; DataError where there is something else."""
    import polars as pl

    numbers = texts.str.strip_chars().cast(pl.Float64, strict=False)
    wrong = texts.filter(numbers.is_null() & texts.is_not_null())
    if len(wrong):
        raise DataError(
            f"column {texts.name!r} is not numeric: {len(wrong)} of {len(texts)} values are no "
            f"numbers, the first is {wrong[0]!r}"
        )
    return numbers
