"""Ranked lists for many ids: who asks and with what history, read from files, and the answers."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

import typer

from coldstart.errors import ColdstartError, UnknownIdError

if TYPE_CHECKING:
    import polars as pl

    from coldstart.asked import AskedIds
    from coldstart.interactions import Interactions
    from coldstart.vocabulary import Vocabulary
    from coldstart.warmstart import WarmStart

__all__ = ["Lists", "check_place", "histories", "told"]

Side = Literal["users", "items"]


def check_place(path: Path, ids: Path) -> None:
    """Fail where lists cannot have this name, or would take that of the file of `ids`."""
    from coldstart.asked import JSON_LINES, SEPARATORS

    if path.suffix.lower() not in (*SEPARATORS, *JSON_LINES, ".parquet"):
        raise ValueError(
            f"--out: expected a file ending in .csv, .tsv, .parquet, .jsonl or .ndjson, got {path}"
        )
    if path.exists() and ids.exists() and path.samefile(ids):
        raise ValueError(f"--out: {path} is the file of --ids, choose another")
    if path.is_dir():
        raise ColdstartError(f"cannot write {path}: there is a folder of that name")


def histories(log: Interactions, query: Vocabulary, catalog: Vocabulary) -> dict[Any, list[Any]]:
    """The interactions of each id of the query side."""
    from coldstart.asked import as_in

    rows, columns = as_in(query, list(log.users)), as_in(catalog, list(log.items))
    limits = log.user_items.indptr
    return {
        row: [columns[place] for place in log.user_items.indices[begin:end]]
        for row, begin, end in zip(rows, limits[:-1], limits[1:], strict=True)
    }


def told(
    asked: AskedIds,
    histories: Mapping[Any, list[Any]],
    catalog: Vocabulary,
    missing: str,
    *,
    log: object = None,
) -> dict[Any, list[Any]]:
    """Look through all that is asked for before anything is served: the histories of those ids.

    Unknown ids without a history, and unknown items in one, are an error or a note; histories of
    others, which are read from `log`, are left out with a note.
    """
    from coldstart.asked import naming

    history: dict[Any, list[Any]] = {}
    unknown, example, total = 0, None, 0
    for block in asked:
        total += len(block)
        history |= {key: histories[key] for key in block if key in histories}
        strangers = [key for key in block if key not in asked.known and not histories.get(key)]
        unknown, example = unknown + len(strangers), example or next(iter(strangers), None)
    with naming(asked.path):
        _report_unknown(unknown, example, total, "are served what is popular", missing)
    if len(history) < len(histories):
        _note(f"history of {len(histories) - len(history)} ids left out: they are not asked for")
    others = {other for listed in history.values() for other in listed}
    absent = sorted(other for other in others if other not in catalog)
    example = absent[0] if absent else None
    with naming(log):
        _report_unknown(len(absent), example, len(others), "are left out of the history", missing)
    return history


def _note(text: str) -> None:
    typer.echo(text, err=True)


def _report_unknown(unknown: int, example: Any, total: int, otherwise: str, missing: str) -> None:
    if not unknown:
        return
    count = f"{unknown} of {total} ids unknown to the model, such as {example!r}"
    if missing == "raise":
        raise UnknownIdError(f"{count}: take them out, or pass --missing popular")
    _note(f"{count}: they {otherwise}")


@dataclass(frozen=True)
class Lists:
    """Ranked lists of many ids, made block by block; `sides` is what comes in and what goes out."""

    warm: WarmStart
    sides: tuple[Side, Side]
    asked: Iterable[list[Any]]
    history: Mapping[Any, list[Any]]
    n: int
    missing: Literal["raise", "popular"]

    def __iter__(self) -> Iterator[pl.DataFrame]:
        from tqdm import tqdm

        answer = self.warm.recommend if self.sides[0] == "users" else self.warm.audience
        for block in tqdm(self.asked, desc="blocks of ids", disable=not sys.stderr.isatty()):
            told = {key: self.history[key] for key in block if key in self.history}
            yield self._frame(block, *answer(block, self.n, history=told, missing=self.missing))

    def _frame(self, block: Sequence[Any], found: Any, scores: Any) -> pl.DataFrame:
        """One row for each place of each list, without padding."""
        import numpy as np
        import polars as pl

        kinds = {"int": pl.Int64, "str": pl.String}
        ids, others = (kinds[self.warm.ids(side).kind] for side in self.sides)
        lists, places = np.nonzero(scores > -np.inf)
        asked, given = (side.removesuffix("s") for side in self.sides)
        return pl.DataFrame(
            {
                asked: pl.Series([block[row] for row in lists.tolist()], dtype=ids),
                "rank": pl.Series(places + 1, dtype=pl.Int32),
                given: pl.Series(found[lists, places].tolist(), dtype=others),
                "score": pl.Series(scores[lists, places], dtype=pl.Float32),
            }
        )

    def write(self, path: Path | None) -> None:
        """Write a file, which gets its name when it is whole; CSV on stdout without one."""
        from polars.exceptions import PolarsError

        if path is None:
            self._write_text(sys.stdout.buffer, ",")
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with TemporaryDirectory(dir=path.parent, prefix=".coldstart-") as folder:
                whole = Path(folder, "whole")
                self._write_whole(whole, path.suffix.lower())
                os.replace(whole, path)
        except (OSError, PolarsError) as error:
            raise ColdstartError(f"cannot write {path}: {error}") from None

    def _write_whole(self, path: Path, suffix: str) -> None:
        from coldstart.asked import JSON_LINES, SEPARATORS

        if suffix == ".parquet":
            self._write_parquet(path)
            return
        with path.open("wb") as file:
            if suffix in JSON_LINES:
                self._write_json(file)
            else:
                self._write_text(file, SEPARATORS[suffix])

    def _write_text(self, file: BinaryIO, separator: str) -> None:
        for number, frame in enumerate(self):
            text = frame.write_csv(include_header=number == 0, separator=separator)
            file.write(text.encode())
        file.flush()

    def _write_json(self, file: BinaryIO) -> None:
        for frame in self:
            file.write(frame.write_ndjson().encode())

    def _write_parquet(self, path: Path) -> None:
        import polars as pl

        parts = []
        for number, frame in enumerate(self):
            parts.append(path.with_name(f"{number}.parquet"))
            frame.write_parquet(parts[-1])
        pl.scan_parquet(parts).sink_parquet(path)
