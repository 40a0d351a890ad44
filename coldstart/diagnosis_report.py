"""What a diagnosis found, in words and numbers."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Literal

from coldstart.agreement import Agreement
from coldstart.hygiene import Check
from coldstart.map_evidence import Evidence
from coldstart.overlap import Coverage
from coldstart.shift import Shift
from coldstart.similarity import Alignment, Canonical
from coldstart.twins import Twins
from coldstart.verdict import Verdict

__all__ = ["Diagnosis", "Side"]

Side = Literal["users", "items"]

SCHEMA = 1

_OTHER = {"users": "items", "items": "users"}


@dataclass(frozen=True, repr=False)
class Diagnosis:
    """What `diagnose` found; ``print`` it for sentences, `to_json` for plain values.

    A part is None where it could not be measured, mostly because too few rows are there.

    Attributes
    ----------
    side : {"users", "items"}
    factors, seed : int
    anchors : int
    source, target : Coverage
        How much of each catalog the anchors are.
    source_shift, target_shift : Shift or None
        How anchors differ from the other rows of their catalog.
    canonical : Canonical or None
    cka : Alignment or None
    evidence : Evidence or None
    source_popularity, target_popularity : Agreement or None
        Between anchors and the others, over columns.
    common_popularity : Agreement or None
        Between both catalogs, over columns with the same id.
    twins : Twins
    verdict : Verdict
        Whether crossing is likely to pay, why, and what held-out people gained.
    checks : tuple of Check
        Of the data: twins, repeated pairs, ids, times, overlap, and the number of held-out people.
    """

    side: Side
    factors: int
    seed: int
    anchors: int
    source: Coverage
    target: Coverage
    source_shift: Shift | None
    target_shift: Shift | None
    canonical: Canonical | None
    cka: Alignment | None
    evidence: Evidence | None
    source_popularity: Agreement | None
    target_popularity: Agreement | None
    common_popularity: Agreement | None
    twins: Twins
    verdict: Verdict
    checks: tuple[Check, ...]

    @property
    def warnings(self) -> tuple[str, ...]:
        """The sentences of the checks that are warnings."""
        return tuple(check.text for check in self.checks if check.level == "warning")

    def to_json(self) -> dict[str, Any]:
        """Plain values; NaN is None."""
        values = {"schema": SCHEMA, **asdict(self), "warnings": list(self.warnings)}
        plain: dict[str, Any] = json.loads(json.dumps(values), parse_constant=lambda _: None)
        return plain

    def __str__(self) -> str:
        few, columns = "too few rows to tell", _OTHER[self.side]
        beside = _beside(self.source, self.side), _beside(self.target, self.side)
        lines = [
            str(self.verdict),
            f"Anchors: {self.anchors} {self.side} are in both catalogs.",
            f"  Of the source: {self.source.described(self.side)}.",
            f"  Of the target: {self.target.described(self.side)}.",
            f"Anchors against the other {self.side}:",
            f"  In the source: {self.source_shift or beside[0]}.",
            f"  In the target: {self.target_shift or beside[1]}.",
            f"  Popularity of {columns} in the source: {self.source_popularity or beside[0]}.",
            f"  Popularity of {columns} in the target: {self.target_popularity or beside[1]}.",
            "Source against target embeddings of the anchors (hints, which decide nothing):",
            f"  Canonical correlations: {self.canonical or few}.",
            f"  Alignment: {self.cka or few}.",
            f"  Linear map: {self.evidence or few}.",
            f"{columns.capitalize()} of both catalogs:",
            f"  Twins: {self.twins}.",
        ]
        if self.common_popularity is not None:
            lines.append(f"  Popularity of those with the same id: {self.common_popularity}.")
        return "\n".join([*lines, *self._told("warning"), *self._told("note")])

    def _told(self, level: str) -> list[str]:
        return [
            f"{level.capitalize()}: {check.text}" for check in self.checks if check.level == level
        ]

    def __repr__(self) -> str:
        gains = ", ".join(f"{gain.mean:+.4f}" for gain in self.verdict.gains) or "unknown"
        return (
            f"Diagnosis({self.verdict.answer}, gains {gains}, {self.anchors} anchors, "
            f"{self.twins.pairs} twins)"
        )


def _beside(coverage: Coverage, side: Side) -> str:
    """Why anchors were not compared with the others."""
    rest = coverage.rows - coverage.anchors
    return f"{rest} others are too few to tell" if rest else f"all {side} are anchors"
