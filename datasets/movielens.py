"""MovieLens in its three formats. A genre is a domain, and a film is in each of its genres."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from coldstart.datasets.raw import Parsed, matched, unzipped

__all__ = ["read_1m", "read_100k", "read_latest"]

_RATING_100K = r"^(?P<user>\d+)\t(?P<item>\d+)\t(?P<rating>[\d.]+)\t(?P<timestamp>\d+)$"
_FILM_100K = r"^(?P<item>\d+)\|(?P<title>[^|]*)\|.*?\|(?P<flags>[01](?:\|[01])+)$"
_RATING_1M = _RATING_100K.replace(r"\t", "::")
_FILM_1M = r"^(?P<item>\d+)::(?P<title>.*)::(?P<genres>[^:]*)$"


def read_100k(archive: Path) -> Parsed:
    """``u.data`` is tab separated, ``u.item`` Latin-1 with a flag for each line of ``u.genre``."""
    ratings, films, names = unzipped(archive, "u.data", "u.item", "u.genre")
    log, broken = matched(ratings, _RATING_100K)
    titles, lost = matched(films, _FILM_100K, "latin-1")
    genres = [name.partition("|")[0] for name in names.decode().split("\n") if "|" in name]
    flags = titles["flags"].str.split("|")
    found = [[name for name, flag in zip(genres, row, strict=True) if flag == "1"] for row in flags]
    return _by_genre(
        log, titles.with_columns(genres=pl.Series(found, dtype=pl.List(pl.String))), broken + lost
    )


def read_1m(archive: Path) -> Parsed:
    """``ratings.dat`` and ``movies.dat``, Latin-1, with ``::`` between the fields."""
    ratings, films = unzipped(archive, "ratings.dat", "movies.dat")
    log, broken = matched(ratings, _RATING_1M)
    titles, lost = matched(films, _FILM_1M, "latin-1")
    return _by_genre(log, _with_genres(titles), broken + lost)


def read_latest(archive: Path) -> Parsed:
    """``ratings.csv`` and ``movies.csv``: UTF-8 with a header and quotes."""
    ratings, films = (
        pl.read_csv(raw, infer_schema_length=0)
        for raw in unzipped(archive, "ratings.csv", "movies.csv")
    )
    log = ratings.select("rating", "timestamp", user=pl.col("userId"), item=pl.col("movieId"))
    return _by_genre(log, _with_genres(films.rename({"movieId": "item"})), 0)


def _with_genres(films: pl.DataFrame) -> pl.DataFrame:
    return films.with_columns(pl.col("genres").str.split("|"))


def _by_genre(log: pl.DataFrame, films: pl.DataFrame, broken: int) -> Parsed:
    films = films.select("item", "title", domain=pl.col("genres")).explode("domain").drop_nulls()
    seconds = pl.from_epoch(pl.col("timestamp").cast(pl.Int64), time_unit="s")
    log = log.with_columns(seconds.dt.replace_time_zone("UTC"))
    return Parsed.of(log.join(films, on="item"), films, broken)
