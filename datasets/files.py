"""Interaction logs, features and titles in files, and logs of data sets by name."""

from __future__ import annotations

import os
from collections.abc import Sequence
from html import unescape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coldstart.datasets.cache import Kind, is_data_set, stored
from coldstart.datasets.tables import as_numbers, read_table
from coldstart.errors import DataError
from coldstart.features import Features, feature_columns
from coldstart.interactions import Interactions

if TYPE_CHECKING:
    import polars as pl

__all__ = ["read_features", "read_interactions", "read_titles"]

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

        Or one of RecBole's, ending in ``.inter`` or ``.inter.gz``, whose header says NAME:TYPE.

        Or a data set by name, such as ``movielens-100k#Comedy``, which ``coldstart datasets fetch``
        has brought; nothing is fetched here. Its columns are user, item, rating and timestamp.
    user, item : str
        Columns of ids. Those of text files are strings (``"007"`` stays ``"007"``), those of
        Parquet files keep their type. In RecBole's files "user" and "item" also find ``user_id``
        and ``item_id``.
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
        When the file is missing, damaged, empty, or does not hold what was asked for, or the data
        set was not fetched. The message fits in one line and begins with the path.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> file = pathlib.Path(tempfile.mkdtemp(), "log.csv")
    >>> _ = file.write_text("domain,user,item\nbook,ann,b1\nfilm,ann,f1\nfilm,bob,f1\n")
    >>> read_interactions(f"{file}#film")
    Interactions(2 users x 1 items, 2 interactions)
    """
    file, name = _located(path)
    try:
        frame = _rows(file, name, [user, item, weight, timestamp], domain, separator)
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
        frame = _rows(file, name, [id, *columns], domain, separator, kind="items")
        for column in numbers:
            frame = _with_numbers(frame, column)
        return Features.from_frame(
            frame, id=id, text=text, categories=categories, numbers=numbers, split=split
        )
    except DataError as error:
        raise DataError(f"{file}: {error}") from None


def read_titles(
    path: str | os.PathLike[str],
    *,
    item: str = "item",
    title: str = "title",
    domain: str = "domain",
    separator: str | None = None,
) -> dict[Any, str]:
    r"""Read titles of items, to show them in place of their ids.

    Parameters
    ----------
    path : str or PathLike
        As in `read_interactions`, or one of RecBole's files that ends in ``.item``. Of a data set
        by name those that came with it; none, if it has none.
    item, title, domain : str
        Columns. Rows without a title are left out.
    separator : str, optional
        As in `read_interactions`.

    Returns
    -------
    dict of str
        For each id its first title.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> file = pathlib.Path(tempfile.mkdtemp(), "items.csv")
    >>> _ = file.write_text("item,title\na,Green tea\nb,Black tea\n")
    >>> read_titles(file)
    {'a': 'Green tea', 'b': 'Black tea'}
    """
    file, name = _located(path)
    try:
        if is_data_set(file) and not stored(str(file), name, "items"):
            return {}
        frame = _rows(file, name, [item, title], domain, separator, kind="items")
    except DataError as error:
        raise DataError(f"{file}: {error}") from None
    named = frame.drop_nulls([item, title]).unique(item, keep="first", maintain_order=True)
    titles = (unescape(str(text)) for text in named[title].to_list())
    return dict(zip(named[item].to_list(), titles, strict=True))


def _located(path: str | os.PathLike[str]) -> tuple[Path, str | None]:
    """Split off what follows the last ``#``, unless that is part of a file's name."""
    text = os.fspath(path)
    file, mark, name = text.rpartition("#")
    return (Path(file), name) if mark and not Path(text).is_file() else (Path(text), None)


def _rows(
    file: Path,
    name: str | None,
    columns: Sequence[str | None],
    domain: str,
    separator: str | None,
    kind: Kind = "interactions",
) -> pl.DataFrame:
    """Read columns of a file, or of the part of it that is one domain, or of a data set."""
    if not is_data_set(file):
        wanted = [*columns, domain if name is not None else None]
        return _one_domain(read_table(file, wanted, separator), domain, name)
    import polars as pl

    parts = [read_table(part, list(columns), None) for part in stored(str(file), name, kind)]
    if not parts:
        raise DataError(f"there are no titles of it: coldstart datasets fetch {file} --titles")
    # an item may be in several domains, with the same rows
    return parts[0] if len(parts) == 1 else pl.concat(parts).unique(maintain_order=True)


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

    return (
        frame if frame[column].dtype != pl.String else frame.with_columns(as_numbers(frame[column]))
    )
