"""The data of the published protocols in their original layouts, which cannot be redistributed."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import scipy.sparse as sp
from numpy.typing import NDArray
from sampled_protocol import ColdPeople, cold_people

from coldstart.interactions import Interactions
from coldstart.vocabulary import Vocabulary

AMAZON_TASKS = {
    "Amazon Movies -> Music": ("Movies_and_TV", "CDs_and_Vinyl"),
    "Amazon Books -> Movies": ("Books", "Movies_and_TV"),
    "Amazon Books -> Music": ("Books", "CDs_and_Vinyl"),
}
CDRIB_PAIRS = {
    "Music-Movie": ("cd", "movie"),
    "Phone-Elec": ("cell", "electronic"),
    "Cloth-Sport": ("cloth", "sport"),
    "Game-Video": ("game", "video"),
}
CDRIB_ROOTS = (Path("cdrib", "dataset"), Path("unicdr", "datasets", "dual-user-inter", "dataset"))
PLACES = """
  ptupcdr/raw/reviews_{Movies_and_TV,CDs_and_Vinyl,Books}_5.json.gz
      the 5-core files of the Amazon reviews of 2014 that the README of
      github.com/easezyc/WSDM2022-PTUPCDR names (http://jmcauley.ucsd.edu/data/amazon/links.html),
      or what its preprocessing makes of them: ptupcdr/mid/{Movies_and_TV,CDs_and_Vinyl,Books}.csv
  cdrib/dataset/{cd_movie,movie_cd,cell_electronic,electronic_cell,cloth_sport,sport_cloth,
      game_video,video_game}/{train,valid,test}.txt
      the folder dataset of github.com/cjx96/CDRIB
  unicdr/datasets/dual-user-inter/dataset/{the same folders}/{train,valid,test}.txt
      the archive that the README of github.com/cjx96/UniCDR links, unpacked; read where
      cdrib/dataset has not both folders of a pair
"""


class NotPlacedError(FileNotFoundError):
    """Data that has to be placed by hand is not there."""


def read_amazon(data: Path, name: str) -> Interactions:
    """Ratings of a category, from the reviews or from the table made of them."""
    reviews = data / "ptupcdr" / "raw" / f"reviews_{name}_5.json.gz"
    table = data / "ptupcdr" / "mid" / f"{name}.csv"
    if table.exists():
        frame = pl.read_csv(table, schema_overrides={"uid": pl.String, "iid": pl.String})
        missing = {"uid", "iid", "y"} - set(frame.columns)
        if missing:
            raise ValueError(f"{table} must have columns uid, iid and y, got {frame.columns}")
    elif reviews.exists():
        frame = pl.DataFrame(_rated(reviews), schema=["uid", "iid", "y"], orient="row")
    else:
        raise NotPlacedError(f"neither {reviews} nor {table} is there")
    return Interactions.from_frame(frame, user="uid", item="iid", weight="y")


def _rated(reviews: Path) -> Iterator[tuple[str, str, float]]:
    with gzip.open(reviews, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                review = json.loads(line)
                yield review["reviewerID"], review["asin"], float(review["overall"])
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(
                    f"line {number} of {reviews} must be a JSON object with reviewerID, asin and "
                    f"overall ({error!r}): get the file again"
                ) from None


def cdrib_root(data: Path, pair: str) -> Path:
    """The first folder in which both directions of a pair lie."""
    first, second = CDRIB_PAIRS[pair]
    names = [
        f"{a}_{b}/{part}.txt" for a, b in ((first, second), (second, first)) for part in _PARTS
    ]
    for root in CDRIB_ROOTS:
        if all((data / root / name).exists() for name in names):
            return data / root
    raise NotPlacedError(
        f"no {' and no '.join(str(data / root / names[0]) for root in CDRIB_ROOTS)}"
    )


_PARTS = ("train", "valid", "test")


def read_cdrib(root: Path, first: str, second: str) -> tuple[ColdPeople, ColdPeople]:
    """From `first` to `second`, and back; ``FIRST_SECOND`` holds what is of `first`.

    Users in both catalogs have the same number in both folders, and come before all others: those
    that are held out in either are among them, the last one in one of them. From there on a number
    is somebody else in each folder.
    """
    logs = {
        (name, part): _read_pairs(root / folder / f"{part}.txt")
        for name, folder in ((first, f"{first}_{second}"), (second, f"{second}_{first}"))
        for part in _PARTS
    }
    held = [logs[name, part][:, 0] for name in (first, second) for part in ("valid", "test")]
    shared = 1 + max(int(users.max(initial=-1)) for users in held)
    trains = {name: _catalog(logs[name, "train"], shared, name) for name in (first, second)}
    return (
        _direction(trains[first], trains[second], logs[second, "valid"], logs[second, "test"]),
        _direction(trains[second], trains[first], logs[first, "valid"], logs[first, "test"]),
    )


def _read_pairs(path: Path) -> NDArray[np.int64]:
    """Users and items (n, 2) of a text file with a tab between them."""
    rows: list[tuple[int, int]] = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        fields = line.split("\t")
        if len(fields) != 2 or not all(field.strip().isdigit() for field in fields):
            raise ValueError(
                f"line {number} of {path} must be two whole numbers with a tab between them, "
                f"got {line!r}"
            )
        rows.append((int(fields[0]), int(fields[1])))
    return np.array(rows, np.int64).reshape(-1, 2)


def _catalog(pairs: NDArray[np.int64], shared: int, name: str) -> Interactions:
    users = Vocabulary(_names(np.unique(pairs[:, 0]), shared, name))
    items = Vocabulary(np.unique(pairs[:, 1]).tolist())
    rows = users.rows(_names(pairs[:, 0], shared, name))
    cells = rows, items.rows(pairs[:, 1])
    matrix = sp.csr_matrix((np.ones(len(pairs)), cells), shape=(len(users), len(items)))
    return Interactions.from_csr(matrix.minimum(1), users=users, items=items)


def _names(users: Iterable[int], shared: int, name: str) -> list[str]:
    """Ids that are the same in both catalogs for shared users only."""
    return [f"{user}" if user < shared else f"{name} {user}" for user in users]


def _direction(
    source: Interactions,
    train: Interactions,
    valid: NDArray[np.int64],
    test: NDArray[np.int64],
) -> ColdPeople:
    both = np.concatenate([valid, test])
    numbers, person = np.unique(both[:, 0], return_inverse=True)
    column = train.items.rows(both[:, 1], missing="mask")
    tested = np.arange(len(both)) >= len(valid)
    ids: Any = np.array([str(number) for number in numbers])
    return cold_people(source, train, ids, person.astype(np.int64), column, tested)
