"""What protocols drew: splits that are the same for every arm, saved as a table, and read again."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from coldstart.errors import ArtefactError
from coldstart.interactions import Interactions

from .lines import lines_of, split_of
from .named import PROTOCOLS
from .split import Hiding, Split

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Drawn"]

COLUMNS = ("protocol", "split", "part", "row", "column", "place")
Cells = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Drawn:
    """The splits of several protocols.

    Parameters
    ----------
    protocols : sequence of Hiding
    splits : sequence of sequences of Split
        Those of each protocol.
    logs : pair of Interactions
        The whole source and the whole target, whose rows are the mapped side.
    """

    protocols: Sequence[Hiding]
    splits: Sequence[Sequence[Split]]
    logs: tuple[Interactions, Interactions]

    @classmethod
    def of(
        cls,
        protocols: Sequence[Hiding],
        source: Interactions,
        target: Interactions,
        *,
        side: str,
        seeds: Sequence[int],
    ) -> Drawn:
        """Draw the splits of every protocol with every seed.

        Of protocols that come to the same level, such as more anchors than there are, the first is
        taken.
        """
        splits = [
            [split for seed in seeds for split in one.splits(source, target, side=side, seed=seed)]
            for one in protocols
        ]
        levels = [made[0].level for made in splits]
        first = [k for k, level in enumerate(levels) if level is None or level not in levels[:k]]
        return cls([protocols[k] for k in first], [splits[k] for k in first], (source, target))

    @cached_property
    def table(self) -> pl.DataFrame:
        """One line for each interaction that is not simply there to be fitted, and for each person.

        Columns are `protocol` and `split`, numbers; `part`, what the line says; `row` and `column`,
        ids as text; and `place`, such as the order in which interactions come back.
        """
        import polars as pl

        lines = [
            {"protocol": number, "split": place, **line}
            for number, splits in enumerate(self.splits)
            for place, split in enumerate(splits)
            for line in lines_of(split, *self.logs)
        ]
        parts = {
            name: np.concatenate(
                [np.broadcast_to(line[name], len(line["place"])) for line in lines]
            )
            for name in COLUMNS
        }
        return pl.DataFrame(parts).sort("protocol", "split", "part", maintain_order=True)

    @cached_property
    def sha256(self) -> str:
        """Of the table as text, and of the protocols."""
        digest = hashlib.sha256(self.table.write_csv().encode())
        digest.update(self._header().encode())
        return digest.hexdigest()

    def _header(self) -> str:
        """Protocols and what else is no interaction."""
        return json.dumps(
            [
                {
                    "name": one.name,
                    "settings": vars(one),
                    "splits": [
                        {
                            "eligible": split.eligible,
                            "level": split.level,
                            "seed": split.seed,
                            "timed": split.train.timestamps is not None,
                        }
                        for split in splits
                    ],
                }
                for one, splits in zip(self.protocols, self.splits, strict=True)
            ]
        )

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the table as Parquet, with a first line for protocols and hash."""
        import polars as pl

        told = {"sha256": self.sha256, "protocols": self._header()}
        head = pl.DataFrame(
            {"protocol": -1, "split": -1, "part": list(told), "row": list(told.values())}
        )
        whole = pl.concat([head, self.table], how="diagonal_relaxed")
        whole.write_parquet(Path(path))
        return Path(path)

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], source: Interactions, target: Interactions
    ) -> Drawn:
        """Read what `save` wrote, for the same logs, whose rows are the mapped side.

        Raises
        ------
        ArtefactError
            When the file is none, or the splits it makes of these logs have another hash.
        """
        import polars as pl

        try:
            whole = pl.read_parquet(Path(path))
            told = dict(whole.filter(pl.col("protocol") < 0).select("part", "row").iter_rows())
            header = json.loads(told["protocols"])
            table = whole.filter(pl.col("protocol") >= 0)
            protocols = [PROTOCOLS[one["name"]](**one["settings"]) for one in header]
            splits = [
                [
                    split_of(table.filter(protocol=number, split=place), about, source, target)
                    for place, about in enumerate(one["splits"])
                ]
                for number, one in enumerate(header)
            ]
        except (pl.exceptions.PolarsError, OSError, KeyError, TypeError, ValueError) as error:
            raise ArtefactError(
                f"{path} holds no splits of these catalogs: {error}; take split.parquet of a run "
                "on the same two logs"
            ) from None
        found = cls(protocols, splits, (source, target))
        if found.sha256 != told["sha256"]:
            raise ArtefactError(
                f"the splits of {path} have the hash {told['sha256'][:12]}, but with these logs it "
                f"is {found.sha256[:12]}: pass the logs that it was made of"
            )
        return found
