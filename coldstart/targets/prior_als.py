"""`PriorALS` as a target: its rows are exact, and its loss is squared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import scipy.sparse as sp
from numpy.typing import NDArray

from coldstart.als import PriorALS
from coldstart.prior import Prior
from coldstart.row_loss import SquaredLoss

from .base import Floats, Side, Trained, plain

__all__ = ["PriorALSTarget", "scaled"]

VARIANTS: tuple[dict[str, float], ...] = ({"factors": 2}, {"alpha": 0.25}, {"regularization": 4})


@dataclass(frozen=True)
class PriorALSTarget:
    """Rows of the mapped side are the users of the model, whichever side that is."""

    model: PriorALS
    side: Side
    upgraded: bool = False

    name: ClassVar[str] = "PriorALS"

    def __str__(self) -> str:
        if not self.upgraded:
            return self.name
        return f"{self.name} with the settings of implicit's ALS, which knows no priors"

    @property
    def regularization(self) -> float:
        """That of the model."""
        return float(self.model.regularization)

    @property
    def width(self) -> int:
        """That of the model."""
        return int(self.model.factors)

    def variants(self) -> Sequence[PriorALSTarget]:
        """Twice as wide, less confident, or held more firmly."""
        return [replace(self, model=scaled(self.model, settings)) for settings in VARIANTS]

    def seeded(self, seed: int, num_threads: int, *, given: bool = False) -> PriorALSTarget:
        """The same with a seed where it had none, and so many threads where that is not 0."""
        settings = self.model.get_params()
        if settings["rng"] is None:
            settings["rng"] = seed
        settings["num_threads"] = num_threads or settings["num_threads"]
        return replace(self, model=type(self.model)(**settings))

    def fit(self, matrix: sp.csr_matrix, *, show_progress: bool = False) -> Trained:
        """Train, and solve the rows exactly."""
        model = self.model.clone().fit(matrix, show_progress=show_progress)
        return self.trained(model.fold_in(matrix), model.item_factors, matrix)

    def trained(
        self,
        rows: Floats,
        columns: Floats,
        matrix: sp.csr_matrix,
        counts: NDArray[Any] | None = None,
    ) -> Trained:
        """Put rows and columns together; those that came later than `matrix` are no zeros."""
        alpha, (n, m) = float(self.model.alpha), matrix.shape
        loss, back = SquaredLoss(columns, alpha, (0, m)), SquaredLoss(rows, alpha, (0, n))
        return Trained(rows, columns, loss, back)

    def told(self, trained: Trained, prior: Prior, regularization: float) -> PriorALS:
        """A model that keeps the prior, for folding in and explaining."""
        model = self.model.clone().restore(trained.rows, trained.columns, prior, regularization)
        return model if self.side == "users" else model.swapped()

    def to_json(self) -> dict[str, Any]:
        """Name and settings."""
        settings = plain(self.model.get_params())
        if not isinstance(settings["rng"], int):
            settings["rng"] = None
        return {"name": self.name, "settings": settings, "upgraded": self.upgraded}

    @classmethod
    def from_json(cls, values: dict[str, Any], side: Side) -> PriorALSTarget:
        """Read what `to_json` gave."""
        return cls(PriorALS(**values["settings"]), side, values["upgraded"])


def scaled(model: PriorALS, factors: dict[str, float]) -> PriorALS:
    """The same model with some settings multiplied."""
    settings = model.get_params()
    for name, factor in factors.items():
        settings[name] = type(settings[name])(settings[name] * factor)
    return type(model)(**settings)
