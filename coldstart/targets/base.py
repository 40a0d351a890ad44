"""What a warm start asks of a factor model, whichever library trains it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from coldstart.prior import Prior
from coldstart.row_loss import RowLoss

__all__ = ["Layout", "Side", "Target", "Trained", "plain"]

Floats = NDArray[np.float32]
Side = Literal["users", "items"]


@dataclass(frozen=True, eq=False)
class Layout:
    """How rows (n, f) and columns (m, g) of a model stand beside each other in a product.

    Parameters
    ----------
    row_bias : bool
        The last entry of a row is its bias, which every column meets with a 1.
    column_bias : bool
        The last entry of a column is its bias.
    shift : array (m,), optional
        Added to the biases of the columns.
    """

    row_bias: bool = False
    column_bias: bool = False
    shift: Floats | None = None

    @property
    def offset(self) -> bool:
        """Whether scores have a part that no row can change."""
        return self.column_bias or self.shift is not None

    def rows(self, rows: Floats) -> Floats:
        """The rows (n, w) whose products with `columns` are scores."""
        return _beside(rows, np.ones(len(rows))) if self.offset else rows

    def columns(self, columns: Floats, numbers: NDArray[Any] | None = None) -> Floats:
        """The columns (m, w) whose products with `rows` are scores, or some of them (-1: one that
        the model does not know) by `numbers` (m,).
        """
        if not self.offset:
            return self.met(columns)
        bias = columns[:, -1] if self.column_bias else np.zeros(len(columns))
        if self.shift is not None:
            shift = self.shift
            if numbers is not None:
                shift = np.where(numbers < 0, np.float32(0), shift[numbers])
            bias = bias + shift
        return _beside(self.met(columns), bias)

    def met(self, columns: Floats) -> Floats:
        """The part (m, f) of columns that a row is multiplied with."""
        plain = columns[:, :-1] if self.column_bias else columns
        return _beside(plain, np.ones(len(plain))) if self.row_bias else plain


@dataclass(frozen=True, eq=False)
class Trained:
    """Rows and columns that a target model learned.

    Parameters
    ----------
    rows : array (n, f)
        Of the mapped side, with a bias where rows have their own.
    columns : array (m, g)
        Of the other side, in the same way.
    loss : RowLoss
        Of rows, the columns standing still.
    back : RowLoss
        Of columns, the rows standing still.
    layout : Layout
    """

    rows: Floats
    columns: Floats
    loss: RowLoss
    back: RowLoss
    layout: Layout = field(default_factory=Layout)


class Target(Protocol):
    """An unfitted model of the target catalog, and which of its sides is mapped.

    Matrices (n, m) have the mapped side as their rows. The caller's object is never changed.
    """

    @property
    def side(self) -> Side:
        """Which side is mapped."""
        ...

    @property
    def model(self) -> Any:
        """An unfitted object of the class of `told`, with these settings."""
        ...

    @property
    def regularization(self) -> float:
        """The ridge around zero that multiples of a ridge are multiples of."""
        ...

    @property
    def width(self) -> int:
        """Factors of a row, its bias not counted."""
        ...

    def variants(self) -> Sequence[Target]:
        """Others like it, with settings that held-out people may prefer."""
        ...

    def seeded(self, seed: int, num_threads: int, *, given: bool = False) -> Target:
        """The same with a seed where it had none, and so many threads where that is not 0.

        Whether LightFM had one cannot be seen: there the seed counts where it was `given`.
        """
        ...

    def fit(self, matrix: sp.csr_matrix, *, show_progress: bool = False) -> Trained:
        """Train on `matrix` (n, m) alone."""
        ...

    def trained(
        self,
        rows: Floats,
        columns: Floats,
        matrix: sp.csr_matrix,
        counts: NDArray[Any] | None = None,
    ) -> Trained:
        """Put rows (n, f) and columns (m, g) together that were learned from `matrix`, of the first
        rows and columns at least; the others came later and are no evidence of what is not liked.
        `counts` (m,) are the interactions of each column, later ones too.
        """
        ...

    def told(self, trained: Trained, prior: Prior, regularization: float) -> Any:
        """A trained model of the caller's class with those rows and columns; `prior` (n rows) and
        ridge are what pulled the rows.
        """
        ...

    def to_json(self) -> dict[str, Any]:
        """Name and settings in plain values, which `targets.target_from` reads."""
        ...


def plain(settings: dict[str, Any]) -> dict[str, Any]:
    """Numbers of numpy as those of Python, which JSON can hold."""
    return {k: v.item() if isinstance(v, np.generic) else v for k, v in settings.items()}


def _beside(array: Floats, column: NDArray[Any]) -> Floats:
    return np.hstack([array, column[:, None].astype(np.float32)])
