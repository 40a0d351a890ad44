"""External ids and their row numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import repeat
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from coldstart.errors import DataError, UnknownIdError

__all__ = ["Vocabulary", "as_ids", "as_rows"]

_NAMES = {"int": "integers", "str": "strings"}
_NULLS = {"NoneType", "NAType", "NaTType"}  # None, and what pandas has for it
_EXACT = 2**53  # above it a float no longer tells neighbouring integers apart
_INTEGER = re.compile(r"\s*[+-]?[0-9]+\s*")


class Vocabulary:
    """The ids of the rows of a matrix, in row order. Immutable.

    Parameters
    ----------
    ids : sequence or array (n,)
        Unique integers, or unique strings; not both. Floats with whole values count as integers.

    Raises
    ------
    DataError
        When ids are repeated, null, or of mixed or other types.

    Examples
    --------
    >>> people = Vocabulary(["ann", "bob", "cem"])
    >>> people.rows(["cem", "ann"])
    array([2, 0])
    >>> people.rows(["cem", "dan"], missing="mask")
    array([ 2, -1])
    """

    def __init__(self, ids: Iterable[Any]) -> None:
        self._ids = _unique(as_ids(ids))
        self._ids.flags.writeable = False

    @classmethod
    def distinct(cls, values: Iterable[Any]) -> Vocabulary:
        """Collect the ids in `values`, ascending: integers by size, strings by code point."""
        ids = as_ids(values)
        if ids.dtype == object:
            return cls(np.array(sorted(set(ids)), dtype=object))
        return cls(np.unique(ids))

    @property
    def ids(self) -> NDArray[Any]:
        """The ids (n,), read-only: int64, or an object array of `str`."""
        return self._ids

    @property
    def kind(self) -> Literal["int", "str"]:
        """What the ids are."""
        return "str" if self._ids.dtype == object else "int"

    @cached_property
    def _row_of(self) -> dict[Any, int]:
        return dict(zip(self._ids.tolist(), range(len(self)), strict=True))

    def rows(
        self, ids: Iterable[Any], *, missing: Literal["raise", "mask"] = "raise"
    ) -> NDArray[np.int64]:
        """Find the row numbers of `ids`.

        Parameters
        ----------
        ids : sequence or array (m,)
            May hold an id several times.
        missing : {"raise", "mask"}, default "raise"
            What to do about unknown ids: raise, or give them row -1.

        Returns
        -------
        array (m,), int64

        Raises
        ------
        UnknownIdError
            When an id is unknown and `missing` is ``"raise"``.
        """
        if missing not in ("raise", "mask"):
            raise ValueError(f"missing must be 'raise' or 'mask', got {missing!r}")
        wanted = as_ids(ids)
        found = map(self._row_of.get, wanted.tolist(), repeat(-1))
        rows = np.fromiter(found, np.int64, count=wanted.size)
        if missing == "raise" and (rows < 0).any():
            raise UnknownIdError(self._unknown(wanted, wanted[rows < 0]))
        return rows

    def _unknown(self, wanted: NDArray[Any], unknown: NDArray[Any]) -> str:
        came = "str" if wanted.dtype == object else "int"
        examples = ", ".join(repr(i) for i in dict.fromkeys(unknown.tolist()[:3]))
        more = ", ..." if unknown.size > 3 else ""
        message = f"{unknown.size} of {wanted.size} ids are unknown: {examples}{more}"
        if len(self) and came != self.kind:
            return f"{message}; ids are {_NAMES[self.kind]} here, {_NAMES[came]} came: convert them"
        return f"{message}; leave them out, or ask with missing='mask'"

    def take(self, rows: ArrayLike) -> Vocabulary:
        """Pick some rows: row numbers in any order, or a boolean mask (n,)."""
        return Vocabulary(self._ids[as_rows(rows)])

    def union(self, other: Vocabulary) -> Vocabulary:
        """Join the ids of both: these first, then the new ones in the order of `other`."""
        if len(self) == 0 or len(other) == 0:
            return self if len(self) else other
        if self.kind != other.kind:
            raise DataError(
                f"ids are {_NAMES[self.kind]} on one side, such as {next(iter(self))!r}, but "
                f"{_NAMES[other.kind]} on the other, such as {next(iter(other))!r}: convert one"
            )
        new = self.rows(other.ids, missing="mask") < 0
        return Vocabulary(np.concatenate([self._ids, other.ids[new]]))

    def parse(self, strings: Iterable[str]) -> list[Any]:
        """Turn text into ids of this kind, as a command line or a file needs it."""
        texts = list(strings)
        if self.kind == "str":
            return texts
        wrong = next((text for text in texts if not _INTEGER.fullmatch(text)), None)
        if wrong is not None:
            raise DataError(f"ids are integers here, got {wrong!r}")
        return [int(text) for text in texts]

    def __len__(self) -> int:
        return int(self._ids.size)

    def __contains__(self, key: object) -> bool:
        return not isinstance(key, (bool, np.bool_)) and key in self._row_of

    def __iter__(self) -> Iterator[Any]:
        return iter(self._ids.tolist())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Vocabulary):
            return NotImplemented
        return self is other or (self.kind == other.kind and np.array_equal(self._ids, other.ids))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        first = ", ".join(repr(i) for i in self._ids[:3].tolist())
        return f"Vocabulary({len(self)} {_NAMES[self.kind]}: {first}{', ...' * (len(self) > 3)})"

    def __reduce__(self) -> tuple[type[Vocabulary], tuple[NDArray[Any]]]:
        return Vocabulary, (self._ids,)


def as_ids(ids: Iterable[Any]) -> NDArray[Any]:
    """Give ids (n,) their one form: a new array of int64 or of `str` objects."""
    if isinstance(ids, (str, bytes)) or not isinstance(ids, Iterable):
        raise TypeError(f"ids must be a sequence, got {ids!r}: put a single id in a list")
    if isinstance(ids, Vocabulary):
        return ids.ids.copy()
    if not hasattr(ids, "__array__"):
        return _from_objects(list(ids))
    array = np.asarray(ids)
    if array.ndim != 1:
        raise ValueError(f"ids must be one-dimensional, got an array of shape {array.shape}")
    if array.dtype.kind in "OUT":  # text arrays lose trailing NULs, so ask where they come from
        return _from_objects(array.tolist() if array.dtype.kind == "O" else list(ids))
    return _integers(array)


def as_rows(rows: ArrayLike) -> NDArray[Any]:
    """Give row numbers (m,) or a boolean mask (n,) the form in which they index an array."""
    picked = np.asarray(rows)
    if picked.dtype == bool:
        return picked
    if picked.size and picked.min() < 0:
        raise IndexError(f"row numbers must be 0 or more, got {picked.min()}: drop masked rows")
    return picked if picked.size else np.empty(0, np.int64)


def _from_objects(values: list[Any]) -> NDArray[Any]:
    types = set(map(type, values))
    if types <= {str}:
        return np.array(values, dtype=object)
    nulls = sum(map(_is_null, values)) if any(map(_may_be_null, types)) else 0
    if nulls:
        raise DataError(f"{nulls} of {len(values)} ids are null: drop those rows or name them")
    if all(issubclass(kind, str) for kind in types):
        return np.array([str.__str__(value) for value in values], dtype=object)
    if any(issubclass(kind, str) for kind in types):
        text = next(value for value in values if isinstance(value, str))
        other = next(value for value in values if not isinstance(value, str))
        raise DataError(f"ids are of mixed types, such as {text!r} and {other!r}: make all strings")
    if any(issubclass(kind, (bool, np.bool_)) for kind in types):
        raise DataError("ids must be integers or strings, got bool")
    if not all(issubclass(kind, (int, np.integer, float, np.floating)) for kind in types):
        names = ", ".join(sorted(kind.__name__ for kind in types))
        raise DataError(f"ids must be integers or strings, got {names}: convert them first")
    return _integers(np.array(values))


def _may_be_null(kind: type) -> bool:
    return kind.__name__ in _NULLS or issubclass(kind, (float, np.floating))


def _is_null(value: Any) -> bool:
    return type(value).__name__ in _NULLS or (_may_be_null(type(value)) and bool(value != value))


def _integers(array: NDArray[Any]) -> NDArray[np.int64]:
    if array.dtype.kind == "f":
        _check_whole(array)
    elif array.dtype.kind not in "iuO":
        raise DataError(f"ids must be integers or strings, got {array.dtype}: convert them first")
    largest = max(array.max(initial=0), -array.min(initial=0)) if array.dtype != np.int64 else 0
    if largest > np.iinfo(np.int64).max:
        raise DataError("ids must fit 64-bit integers, some are larger: make them strings")
    return array.astype(np.int64)


def _check_whole(array: NDArray[Any]) -> None:
    nulls = int(np.isnan(array).sum())
    if nulls:
        raise DataError(f"{nulls} of {array.size} ids are null: drop those rows or name them")
    wrong = array[~((np.abs(array) <= _EXACT) & (array == np.floor(array)))]
    if wrong.size:
        raise DataError(
            f"ids must be integers or strings, got the float {wrong[0]:g}: read them as such"
        )


def _unique(ids: NDArray[Any]) -> NDArray[Any]:
    values = ids.tolist()
    if len(set(values)) < len(values):
        seen: set[Any] = set()
        twice = next(value for value in values if value in seen or seen.add(value))  # type: ignore[func-returns-value]
        raise DataError(
            f"ids must be unique, but {len(values) - len(set(values))} of {len(values)} repeat "
            f"an earlier one, the first is {twice!r}"
        )
    return ids
