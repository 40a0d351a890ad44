"""Interaction logs and features in CSV, TSV and Parquet files."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from coldstart.errors import DataError
from coldstart.features import Features, feature_columns
from coldstart.frames import check_columns
from coldstart.interactions import Interactions

if TYPE_CHECKING:
    import polars as pl

__all__ = ["read_features", "read_interactions", "read_table"]

_SEPARATORS = {".csv": ",", ".tsv": "\t"}
_SUFFIXES = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".parquet")
_SHOWN = 20  # domains listed in a message


def read_interactions(
    path: str | os.PathLike[str],
    *,
    user: str = "user",
    item: str = "item",
    weight: str | None = None,
    timestamp: str | None = None,
    domain: str = "domain",
    separator: str | None = None,
) -> Interactions:
    r"""Read an interaction log, or the part of it that belongs to one domain.

    Parameters
    ----------
    path : str or PathLike
        A file ending in ``.csv``, ``.tsv`` (both also with ``.gz``) or ``.parquet``. With ``#NAME``
        after it, only rows whose column `domain` is NAME are read. Text is UTF-8 with one header
        line, and double quotes around what holds a separator, a quote or a line break.
    user, item : str
        Columns of ids. Those of text files are strings (``"007"`` stays ``"007"``), those of
        Parquet files keep their type.
    weight : str, optional
        Column of weights >= 0; without it every row counts 1.
    timestamp : str, optional
        Column of times; by default the column ``"timestamp"`` where the file has one with values.
    domain : str
        Column that tells the domains of one file apart.
    separator : str, optional
        One character that separates the fields of a text file, instead of the suffix's own.

    Returns
    -------
    Interactions
        Repeated pairs are merged and counted, see `Interactions.from_frame`.

    Raises
    ------
    DataError
        When the file is missing, damaged, empty, or does not hold what was asked for. The message
        fits in one line and begins with the path.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> file = pathlib.Path(tempfile.mkdtemp(), "log.csv")
    >>> _ = file.write_text("domain,user,item\nbook,ann,b1\nfilm,ann,f1\nfilm,bob,f1\n")
    >>> read_interactions(f"{file}#film")
    Interactions(2 users x 1 items, 2 interactions)
    """
    file, name = _located(path)
    wanted = [user, item, weight, timestamp, domain if name is not None else None]
    try:
        frame = _one_domain(read_table(file, wanted, separator), domain, name)
        if timestamp is None and _has_values(frame, "timestamp"):
            timestamp = "timestamp"
        if weight is not None:
            frame = _with_numbers(frame, weight)
        return Interactions.from_frame(frame, user, item, weight, timestamp)
    except DataError as error:
        raise DataError(f"{file}: {error}") from None


def read_features(
    path: str | os.PathLike[str],
    *,
    id: str = "item",  # noqa: A002 - the word of `Features.from_frame`
    text: Sequence[str] = (),
    categories: Sequence[str] = (),
    numbers: Sequence[str] = (),
    split: str | None = "|",
    domain: str = "domain",
    separator: str | None = None,
) -> Features:
    r"""Read features from a file with one row per id, or per id of one domain.

    Path, `domain` and `separator` are those of `read_interactions`, the others those of
    `Features.from_frame`.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> file = pathlib.Path(tempfile.mkdtemp(), "items.csv")
    >>> _ = file.write_text("item,title,kind\na,Green tea,drink\nb,Black tea,drink|new\n")
    >>> read_features(file, text=["title"], categories=["kind"])
    Features(2 ids x 3 columns, sparse)
    """
    file, name = _located(path)
    try:
        columns = feature_columns(text, categories, numbers)
        wanted = [id, *columns, domain if name is not None else None]
        frame = _one_domain(read_table(file, wanted, separator), domain, name)
        for column in numbers:
            frame = _with_numbers(frame, column)
        return Features.from_frame(
            frame, id=id, text=text, categories=categories, numbers=numbers, split=split
        )
    except DataError as error:
        raise DataError(f"{file}: {error}") from None


def _located(path: str | os.PathLike[str]) -> tuple[Path, str | None]:
    """Split off what follows the last ``#``, unless that is part of a file's name."""
    text = os.fspath(path)
    file, mark, name = text.rpartition("#")
    return (Path(file), name) if mark and not Path(text).is_file() else (Path(text), None)


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

    if len(separator.encode()) != 1 or separator in '"\r\n':
        raise ValueError(f"separator must be one ASCII character, got {separator!r}")
    raw = raw.rstrip(b"\r\n")
    if not raw:
        raise DataError("the file is empty")
    _check_text(raw)
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


def _check_text(raw: bytes) -> None:
    """Refuse what a parser may skip over, and all the rows that follow an open quote with it."""
    if raw.count(b'"') % 2:
        raise DataError("a double quote is never closed: quote that field, and double its quotes")
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise DataError(f"line {line} is not UTF-8: save the file in that encoding") from None


def _one_domain(frame: pl.DataFrame, column: str, name: str | None) -> pl.DataFrame:
    import polars as pl

    if name is None:
        return frame
    names = frame[column].cast(pl.String)
    part = frame.filter(names == name)
    if part.is_empty():
        known = names.drop_nulls().unique().sort().to_list()
        more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
        raise DataError(
            f"there is no domain {name!r}; the domains are "
            f"{', '.join(map(repr, known[:_SHOWN]))}{more}"
        )
    return part


def _has_values(frame: pl.DataFrame, column: str) -> bool:
    return column in frame.columns and frame[column].null_count() < len(frame)


def _with_numbers(frame: pl.DataFrame, column: str) -> pl.DataFrame:
    """Turn a column of text into numbers."""
    import polars as pl

    texts = frame[column]
    if texts.dtype != pl.String:
        return frame
    numbers = texts.str.strip_chars().cast(pl.Float64, strict=False)
    wrong = texts.filter(numbers.is_null() & texts.is_not_null())
    if len(wrong):
        raise DataError(
            f"column {column!r} is not numeric: {len(wrong)} of {len(texts)} values are no "
            f"numbers, the first is {wrong[0]!r}"
        )
    return frame.with_columns(numbers)
