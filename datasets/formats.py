"""How each of the data sets is read from its files, as they are published."""

from __future__ import annotations

import html
from collections.abc import Callable
from pathlib import Path

import polars as pl

from coldstart.datasets import movielens
from coldstart.datasets.raw import Parsed, content, matched, opened, titles, unzipped

__all__ = ["read_files"]

_DOUBAN = r"^(?P<user>\d+)\t(?P<item>\d+)\t(?P<rating>[\d.]+)\s*$"
_XMARKET = r"^(?P<user>\S+) (?P<item>\S+) (?P<rating>[\d.]+) (?P<timestamp>\d{4}-\d\d-\d\d)$"
_BOOK_RATING = r'^"(?P<user>\d+)";"(?P<item>.+)";"(?P<rating>\d+)"$'
_BOOK = r'^"(?P<item>.+?)";"(?P<title>.*?)";".*";"-?\d+";".*"$'


def read_files(reader: str, paths: list[Path], domain: str) -> Parsed:
    """Read an archive, or the ratings and the titles of a domain.

    Parameters
    ----------
    reader : str
        The format.
    paths : list of Path
        The archive; or the file of ratings, and behind it that of titles where it is there.
    domain : str
        Which one the files are of; an archive has all of them.

    Raises
    ------
    DataError
        When a file is damaged, or so many of its lines cannot be read that it must be another.
    """
    archive = _ARCHIVES.get(reader)
    with opened(paths[0]):
        if archive is not None:
            return archive(paths[0])
        log, broken = _LOGS[reader](paths[0])
        log = log.with_columns(domain=pl.lit(domain))
        if reader == "douban":  # numbered from 1 in every domain
            log = log.with_columns(item=pl.format("{}-{}", "domain", "item"))
    if len(paths) == 1:
        return Parsed.of(log, None, broken)
    with opened(paths[1]):
        items, lost = titles(paths[1], _KEYS[reader])
        return Parsed.of(log, items.with_columns(domain=pl.lit(domain)), broken + lost)


def _amazon(path: Path) -> tuple[pl.DataFrame, int]:
    """CSV with a header; times are milliseconds."""
    types = {"user_id": pl.String, "parent_asin": pl.String, "rating": pl.Float64}
    types["timestamp"] = pl.Int64
    frame = pl.read_csv(content(path), columns=list(types), schema_overrides=types).rename(
        {"user_id": "user", "parent_asin": "item"}
    )
    time = pl.from_epoch("timestamp", time_unit="ms").dt.replace_time_zone("UTC")
    return frame.with_columns(time), 0


def _douban(path: Path) -> tuple[pl.DataFrame, int]:
    """Tab separated, no header, no times."""
    return matched(content(path), _DOUBAN)


def _xmarket(path: Path) -> tuple[pl.DataFrame, int]:
    """Space separated, no header; times are days."""
    frame, broken = matched(content(path), _XMARKET)
    days = pl.col("timestamp").str.to_datetime("%Y-%m-%d", time_unit="ms", time_zone="UTC")
    return frame.with_columns(days), broken


def _book_crossing(archive: Path) -> Parsed:
    r"""Latin-1, ``";"`` between the fields, ``\"`` in them; a rating of 0 is none.

    Some lines are broken in the original: those are left out and counted.
    """
    ratings, books = unzipped(archive, "BX-Book-Ratings.csv", "BX-Books.csv")
    log, broken = matched(ratings.partition(b"\n")[2], _BOOK_RATING, "latin-1")
    items, lost = matched(books.partition(b"\n")[2], _BOOK, "latin-1")
    is_rated = pl.col("rating") != "0"
    log = log.with_columns(
        domain=pl.when(is_rated).then(pl.lit("explicit")).otherwise(pl.lit("implicit")),
        rating=pl.when(is_rated).then("rating"),
        item=_unescaped("item"),
    )
    clean = pl.Series(
        [html.unescape(title) for title in items.select(_unescaped("title"))["title"]]
    )
    items = items.select(_unescaped("item"), title=clean)
    both = log.select("domain").unique().sort("domain").join(items, how="cross")
    return Parsed.of(log, both, broken + lost)


def _unescaped(column: str) -> pl.Expr:
    r"""Turn ``\"`` into a quote, and every other escaped character into itself."""
    return pl.col(column).str.replace_all(r"\\(.)", "$1").str.strip_chars()


_ARCHIVES: dict[str, Callable[[Path], Parsed]] = {
    "movielens-100k": movielens.read_100k,
    "movielens-1m": movielens.read_1m,
    "movielens-latest-small": movielens.read_latest,
    "book-crossing": _book_crossing,
}
_LOGS: dict[str, Callable[[Path], tuple[pl.DataFrame, int]]] = {
    "amazon-2023": _amazon,
    "douban": _douban,
    "xmarket": _xmarket,
}
_KEYS = {"amazon-2023": "parent_asin", "xmarket": "asin"}
