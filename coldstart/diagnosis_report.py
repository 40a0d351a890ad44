"""What a diagnosis found, in words and numbers."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Literal

from coldstart.agreement import Agreement
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
    warnings : tuple of str
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
    warnings: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values; NaN is None."""
        text = json.dumps({"schema": SCHEMA, **asdict(self)})
        values: dict[str, Any] = json.loads(text, parse_constant=lambda _: None)
        return values

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
        return "\n".join([*lines, *(f"Warning: {warning}." for warning in self.warnings)])

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
