"""Columns of a pandas, polars or pyarrow table as plain arrays."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, timedelta, timezone
from typing import Any

import narwhals.stable.v1 as nw
import numpy as np
from narwhals.exceptions import DuplicateError
from numpy.typing import NDArray

from coldstart.errors import DataError
from coldstart.vocabulary import as_ids

__all__ = ["check_columns", "ids", "numbers", "opened", "texts", "times"]

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MICROSECOND = timedelta(microseconds=1)


def opened(frame: Any, columns: Iterable[str | None]) -> nw.DataFrame[Any]:
    """Look at a table of any of the three libraries, which must have rows and these columns."""
    try:
        table: nw.DataFrame[Any] = nw.from_native(frame, eager_only=True)
    except DuplicateError as error:
        raise DataError(f"column names must be unique: {' '.join(str(error).split())}") from None
    except TypeError:
        raise TypeError(
            "frame must be a DataFrame of pandas or polars, or a Table of pyarrow, "
            f"got {type(frame).__name__}"
        ) from None
    check_columns(table.columns, columns)
    if len(table) == 0:
        raise DataError("the table has no rows: there must be at least one")
    return table


def check_columns(present: Iterable[str], wanted: Iterable[str | None]) -> None:
    """Raise DataError where a wanted column is not among those present; None wants nothing."""
    names = list(present)
    missing = [name for name in wanted if name is not None and name not in names]
    if missing:
        raise DataError(
            f"there is no column {', '.join(map(repr, missing))}; "
            f"the columns are {', '.join(map(repr, names))}: name those to use"
        )


def ids(table: nw.DataFrame[Any], name: str) -> NDArray[Any]:
    """Read ids (n,): int64, or an object array of strings."""
    column = table[name]
    _check_nulls(column, "ids")
    try:
        return as_ids(column.to_numpy() if column.dtype.is_integer() else column.to_list())
    except DataError as error:
        raise DataError(f"column {name!r}: {error}") from None


def numbers(table: nw.DataFrame[Any], name: str, what: str = "weights") -> NDArray[np.float32]:
    """Read numbers (n,), NaN where the table has none; `what` they are is for the message."""
    column = table[name]
    if not column.dtype.is_numeric() and column.dtype != nw.Boolean:
        raise DataError(f"column {name!r} holds {column.dtype}, but {what} must be numbers")
    with np.errstate(over="ignore"):
        return column.cast(nw.Float64).to_numpy().astype(np.float32)


def texts(table: nw.DataFrame[Any], name: str) -> list[str]:
    """Read texts (n,); what is no text is written out, and nothing is an empty one."""
    column = table[name]
    nothing = column.is_null().to_list()
    return [
        "" if null or value != value else str(value)
        for null, value in zip(nothing, column.to_list(), strict=True)
    ]


def times(table: nw.DataFrame[Any], name: str) -> NDArray[np.int64]:
    """Read points in time (n,); only their order means something."""
    column = table[name]
    _check_nulls(column, "timestamps")
    try:
        if column.dtype.is_numeric():
            return _ordered(column.to_numpy())
        if column.dtype == nw.Datetime:
            return column.dt.timestamp("us").to_numpy().astype(np.int64)
        return _parsed(column.to_list())
    except (TypeError, ValueError) as error:
        raise DataError(f"column {name!r} holds no points in time: {error}") from None


def _check_nulls(column: nw.Series[Any], what: str) -> None:
    nulls = column.null_count()
    if nulls:
        raise DataError(
            f"column {column.name!r} has {nulls} null {what} in {len(column)} rows: "
            "drop those rows or fill them"
        )


def _ordered(values: NDArray[Any]) -> NDArray[np.int64]:
    """Keep whole numbers that fit, and replace others by their ranks."""
    if values.dtype.kind == "i":
        return values.astype(np.int64)
    values = values.astype(np.float64) if values.dtype.kind != "u" else values
    wrong = np.count_nonzero(~np.isfinite(values))
    if wrong:
        raise ValueError(f"{wrong} of {values.size} are NaN or infinite")
    if (np.abs(values) < 2**63).all() and (values == np.floor(values)).all():
        return values.astype(np.int64)
    return np.unique(values, return_inverse=True)[1].astype(np.int64)


def _parsed(values: list[Any]) -> NDArray[np.int64]:
    """Read texts as whole numbers, else as numbers; what is neither as dates."""
    if all(isinstance(value, str) for value in values):
        for kind in (np.int64, np.float64):
            try:
                return _ordered(np.array(values, dtype=object).astype(kind))
            except (ValueError, OverflowError):
                continue
    known = {value: _microseconds(value) for value in dict.fromkeys(values)}
    return np.array([known[value] for value in values], dtype=np.int64)


def _microseconds(value: Any) -> int:
    """Count from 1970; what has no time zone is UTC."""
    if isinstance(value, str):
        text = value.strip()
        value = datetime.fromisoformat(f"{text[:-1]}+00:00" if text.endswith(("Z", "z")) else text)
    elif isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)
    elif not isinstance(value, datetime):
        raise ValueError(f"expected a number, a date or an ISO 8601 string, got {value!r}")
    if value.tzinfo is None:
        value = value.replace(tzinfo=timezone.utc)
    return int((value - _EPOCH) // _MICROSECOND)
