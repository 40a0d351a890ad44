"""A fitted warm start for other systems: tables of vectors, and indexes of nearest neighbours.

Products of a row of the one side and a row of the other are the scores. Indexes find the nearest by
angle: to every item one entry is added that makes all of them equally long, and to the rows that
ask a zero, so that the nearest are those with the largest products.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Literal

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from coldstart.errors import ColdstartError
from coldstart.ranking import recommend_rows
from coldstart.serving import Served, Side

__all__ = ["FORMATS", "Format", "exported"]

Floats = NDArray[np.float32]
Format = Literal["parquet", "usearch", "hnswlib"]
Search = Callable[[Floats, int], NDArray[np.int64]]

FORMATS = ("parquet", "usearch", "hnswlib")
FILES = {"export.json", "users.parquet", "items.parquet", "items.usearch", "items.hnswlib"}
RECALL = 0.98  # of the first ten of exact lists, at least
CHECKED = 500  # rows that are asked for
FIRST = 10
EFFORTS = (128, 256, 512, 1024, 2048)  # candidates of a search, the fewest that do
LINKS = 32  # of an item to others


def exported(served: Served, path: str | os.PathLike[str], kind: Any, sides: Any) -> float:
    """Write a folder, and give the recall that it was checked to have.

    `sides` are the names of the mapped and of the other side.
    """
    if kind not in FORMATS:
        raise ValueError(f"format must be one of {', '.join(FORMATS)}, got {kind!r}")
    place = Path(path)
    if place.exists() and not _is_export(place):
        raise ColdstartError(
            f"{place} is there and no export, or not that alone: choose another folder"
        )
    tables = dict(zip(sides, (served.mapped, served.other), strict=True))
    nothing = sp.csr_matrix((len(tables["users"].ids), len(tables["items"].ids)), dtype=np.float32)
    everybody = np.arange(len(tables["users"].ids))
    rows = {
        "users": served.queries(tables["users"], everybody, nothing, 0),
        "items": served.ranked(tables["items"]).rows,
    }
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(mkdtemp(prefix=".coldstart-", dir=place.parent))
    except OSError as error:
        raise ColdstartError(f"cannot write {place}: {error.strerror}") from None
    try:
        recall = _written(folder, tables, rows, kind)
        if place.exists():
            shutil.rmtree(place)
        os.replace(folder, place)
    except OSError as error:
        raise ColdstartError(f"cannot write {place}: {error.strerror}") from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return recall


def _written(folder: Path, tables: dict[str, Side], rows: dict[str, Floats], kind: str) -> float:
    """Files of both sides, and the recall of users who ask for items."""
    users, items = rows["users"], rows["items"]
    told: dict[str, Any] = {"format": kind, "width": users.shape[1], "space": "inner product"}
    if kind != "parquet":
        users, items = _equally_long(users, items)
        told |= {"width": users.shape[1], "space": "cosine"}
    _write_table(folder / "users.parquet", tables["users"], users)
    _write_table(folder / "items.parquet", tables["items"], items)
    asked = np.linspace(0, len(users) - 1, min(CHECKED, len(users))).astype(int)
    search = _SEARCHES[kind](folder, items)
    recall, effort = 0.0, 0
    for effort in EFFORTS:
        recall = _recall(rows["users"][asked], rows["items"], search(users[asked], effort))
        if recall >= RECALL:
            break
    else:
        raise ColdstartError(
            f"the {kind} index finds {recall:.3f} of the first {FIRST} of exact lists, less than "
            f'{RECALL}: use format="parquet", or recommend'
        )
    told |= {"recall@10": round(recall, 4), "expansion_search": effort}
    (folder / "export.json").write_text(json.dumps(told, indent=1) + "\n")
    return recall


def _recall(users: Floats, items: Floats, found: NDArray[np.int64]) -> float:
    """How much of the first lists was found: of equal scores any will do."""
    _, exact = recommend_rows(users, items, found.shape[1])
    scores = np.einsum("qd,qkd->qk", users, items[found])
    slack = 1e-5 * np.abs(exact).max(axis=1, keepdims=True)
    return float((scores >= exact[:, -1:] - slack).mean())


def _equally_long(users: Floats, items: Floats) -> tuple[Floats, Floats]:
    """Items with an entry that makes all of them as long as the longest, users with a zero."""
    squares = np.einsum("nd,nd->n", items, items, dtype=np.float64)
    rest = np.sqrt(squares.max(initial=0) - squares)
    longer = np.hstack([items, rest[:, None]]).astype(np.float32)
    return np.hstack([users, np.zeros((len(users), 1), np.float32)]), longer


def _write_table(path: Path, side: Side, rows: Floats) -> None:
    """Row number, id and vector of every id."""
    import polars as pl

    kind = pl.Int64 if side.ids.kind == "int" else pl.String
    vectors = pl.Series("vector", rows, dtype=pl.Array(pl.Float32, rows.shape[1]))
    frame = pl.DataFrame(
        {
            "row": pl.Series(np.arange(len(rows)), dtype=pl.Int64),
            "id": pl.Series(side.ids.ids.tolist(), dtype=kind),
            "vector": vectors.cast(pl.List(pl.Float32)),
        }
    )
    frame.write_parquet(path)


def _table(folder: Path, items: Floats) -> Search:
    """Exact products with what the file holds."""
    import polars as pl

    read = pl.read_parquet(folder / "items.parquet")["vector"].to_list()
    vectors = np.asarray(read, np.float32).reshape(items.shape)
    return lambda users, _: recommend_rows(users, vectors, min(FIRST, len(items)))[0]


def _usearch(folder: Path, items: Floats) -> Search:
    try:
        from usearch.index import Index
    except ImportError:
        raise _missing("usearch") from None
    file = folder / "items.usearch"
    index = Index(
        ndim=items.shape[1], metric="cos", dtype="f32", connectivity=LINKS, expansion_add=256
    )
    index.add(np.arange(len(items)), items)
    index.save(file)
    saved: Any = Index.restore(file)

    def search(users: Floats, effort: int) -> NDArray[np.int64]:
        saved.expansion_search = effort
        found = saved.search(users, min(FIRST, len(items)))
        return np.asarray(found.keys, np.int64).reshape(len(users), -1)

    return search


def _hnswlib(folder: Path, items: Floats) -> Search:
    try:
        import hnswlib
    except ImportError:
        raise _missing("hnswlib") from None
    file = str(folder / "items.hnswlib")
    index = hnswlib.Index(space="cosine", dim=items.shape[1])
    index.init_index(max_elements=len(items), M=LINKS, ef_construction=256, random_seed=0)
    index.add_items(items, np.arange(len(items)))
    index.save_index(file)
    saved = hnswlib.Index(space="cosine", dim=items.shape[1])
    saved.load_index(file)

    def search(users: Floats, effort: int) -> NDArray[np.int64]:
        saved.set_ef(effort)
        labels, _ = saved.knn_query(users, k=min(FIRST, len(items)))
        return np.asarray(labels, np.int64)

    return search


_SEARCHES: dict[str, Callable[[Path, Floats], Search]] = {
    "parquet": _table,
    "usearch": _usearch,
    "hnswlib": _hnswlib,
}


def _missing(library: str) -> ColdstartError:
    return ColdstartError(f"format {library!r} needs that library: pip install {library}")


def _is_export(place: Path) -> bool:
    if place.is_symlink() or not (place / "export.json").is_file():
        return False
    return {file.name for file in place.iterdir()} <= FILES
