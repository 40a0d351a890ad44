"""What is in the files of data sets as they are published: lines, archives, JSON."""

from __future__ import annotations

import ast
import gzip
import json
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from coldstart.errors import DataError

__all__ = ["Parsed", "content", "matched", "opened", "titles", "unzipped"]

_BROKEN = 0.01  # the largest share of lines that may be unreadable
_LOG = ("domain", "user", "item", "rating", "timestamp")


@dataclass(frozen=True)
class Parsed:
    """What the files of a data set say.

    Attributes
    ----------
    log : DataFrame of domain, user, item, rating, timestamp
        Ids are strings, times UTC; a rating or a time that the data lack is null.
    items : DataFrame of domain, item, title, optional
    broken : int
        Lines that could not be read.
    """

    log: pl.DataFrame
    items: pl.DataFrame | None = None
    broken: int = 0

    @classmethod
    def of(cls, log: pl.DataFrame, items: pl.DataFrame | None = None, broken: int = 0) -> Parsed:
        """Bring columns into their order and types, whatever else there is."""
        if "timestamp" not in log.columns:
            log = log.with_columns(timestamp=pl.lit(None))
        log = log.select(
            *(pl.col(name).cast(pl.String) for name in _LOG[:3]),
            pl.col("rating").cast(pl.Float64),
            pl.col("timestamp").cast(pl.Datetime("ms", "UTC")),
        )
        if items is not None:
            keys = ["domain", "item"]
            items = items.select(*keys, "title").unique(keys, keep="first", maintain_order=True)
            items = items.join(log.select(keys).unique(), on=keys, how="semi")
        return cls(log, items, broken)


@contextmanager
def opened(path: Path) -> Iterator[None]:
    """Say in which file something was wrong, and that it may be the file."""
    try:
        yield
    except (zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise DataError(f"{path}: the file is damaged ({error}): delete it, fetch again") from None
    except (KeyError, pl.exceptions.PolarsError, UnicodeDecodeError) as error:
        why = " ".join(str(error).split())
        raise DataError(f"{path}: the file is not as expected ({why})") from None
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def content(path: Path) -> bytes:
    """Bytes of a file, unpacked where it is gzip, whatever its name says."""
    raw = path.read_bytes()
    return gzip.decompress(raw) if raw.startswith(b"\x1f\x8b") else raw


def unzipped(path: Path, *names: str) -> list[bytes]:
    """Members of an archive by the last part of their paths."""
    with zipfile.ZipFile(path) as archive:
        members = {member.rpartition("/")[2]: member for member in archive.namelist()}
        absent = [name for name in names if name not in members]
        if absent:
            raise DataError(f"the archive has no {absent[0]}, but {', '.join(members)}")
        return [archive.read(members[name]) for name in names]


def matched(raw: bytes, pattern: str, encoding: str = "utf-8") -> tuple[pl.DataFrame, int]:
    """Fields of lines as named groups of a pattern, and how many lines were broken."""
    if not raw.strip():
        raise DataError("the file is empty")
    if encoding != "utf-8":
        raw = raw.decode(encoding).encode()
    lines = pl.read_csv(
        raw,
        has_header=False,
        separator="\x1f",
        quote_char=None,
        schema={"line": pl.String},
        truncate_ragged_lines=True,
    )["line"].str.strip_chars_end("\r")
    lines = lines.filter(lines.str.len_bytes() > 0)
    found = lines.str.extract_groups(pattern).struct.unnest()
    broken = found[:, 0].is_null()
    lost = lines.filter(broken)
    _check_share(len(lost), len(lines), lost.head(1).to_list())
    return found.filter(~broken), len(lost)


def _check_share(broken: int, lines: int, example: list[str]) -> None:
    """Raise DataError where too many lines are broken for this to be the right format."""
    if broken > _BROKEN * lines:
        raise DataError(
            f"{broken} of {lines} lines are not as expected, the first is {example[0][:80]!r}: "
            "is this the right file?"
        )


def titles(path: Path, key: str) -> tuple[pl.DataFrame, int]:
    """Items and titles of a file with an object on each line, and how many were broken."""
    found: list[tuple[str, str]] = []
    broken = lines = 0
    bad: list[str] = []
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            lines += 1
            object_ = _object(line)
            if object_ is None or key not in object_:
                broken += 1
                bad = bad or [line]
            elif object_.get("title"):
                found.append((str(object_[key]), " ".join(str(object_["title"]).split())))
    _check_share(broken, lines, bad)
    return pl.DataFrame(found, {"item": pl.String, "title": pl.String}, orient="row"), broken


def _object(line: str) -> dict[str, Any] | None:
    """JSON, or what Python prints for a dict."""
    try:
        value = json.loads(line)
    except ValueError:
        try:
            value = ast.literal_eval(line.strip())
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return None
    return value if isinstance(value, dict) else None
