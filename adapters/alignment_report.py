"""How well two catalogs could be aligned without anchors, and whether chance does as well."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["AlignmentReport"]

STABLE = 0.5  # mean cosine of what two searches make of a row, below which nothing was found


@dataclass(frozen=True)
class AlignmentReport:
    """How well two catalogs could be aligned, and whether chance does as well.

    Parameters
    ----------
    source_rows, target_rows : int
        Rows that were considered.
    agreement : float
        Mean cosine of what the alignment brings together.
    chance : tuple of float
        The same of targets whose structure was destroyed.
    level : float
        The p value from which on an alignment is refused.
    stability : float
        Mean cosine of what this search and a second one, from other representatives and starts,
        make of a source row; NaN where it was refused before.
    pairs : int
        Anchors that followed from it; 0 where it was refused.
    """

    source_rows: int
    target_rows: int
    agreement: float
    chance: tuple[float, ...]
    level: float
    stability: float = float("nan")
    pairs: int = 0

    @property
    def p_value(self) -> float:
        """Share of alignments as good without structure, this one counted; NaN without a test."""
        if not self.chance:
            return float("nan")
        as_good = sum(value >= self.agreement for value in self.chance)
        return (1 + as_good) / (1 + len(self.chance))

    @property
    def beats_chance(self) -> bool:
        """Whether it is better than chance, or was not tested."""
        return not self.p_value > self.level

    @property
    def accepted(self) -> bool:
        """Whether it beats chance and a second search finds the same, or nobody asked."""
        return not self.chance or (self.beats_chance and self.stability >= STABLE)

    def __str__(self) -> str:
        sizes = f"{self.source_rows} source and {self.target_rows} target rows"
        if not self.chance:
            return (
                f"alignment of {sizes}: agreement {self.agreement:.3f}, not tested against chance"
            )
        again = "" if np.isnan(self.stability) else f", stability {self.stability:.2f}"
        return (
            f"alignment of {sizes}: agreement {self.agreement:.3f}, by chance "
            f"{np.mean(self.chance):.3f} on average and {max(self.chance):.3f} at most in "
            f"{len(self.chance)} trials, p = {self.p_value:.3f}{again}"
        )
