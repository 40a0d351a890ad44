"""One run of an evaluation as a report reads it: whatever older files lack is empty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from coldstart.report.wording import count, percent
from coldstart.results import SAMPLED

__all__ = ["Run", "at_first", "part", "parts"]

_METRICS = {
    "average_precision": "average precision",
    "f1": "F1",
    "hit_rate": "hit rate",
    "mrr": "MRR",
    "ndcg": "NDCG",
    "popularity_bias": "popularity bias",
    "r_precision": "R-precision",
    "rbp": "RBP",
}


def part(values: Any, name: str) -> dict[str, Any]:
    """The object `name` in `values`; empty where there is none."""
    found = values.get(name) if isinstance(values, Mapping) else None
    return dict(found) if isinstance(found, Mapping) else {}


def parts(values: Any, name: str) -> list[dict[str, Any]]:
    """The objects in the list `name` in `values`; none where there is no list."""
    found = values.get(name) if isinstance(values, Mapping) else None
    if not isinstance(found, Sequence) or isinstance(found, str):
        return []
    return [dict(one) for one in found if isinstance(one, Mapping)]


def at_first(rows: Sequence[Mapping[str, Any]]) -> tuple[Any, list[Mapping[str, Any]]]:
    """The fewest shots of some rows, and those that have them."""
    first = min((row["shots"] for row in rows if row.get("shots") is not None), default=None)
    return first, [row for row in rows if row.get("shots") == first]


@dataclass(frozen=True)
class Run:
    """The content of a ``results.json``."""

    values: Mapping[str, Any]

    @property
    def config(self) -> dict[str, Any]:
        """Settings, sizes and versions."""
        return part(self.values, "config")

    @property
    def findings(self) -> dict[str, Any]:
        """What was found on one fixed truth; empty where nothing was."""
        return part(self.values, "findings")

    @property
    def n(self) -> Any:
        """Length of the lists."""
        return self.findings.get("n", self.config.get("n", "n"))

    @property
    def metric(self) -> str:
        """Such as NDCG@10."""
        return self.told(self.metric_name)

    @property
    def metric_name(self) -> str:
        """Such as ndcg."""
        return str(self.findings.get("metric") or self.config.get("metric") or "ndcg")

    def told(self, metric: str) -> str:
        """A metric as the field writes it."""
        return f"{_METRICS.get(metric, metric)}@{self.n}"

    @property
    def people(self) -> str:
        """Who is held out: people or items."""
        return "items" if self.config.get("side") == "items" else "people"

    @property
    def protocol(self) -> str:
        """Such as cold."""
        return str(self.config.get("protocol") or "cold")

    @property
    def biased(self) -> str:
        """What to say beside every figure; empty unless negatives were sampled."""
        return SAMPLED if self.protocol == "sampled" else ""

    @property
    def shots(self) -> list[int]:
        """The numbers of shots of the findings, or else of the run."""
        found = self.findings.get("shots") or self.config.get("shots") or []
        return [k for k in found if isinstance(k, int)]

    @property
    def arm(self) -> str:
        """The arm that the findings are about; empty where there are none."""
        return str(self.findings.get("arm") or "")

    def baseline(self, shots: int) -> str:
        """The best arm without a source at so many shots; empty where it is not known."""
        return str(part(self.findings, "baseline").get(str(shots)) or "")

    @property
    def arms(self) -> list[str]:
        """Every arm, in the order in which they were asked for."""
        named = [str(one) for one in self.config.get("arms") or []]
        return named or list(dict.fromkeys(str(row.get("arm")) for row in self.rows))

    def uses_source(self, arm: str) -> bool:
        """Whether an arm learns from the source."""
        return bool(part(self.config, "uses_source").get(arm))

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Means of every arm, number of shots and metric."""
        return parts(self.values, "rows")

    def rows_of(self, metric: str) -> list[dict[str, Any]]:
        """Means in one metric, of levels those of the last."""
        found = [row for row in self.rows if row.get("metric") == metric]
        levels = [row["level"] for row in found if row.get("level") is not None]
        return [row for row in found if row.get("level") in (None, max(levels, default=None))]

    @property
    def comparisons(self) -> list[dict[str, Any]]:
        """Every arm against the best one without a source."""
        return parts(self.values, "comparisons")

    def gain(self, shots: int) -> dict[str, Any]:
        """What the arm of the findings gains at so many shots."""
        return next((row for row in parts(self.findings, "gains") if row.get("shots") == shots), {})

    def mean(self, arm: str, shots: int) -> Any:
        """Mean of an arm on the fixed truth; None where it was not measured."""
        found = (row for row in parts(self.findings, "curve") if row.get("arm") == arm)
        return next((row.get("mean") for row in found if row.get("shots") == shots), None)

    @property
    def catalogs(self) -> tuple[str, str]:
        """What source and target are called."""
        source, target = [*(self.config.get("names") or []), "", ""][:2]
        return str(source or "the source"), str(target or "the target")

    @property
    def subject(self) -> str:
        """Such as Food → Kitchen."""
        if self.catalogs != ("the source", "the target"):
            return " → ".join(self.catalogs)
        files = part(self.config, "files")
        synthetic = files and not any(files.values())
        return "synthetic catalogs" if synthetic else "source → target"

    @property
    def levels(self) -> list[Any]:
        """Shares of the target log, or numbers of anchors, that were tried."""
        return list(self.config.get("levels") or [])

    def level_told(self, level: Any) -> str:
        """A share of the log in percent, or a number of anchors."""
        return count(level) if self.protocol == "anchors" else percent(level, 0)

    def level_label(self, level: Any) -> str:
        """Such as: with 5% of the target log."""
        what = "anchors" if self.protocol == "anchors" else "of the target log"
        return f"with {self.level_told(level)} {what}"

    def at_level(self, place: int) -> str:
        """A level in words, with a comma before; empty where none were tried. The first is that of
        the findings, which may be another.
        """
        if not self.levels:
            return ""
        known = self.findings.get("level")
        level = self.levels[place] if place or known is None else known
        return f", {self.level_label(level)}"

    @property
    def tested(self) -> str:
        """How many were tested, such as 1,200 people."""
        users = self.findings.get("users", self.config.get("test"))
        return f"{count(users)} {self.people}"

    @property
    def seeds(self) -> int:
        """How many seeds were run."""
        return len(self.config.get("seeds") or [None])
