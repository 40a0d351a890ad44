"""Embeddings in files: `.npz`, Parquet as Spark ALS writes it, and the word2vec text format."""

from __future__ import annotations

import os
import warnings
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coldstart.errors import DataError
from coldstart.factors import Factors
from coldstart.foreign import Parts, parted
from coldstart.vocabulary import Vocabulary, as_ids

__all__ = ["read_factors"]

Floats = NDArray[np.float32]
Rows = tuple[Any, Floats]
"""Ids in row order, None where the file has none, and embeddings (n, d)."""

ROWS_AT_ONCE = 50_000


def read_factors(
    users: str | os.PathLike[str] | None = None,
    items: str | os.PathLike[str] | None = None,
    *,
    user_ids: Iterable[Any] | None = None,
    item_ids: Iterable[Any] | None = None,
    id_column: str = "id",
    vector_column: str = "features",
) -> Factors:
    r"""Read embeddings that a model left elsewhere; its interactions are not needed.

    Parameters
    ----------
    users, items : path, optional
        One file for each side. The side that is mapped is enough.

        ``.npz``: both sides in one file, passed as `users`. Arrays ``user_factors`` (n, d) and
        ``item_factors`` (m, d), and where there are some ``users``, ``items`` (ids, integers or
        strings), ``user_biases`` (n,) and ``item_biases`` (m,). Files that implicit's models save
        have these names; columns that are biases or ones are told apart. Nothing is unpickled.

        ``.parquet``, or a folder of such files: a column of ids and one of lists, as Spark writes
        ``model.userFactors``.

        Any other name is word2vec text: a line with the number of rows and their width, then an id
        and its values on each line, between single spaces. Ids are strings.
    user_ids, item_ids : ids, optional
        Which rows to take, in this order. Of a ``.npz`` without ids those of all its rows.
    id_column, vector_column : str
        Names of the columns in Parquet files.

    Returns
    -------
    Factors
        Of float32; a side that was not read is empty.

    Raises
    ------
    DataError
        When a file is missing, damaged or of another format, rows differ in width, values are no
        finite numbers, ids come twice, or one of `user_ids` or `item_ids` is not there.
    ValueError
        When there is nothing to read.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "users.txt")
    ...     _ = file.write_text("2 3\nann 1 0 2\nbob 0 1 -1\n")
    ...     read_factors(file)
    Factors(2 users and 0 items, 3 wide)
    """
    if users is None and items is None:
        raise ValueError("pass a file of users, of items, or both")
    if users is not None and Path(users).suffix.lower() == ".npz":
        if items is not None:
            raise ValueError(f"{users} has both sides: leave the file of items out")
        with _naming(users):
            return _of_arrays(Path(users), user_ids, item_ids)
    columns = id_column, vector_column
    sides = [
        None if path is None else _side(path, columns, wanted)
        for path, wanted in ((users, user_ids), (items, item_ids))
    ]
    width = next(side[1].shape[1] for side in sides if side is not None)
    empty: Rows = (Vocabulary([]), np.zeros((0, width), np.float32))
    (rows, x), (names, y) = (empty if side is None else side for side in sides)
    return Factors(x, y, rows, names)


def _of_arrays(path: Path, user_ids: Any, item_ids: Any) -> Factors:
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except FileNotFoundError:
        raise DataError("there is no such file") from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        why = " ".join(str(error).split())
        raise DataError(f"this is no .npz file of plain arrays, or a damaged one ({why})") from None
    missing = [name for name in ("user_factors", "item_factors") if name not in arrays]
    if missing:
        raise DataError(
            f"it has no array {' and no '.join(missing)}, but {', '.join(arrays) or 'none'}"
        )
    kind = "LMF" if "neg_prop" in arrays else "BPR" if "verify_negative_samples" in arrays else ""
    factors = arrays["user_factors"], arrays["item_factors"]
    for name, array in zip(("user_factors", "item_factors"), factors, strict=True):
        if array.ndim != 2 or array.dtype.kind not in "fiu":
            raise DataError(f"{name} must be numbers (n, d), got {array.dtype} {array.shape}")
    parts = parted(kind, *factors)
    if not kind:
        parts = Parts(*factors, arrays.get("user_biases"), arrays.get("item_biases"))
    taken = [
        _taken(arrays.get(name), rows, biases, wanted, name)
        for name, rows, biases, wanted in (
            ("users", parts.users, parts.user_biases, user_ids),
            ("items", parts.items, parts.item_biases, item_ids),
        )
    ]
    (users, x, user_biases), (items, y, item_biases) = taken
    return Factors(x, y, users, items, user_biases, item_biases)


def _taken(ids: Any, rows: Any, biases: Any, wanted: Any, name: str) -> tuple[Vocabulary, Any, Any]:
    if ids is None:
        found = Vocabulary(range(len(rows)) if wanted is None else wanted)
        if len(found) != len(rows):
            side = name.removesuffix("s")
            raise DataError(
                f"the file has {len(rows)} {name} and no ids of them: "
                f"{side}_ids must name them all in order, got {len(found)}"
            )
        return found, rows, biases
    if ids.dtype.kind not in "iuU":
        raise DataError(f"ids of {name} must be integers or strings, got dtype {ids.dtype}")
    known = Vocabulary(ids.tolist())
    if len(known) != len(rows):
        raise DataError(f"{len(known)} ids of {name} do not fit {len(rows)} rows of factors")
    if wanted is None:
        return known, rows, biases
    found, places = _places(known, wanted)
    return found, rows[places], None if biases is None else np.asarray(biases)[places]


def _side(path: Any, columns: tuple[str, str], wanted: Any) -> tuple[Vocabulary, Floats]:
    file = Path(path)
    with _naming(file):
        if not file.exists():
            raise DataError("there is no such file")
        parquet = file.is_dir() or file.suffix.lower() == ".parquet"
        ids, rows = _of_parquet(file, columns) if parquet else _of_text(file)
        known = Vocabulary(ids)
        if wanted is None:
            return known, rows
        found, places = _places(known, wanted)
        return found, rows[places]


def _places(known: Vocabulary, wanted: Any) -> tuple[Vocabulary, NDArray[np.int64]]:
    """The wanted ids, and where they are."""
    found = Vocabulary(wanted)
    places = known.rows(found.ids, missing="mask")
    absent = found.ids[places < 0].tolist()
    if len(absent):
        raise DataError(
            f"it has no row for {len(absent)} of {len(found)} ids, for example {absent[0]!r}: "
            "leave those out, or check that ids are of one kind"
        )
    return found, places


def _of_parquet(path: Path, columns: tuple[str, str]) -> Rows:
    import polars as pl

    files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    if not files:
        raise DataError("the folder holds no .parquet file")
    try:
        scan = pl.scan_parquet(files)
        present = scan.collect_schema().names()
        absent = [name for name in columns if name not in present]
        if absent:
            raise DataError(
                f"it has no column {absent[0]!r}, the columns are {', '.join(present)}: "
                "name them by id_column and vector_column"
            )
        frame = scan.select(columns).collect()
    except (pl.exceptions.PolarsError, OSError) as error:
        why = " ".join(str(error).split())
        raise DataError(f"this is no valid Parquet file: {why}") from None
    names, vectors = frame[columns[0]], frame[columns[1]]
    if isinstance(vectors.dtype, pl.Array):
        vectors = vectors.arr.to_list()
    if not isinstance(vectors.dtype, pl.List) or not vectors.dtype.inner.is_numeric():
        raise DataError(f"column {columns[1]!r} must hold lists of numbers, got {vectors.dtype}")
    if names.null_count() or vectors.null_count() or not len(frame):
        raise DataError("it has rows without an id or without a list, or no rows at all")
    lengths = vectors.list.len().to_numpy()
    if len(set(lengths.tolist())) != 1:
        raise DataError(f"its lists are between {lengths.min()} and {lengths.max()} long")
    flat = vectors.explode()
    if flat.null_count():
        raise DataError(f"{flat.null_count()} values in column {columns[1]!r} are missing")
    rows = flat.cast(pl.Float32).to_numpy().reshape(len(frame), int(lengths[0]))
    return as_ids(names.to_numpy() if names.dtype.is_integer() else names.to_list()), rows


def _of_text(path: Path) -> Rows:
    """In blocks of lines, into an array that is there from the first one."""
    with path.open(encoding="utf-8-sig", newline="\n") as lines:
        try:
            head = lines.readline().split()
            if len(head) != 2 or not all(part.isdigit() for part in head):
                raise DataError(
                    "the first line must be the number of rows and their width, as in '1000 64': "
                    "is this word2vec text?"
                )
            n, d = map(int, head)
            if not d or n * d * 4 > 64 * max(path.stat().st_size, 1):
                raise DataError(f"its first line says {n} rows of {d}, for which it is too short")
            ids: list[str] = []
            rows = np.empty((n, d), np.float32)
            for block in _blocks(lines):
                _fill(rows, ids, block)
        except UnicodeDecodeError as error:
            raise DataError(f"the file is not UTF-8 ({error.reason})") from None
    if len(ids) != n:
        raise DataError(f"its first line says {n} rows, but it has {len(ids)}: is it cut short?")
    return ids, rows


def _blocks(lines: Iterable[str]) -> Iterator[list[str]]:
    block: list[str] = []
    for line in lines:
        block.append(line)
        if len(block) == ROWS_AT_ONCE:
            yield block
            block = []
    if block:
        yield block


def _fill(rows: Floats, ids: list[str], block: list[str]) -> None:
    begin, (n, d) = len(ids), rows.shape
    parts = [line.rstrip().split(" ", 1) for line in block if line.strip()]
    if begin + len(parts) > n:
        raise DataError(f"its first line says {n} rows, but it has more")
    short = next((number for number, part in enumerate(parts) if len(part) < 2), None)
    if short is not None:
        raise DataError(f"row {begin + short + 1} has an id but no values")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # of what is no number there is but a warning
            values = np.fromstring(" ".join(part[1] for part in parts), sep=" ")
    except (DeprecationWarning, ValueError):
        rows_told = f"rows {begin + 1} to {begin + len(parts)}"
        raise DataError(f"something in {rows_told} is no number") from None
    if len(values) != len(parts) * d:
        row = next(i for i, part in enumerate(parts) if len(part[1].split(" ")) != d)
        width = len(parts[row][1].split(" "))
        raise DataError(f"row {begin + row + 1} has {width} values where the first line says {d}")
    rows[begin : begin + len(parts)] = values.reshape(-1, d)
    ids += [part[0] for part in parts]


@contextmanager
def _naming(path: Any) -> Iterator[None]:
    """Say in which file something was wrong."""
    try:
        yield
    except DataError as error:
        raise DataError(f"{os.fspath(path)}: {error}") from None
