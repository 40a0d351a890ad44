"""Two evaluations side by side: the same people, arm by arm."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from coldstart.errors import ArtefactError
from coldstart.intervals import interval
from coldstart.metrics import metric as metric_named
from coldstart.results import PEOPLE, SAMPLED, Results
from coldstart.seeds import two_level
from coldstart.statistics import holm, sign_flip_p

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Pair", "SideBySide", "compare"]

KEYS = ("person", "seed", "level")
DIFFER = ("side", "protocol", "n", "source", "target")  # settings that should be the same


@dataclass(frozen=True)
class Pair:
    """One arm at one number of shots in both runs: means over the people of both, and the second
    less the first with its 95% limits, p of paired randomisation, and p corrected over all pairs.
    """

    arm: str
    shots: int
    first: float
    second: float
    difference: float
    ci_low: float
    ci_high: float
    p: float
    p_holm: float
    users: int
    level: float | None = None


@dataclass(frozen=True)
class SideBySide:
    """What `compare` returns.

    Attributes
    ----------
    metric : str
        With the length of the lists.
    pairs : tuple of Pair
    people : tuple of int
        How many were tested in the first run, in the second, and in both.
    notes : tuple of str
        What else differs between the runs.
    verdicts : pair of str
        Of each run, in its sentence.
    """

    metric: str
    pairs: tuple[Pair, ...]
    people: tuple[int, int, int]
    notes: tuple[str, ...]
    verdicts: tuple[str, str]

    def to_json(self) -> dict[str, Any]:
        """Plain values; NaN is None."""
        pairs = [
            {key: None if value != value else value for key, value in asdict(pair).items()}
            for pair in self.pairs
        ]
        return {**asdict(self), "pairs": pairs}


def compare(
    first: str | os.PathLike[str], second: str | os.PathLike[str], *, metric: str | None = None
) -> SideBySide:
    """Set two runs side by side, on people who were tested in both: arms of the same name, and the
    two arms that the verdicts are about where these are others (``"warm:ridge | auto"``).

    Parameters
    ----------
    first, second : path of a ``results.json``
        With ``people.parquet`` beside it, as ``coldstart evaluate --out`` writes both.
    metric : str, optional
        By default that of the first run.

    Raises
    ------
    ArtefactError
        When a file is missing or damaged, or the runs have no arm or no people in common.
    """
    runs = [Results.load(path) for path in (first, second)]
    name = metric or runs[0].config["metric"]
    metric_named(name)
    tables = [_people(path, name) for path in (first, second)]
    heads = [run.findings["arm"] if run.findings else None for run in runs]
    both = _joined(tables[0], tables[1], heads[0], heads[1])
    if both.is_empty():
        raise ArtefactError(
            f"{first} and {second} have no people with the same arm and number of shots in common: "
            "compare runs on the same catalogs with the same seed"
        )
    pairs = _corrected(list(_pairs(both, name, int(runs[0].config["seed"]))))
    one, other, common = (table["person"].n_unique() for table in (*tables, both))
    n = runs[0].config["n"]
    told = [run.findings["sentence"] if run.findings else "no verdict" for run in runs]
    return SideBySide(
        f"{name}@{n}", tuple(pairs), (one, other, common), tuple(_notes(*runs)), (told[0], told[1])
    )


def _joined(
    one: pl.DataFrame, other: pl.DataFrame, first: str | None, second: str | None
) -> pl.DataFrame:
    """The values of both runs beside each other: of arms with the same name, and of those that the
    verdicts are about, where these differ.
    """
    import polars as pl

    on = [*KEYS, "arm", "shots"]
    both = one.join(other, on=on, suffix="_2", nulls_equal=True)
    if first is None or second is None or first == second:
        return both
    named = pl.lit(f"{first} | {second}").alias("arm")
    theirs = (t.filter(arm=a).with_columns(named) for t, a in ((one, first), (other, second)))
    mine, yours = theirs
    return pl.concat([both, mine.join(yours, on=on, suffix="_2", nulls_equal=True)])


def _people(path: str | os.PathLike[str], metric: str) -> pl.DataFrame:
    """One metric of all people on what was left to find."""
    import polars as pl

    file = Path(path).with_name(PEOPLE)
    try:
        whole = pl.read_parquet(file, columns=[*KEYS, "arm", "shots", "truth", metric])
    except (OSError, pl.exceptions.PolarsError) as error:
        raise ArtefactError(
            f"cannot read people from {file}: {error}; a paired test needs the file that "
            "coldstart evaluate --out writes beside results.json"
        ) from None
    return whole.filter(pl.col("truth") == "left").drop("truth").fill_nan(None)


def _pairs(both: pl.DataFrame, metric: str, seed: int) -> Iterator[Pair]:
    """Every arm, level and number of shots."""
    for (level, arm, shots), group in both.group_by("level", "arm", "shots", maintain_order=True):
        known = group.drop_nulls([metric, f"{metric}_2"]).sort("seed", "person")
        values = known.select(metric, f"{metric}_2").to_numpy()
        difference = values[:, 1:] - values[:, :1]
        found = _measured(difference, known["person"], known["seed"], seed)
        means = values.mean(axis=0).tolist() if len(values) else [math.nan, math.nan]
        yield Pair(
            arm=str(arm),
            shots=int(shots),
            first=means[0],
            second=means[1],
            **dict(zip(("difference", "ci_low", "ci_high", "p"), found, strict=True)),
            p_holm=math.nan,
            users=len(values),
            level=None if level is None else float(level),
        )


def _measured(
    difference: NDArray[np.float64], people: Any, seeds: Any, seed: int
) -> tuple[float, float, float, float]:
    """Mean, limits and p."""
    if not len(difference):
        return (math.nan,) * 4
    if len(np.unique(seeds)) > 1:
        found = two_level(difference, people.to_numpy(), seeds.to_numpy(), rng=seed)
        mean, low, high, p = (x[0] for x in (found.mean, found.low, found.high, found.p))
        return float(mean), float(low), float(high), float(p)
    low, high = interval(difference, rng=seed)
    p = sign_flip_p(difference, rng=seed)
    return float(difference.mean()), float(low[0]), float(high[0]), float(p[0])


def _corrected(pairs: Sequence[Pair]) -> list[Pair]:
    corrected = holm([pair.p for pair in pairs])
    return [
        Pair(**{**asdict(pair), "p_holm": float(p)})
        for pair, p in zip(pairs, corrected, strict=True)
    ]


def _notes(first: Results, second: Results) -> Iterator[str]:
    """What differs, other than arms, and what is biased."""
    one, other = first.config, second.config
    if "sampled" in (one.get("protocol"), other.get("protocol")):
        yield SAMPLED
    for name in DIFFER:
        if one.get(name) != other.get(name):
            yield f"{name} differs: {_told(one.get(name))} and {_told(other.get(name))}"
    hashes = [config.get("split", {}).get("sha256") for config in (one, other)]
    if hashes[0] != hashes[1]:
        yield "the splits differ: people of both are compared, who may have learned from others"
    missing = set(one["arms"]) ^ set(other["arms"])
    if missing:
        yield f"in one of them only: {', '.join(sorted(missing))}"


def _told(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{key} {item}" for key, item in value.items())
    return str(value)
