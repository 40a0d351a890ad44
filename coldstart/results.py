"""Results of an evaluation: plain rows, which `results.json` holds."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from coldstart.errors import ArtefactError
from coldstart.protocols import Drawn

__all__ = ["PEOPLE", "SPLIT", "Comparison", "Results", "Row", "replaced", "write_json"]

SCHEMA = 1
PEOPLE = "people.parquet"
SPLIT = "split.parquet"
SAMPLED = "biased: sampled negatives, only to set a number beside published tables"
TWO_SEEDS = (
    "warning: two seeds say next to nothing of how seeds differ, so intervals may be absurdly "
    "wide, or too narrow: take three at least, better five"
)
PARTS = ("findings", "gate", "hygiene", "examples", "mixed", "trials")


@dataclass(frozen=True)
class Row:
    """Mean of one metric over people, for one arm and number of shots, with its interval; `level`
    is that of protocols with several conditions.
    """

    arm: str
    shots: int
    metric: str
    n: int
    mean: float
    ci_low: float
    ci_high: float
    users: int
    level: float | None = None


@dataclass(frozen=True)
class Comparison:
    """Paired difference of an arm to the best arm without a source, with interval and p values.

    `p` is that of the sign-flip test, `p_holm` corrected over the arms compared at these shots in
    this metric. `ratio` is that of the two means with its own interval, `effect` the difference in
    standard deviations of the people's differences.
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
    ratio: float = math.nan
    ratio_low: float = math.nan
    ratio_high: float = math.nan
    effect: float = math.nan
    level: float | None = None


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
    findings : dict or None
        The figures that decide, on one fixed truth; None where there is nothing to compare.
    gate : dict or None
        What the gate of arm "auto" decided.
    hygiene : list of dict
        What looks wrong with the data, or does not.
    examples : list of dict
        Lists of a few people.
    mixed : dict or None
        New and known in the same lists, of protocol "mixed".
    trials : dict of str to dict
        For every arm its search space and every trial.
    people : dict of str to array, or None
        Every metric of every person, a line for each arm, number of shots and truth; not read back
        by `load`.
    drawn : Drawn or None
        The splits; not read back by `load` either.
    """

    config: Mapping[str, Any]
    rows: tuple[Row, ...]
    comparisons: tuple[Comparison, ...]
    timings: Mapping[str, Any]
    findings: Mapping[str, Any] | None = None
    gate: Mapping[str, Any] | None = None
    hygiene: Sequence[Mapping[str, Any]] = ()
    examples: Sequence[Mapping[str, Any]] = ()
    mixed: Mapping[str, Any] | None = None
    trials: Mapping[str, Any] = field(default_factory=dict)
    people: Mapping[str, Any] | None = field(default=None, repr=False)
    drawn: Drawn | None = field(default=None, repr=False)

    def to_json(self) -> dict[str, Any]:
        """The content of ``results.json``; NaN is None."""
        return {
            "schema": SCHEMA,
            "config": _plain(self.config),
            "rows": [_plain(_told(row)) for row in self.rows],
            "comparisons": [_plain(_told(row)) for row in self.comparisons],
            "timings": _plain(self.timings),
            **{name: _plain(getattr(self, name)) for name in PARTS},
        }

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write ``results.json`` into `folder`, which is made, and what was just measured beside
        it: ``people.parquet`` and ``split.parquet``. An older file is replaced at once, or not at
        all.
        """
        path = write_json(self.to_json(), folder, "results.json")
        if self.people is not None:
            write_people(self.people, path.with_name(PEOPLE))
        if self.drawn is not None:
            with replaced(path.with_name(SPLIT)) as unfinished:
                self.drawn.save(unfinished)
        return path

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
            parts = {name: values[name] for name in PARTS if name in values}
            return cls(values["config"], rows, comparisons, values["timings"], **parts)
        except KeyError as error:
            raise ArtefactError(f"{path} holds no results: it lacks {error}") from None
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise ArtefactError(f"cannot read results from {path}: {error}") from None

    def value(
        self, arm: str, shots: int, metric: str | None = None, *, level: float | None = None
    ) -> Row:
        """The row of one arm, number of shots and metric (the main one by default), and of the
        level where there are several (the last one by default).
        """
        levels = self.levels()
        at = levels[-1] if level is None and levels else level
        wanted = arm, shots, metric or self.config["metric"]
        rows = {(row.arm, row.shots, row.metric): row for row in self.rows if row.level == at}
        if wanted not in rows:
            known = (", ".join(map(str, dict.fromkeys(part))) for part in zip(*rows, strict=True))
            raise ValueError(f"no row for {wanted}: known are {'; '.join(known)}")
        return rows[wanted]

    def levels(self) -> list[float]:
        """Of protocols with several conditions, in their order."""
        return list(dict.fromkeys(row.level for row in self.rows if row.level is not None))

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

    @property
    def test(self) -> str:
        """What p values are of."""
        several = len(self.config.get("seeds", [])) > 1
        return "Student's t over people and seeds" if several else "sign flips"

    def warnings(self) -> list[str]:
        """What has to be said beside every figure: that sampled ones are biased, and what looks
        wrong with the data.
        """
        marks = [SAMPLED] if self.config.get("protocol") == "sampled" else []
        if len(self.config.get("seeds", [])) == 2:
            marks.append(TWO_SEEDS)
        return marks + [
            f"warning: {check['text']}" for check in self.hygiene if check["level"] == "warning"
        ]

    def unavailable(self) -> list[str]:
        """A sentence for every arm that these catalogs leave without an answer."""
        missing = self.config.get("unavailable", {})
        return [f"{arm} is not available: {why}" for arm, why in missing.items()]

    def __str__(self) -> str:
        marks = [SAMPLED] if self.config.get("protocol") == "sampled" else []
        return "\n".join([*marks, self.table(), *self.unavailable()])


def _told(row: Row | Comparison) -> dict[str, Any]:
    """A row without a level that it does not have."""
    values = asdict(row)
    if row.level is None:
        del values["level"]
    return values


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


def write_people(columns: Mapping[str, Any], path: Path) -> None:
    """Write the table of people as Parquet; an older one is replaced at once, or not at all."""
    import polars as pl

    with replaced(path) as unfinished:
        pl.DataFrame(columns).write_parquet(unfinished)


def write_json(values: Mapping[str, Any], folder: str | os.PathLike[str], name: str) -> Path:
    """Write the file `name` into `folder`, which is made; an older one is replaced at once, or not
    at all.
    """
    text = json.dumps(values, indent=1, allow_nan=False) + "\n"
    path = Path(folder) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with replaced(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")
    return path


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """A place to write in, which takes the place of `path` when all went well."""
    unfinished = path.with_name(f"{path.name}.unfinished")
    try:
        yield unfinished
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
