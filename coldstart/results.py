"""Results of an evaluation: plain rows, which `results.json` holds."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from coldstart.errors import ArtefactError

__all__ = ["Comparison", "Results", "Row", "write_json"]

SCHEMA = 1


@dataclass(frozen=True)
class Row:
    """Mean of one metric over people, for one arm and number of shots, with its interval."""

    arm: str
    shots: int
    metric: str
    n: int
    mean: float
    ci_low: float
    ci_high: float
    users: int


@dataclass(frozen=True)
class Comparison:
    """Paired difference of an arm to the best arm without a source, with interval and p values.

    `p` is that of the sign-flip test, `p_holm` corrected over the arms compared at these shots in
    this metric.
    """

    arm: str
    baseline: str
    shots: int
    metric: str
    n: int
    difference: float
    ci_low: float
    ci_high: float
    p: float
    p_holm: float
    users: int


@dataclass(frozen=True)
class Results:
    """What `evaluate` returns.

    Attributes
    ----------
    config : dict
        Settings, sizes, versions, what was dropped, and what every arm chose.
    rows : tuple of Row
    comparisons : tuple of Comparison
    timings : dict of str to dict
        Seconds of every arm: ``fit`` (its choices included) and ``predict``. What arms share, such
        as plain ALS of the target, is in those of the first of them.
    """

    config: Mapping[str, Any]
    rows: tuple[Row, ...]
    comparisons: tuple[Comparison, ...]
    timings: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """The content of ``results.json``; NaN is None."""
        return {
            "schema": SCHEMA,
            "config": _plain(self.config),
            "rows": [_plain(asdict(row)) for row in self.rows],
            "comparisons": [_plain(asdict(row)) for row in self.comparisons],
            "timings": _plain(self.timings),
        }

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write ``results.json`` into `folder`, which is made; an older file is replaced at once,
        or not at all.
        """
        return write_json(self.to_json(), folder, "results.json")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Results:
        """Read a ``results.json``.

        Raises
        ------
        ArtefactError
            When there is none, or it is damaged or of another schema.
        """
        try:
            values = json.loads(Path(path).read_text(encoding="utf-8"))
            if values["schema"] != SCHEMA:
                raise ArtefactError(
                    f"{path} has schema {values['schema']}, this version of coldstart reads "
                    f"{SCHEMA}: take the version that wrote it"
                )
            rows = tuple(Row(**_numbers(row)) for row in values["rows"])
            comparisons = tuple(Comparison(**_numbers(row)) for row in values["comparisons"])
            return cls(values["config"], rows, comparisons, values["timings"])
        except KeyError as error:
            raise ArtefactError(f"{path} holds no results: it lacks {error}") from None
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise ArtefactError(f"cannot read results from {path}: {error}") from None

    def value(self, arm: str, shots: int, metric: str | None = None) -> Row:
        """The row of one arm, number of shots and metric (the main one by default)."""
        wanted = arm, shots, metric or self.config["metric"]
        rows = {(row.arm, row.shots, row.metric): row for row in self.rows}
        if wanted not in rows:
            known = (", ".join(map(str, dict.fromkeys(part))) for part in zip(*rows, strict=True))
            raise ValueError(f"no row for {wanted}: known are {'; '.join(known)}")
        return rows[wanted]

    def table(self, metric: str | None = None) -> str:
        """Means in percent with their intervals, one line per arm."""
        metric = metric or self.config["metric"]
        arms = list(dict.fromkeys(row.arm for row in self.rows))
        shots = sorted({row.shots for row in self.rows})
        columns = ["1 shot" if k == 1 else f"{k} shots" for k in shots]
        cells = [[f"{metric}@{self.config['n']} in %", *columns]]
        for arm in arms:
            found = [self.value(arm, k, metric) for k in shots]
            cells.append([arm, *(_cell(row) for row in found)])
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
            for line in cells
        )

    def unavailable(self) -> list[str]:
        """A sentence for every arm that these catalogs leave without an answer."""
        missing = self.config.get("unavailable", {})
        return [f"{arm} is not available: {why}" for arm, why in missing.items()]

    def __str__(self) -> str:
        return "\n".join([self.table(), *self.unavailable()])


def _cell(row: Row) -> str:
    text = f"{100 * row.mean:.2f}"
    if math.isfinite(row.ci_low):
        text += f" [{100 * row.ci_low:.2f}, {100 * row.ci_high:.2f}]"
    return text


def _plain(value: Any) -> Any:
    """NaN and infinity as None, tuples and arrays as lists, keys as strings."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _numbers(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: math.nan if value is None else value for key, value in row.items()}


def write_json(values: Mapping[str, Any], folder: str | os.PathLike[str], name: str) -> Path:
    """Write the file `name` into `folder`, which is made; an older one is replaced at once, or not
    at all.
    """
    text = json.dumps(values, indent=1, allow_nan=False) + "\n"
    path = Path(folder) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{name}.unfinished")
    try:
        unfinished.write_text(text, encoding="utf-8")
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
    return path
