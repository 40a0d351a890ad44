"""What models trained by stochastic gradients have in common as targets.

The library trains its own model on the target alone. Then the columns stand still and rows are
solved in the model's own loss, in expectation over what the library samples, around their priors.
So a prior is not forgotten, whatever the number of epochs, and a row can be folded in.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from coldstart.foreign import Parts
from coldstart.prior import Prior
from coldstart.row_loss import Contrast, LogisticLoss

from .base import Floats, Layout, Side, Trained, plain

__all__ = ["StochasticTarget", "column_of"]

SAMPLED = 256  # columns that stand for all in a contrast
RARE = 0.5  # interactions of a column without any, where a logarithm is taken


@dataclass(frozen=True)
class StochasticTarget(ABC):
    """A model of another library as it came, and what is tried beside its settings.

    Parameters
    ----------
    settings : dict
        Arguments of the library's constructor.
    side : {"users", "items"}
        Which side is mapped.
    epochs : int
        Passes over the interactions.
    popularity : float
        How often the logarithm of a column's interactions is added to its bias. Where contrasts are
        drawn by popularity a score is the logarithm of odds against it, and 1 turns that into odds.
    """

    settings: dict[str, Any]
    side: Side
    epochs: int
    popularity: float = 0.0

    name: ClassVar[str]
    by_popularity: ClassVar[bool]  # how the library draws contrasts among items
    weighted: ClassVar[bool] = False  # whether it reads the values of interactions

    @classmethod
    @abstractmethod
    def of(cls, model: Any, side: Side) -> StochasticTarget:
        """From an object of the library, which stays as it is."""

    @property
    @abstractmethod
    def model(self) -> Any:
        """A fresh object of the library with these settings."""

    @property
    @abstractmethod
    def width(self) -> int:
        """Factors, without biases."""

    @property
    @abstractmethod
    def kind(self) -> str:
        """Which `LogisticLoss` the users have."""

    @property
    def user_bias(self) -> bool:
        """Whether users have biases, which no pair of items could teach."""
        return self.kind == "points"

    @abstractmethod
    def variants(self) -> Sequence[StochasticTarget]:
        """Others like it, with settings that held-out people may prefer."""

    @abstractmethod
    def _learn(self, user_items: sp.csr_matrix, show_progress: bool) -> Parts:
        """Train a fresh model."""

    @abstractmethod
    def _assembled(self, learned: Parts) -> Any:
        """A trained model of the library."""

    def seeded(self, seed: int, num_threads: int, *, given: bool = False) -> StochasticTarget:
        """The same with a seed where it had none, and so many threads where that is not 0."""
        settings = dict(self.settings)
        if settings["random_state"] is None:
            settings["random_state"] = seed
        if num_threads and "num_threads" in settings:
            settings["num_threads"] = num_threads
        return replace(self, settings=settings)

    @property
    def regularization(self) -> float:
        """That of rows of unit variance."""
        return 1.0

    def __str__(self) -> str:
        added = f", {self.popularity:g} times log popularity added" if self.popularity else ""
        return f"{self.name}, {self.epochs} epochs{added}"

    def fit(self, matrix: sp.csr_matrix, *, show_progress: bool = False) -> Trained:
        """Train on `matrix` (n, m) alone."""
        users = self.side == "users"
        # the library sorts in place, and wants arrays that it could write to
        user_items = sp.csr_matrix(matrix if users else matrix.T, dtype=np.float32, copy=True)
        user_items.sort_indices()
        learned = self._learn(user_items, show_progress)
        sides = (
            _with_bias(learned.users, learned.user_biases if self.user_bias else None),
            _with_bias(learned.items, learned.item_biases),
        )
        rows, columns = sides if users else sides[::-1]
        rows = rows * (np.diff(matrix.indptr) > 0)[:, None]  # others are where they started
        return self.trained(rows, columns, matrix)

    def trained(
        self,
        rows: Floats,
        columns: Floats,
        matrix: sp.csr_matrix,
        counts: NDArray[Any] | None = None,
    ) -> Trained:
        """Put rows and columns together; those that came later than `matrix` are no contrasts."""
        users = self.side == "users"
        row_bias, column_bias = (self.user_bias, True) if users else (True, self.user_bias)
        layout = Layout(row_bias, column_bias, self._shift(matrix, counts))
        known = sp.csr_matrix(
            (np.ones(matrix.nnz, np.float32), matrix.indices, matrix.indptr), matrix.shape
        )
        forward = _Half(rows, columns, row_bias, column_bias, known)
        backward = _Half(columns, rows, column_bias, row_bias, known.T.tocsr())
        of_users, of_items = (forward, backward) if users else (backward, forward)
        losses = self._user_loss(of_users), self._item_loss(of_items)
        loss, back = losses if users else losses[::-1]
        return Trained(rows, columns, loss, back, layout)

    def _shift(self, matrix: sp.csr_matrix, counts: NDArray[Any] | None) -> Floats | None:
        """What popularity adds to the bias of each column, None where that is nothing."""
        if not self.popularity:
            return None
        if counts is None:
            counts = np.bincount(matrix.indices, minlength=matrix.shape[1])
        return (self.popularity * np.log(np.maximum(counts, RARE))).astype(np.float32)

    def told(self, trained: Trained, prior: Prior, regularization: float) -> Any:
        """A trained model of the library with those rows and columns."""
        layout = trained.layout
        columns, bias = _parted(trained.columns, layout.column_bias)
        if layout.shift is not None:
            bias = layout.shift if bias is None else bias + layout.shift
        sides = _parted(trained.rows, layout.row_bias), (columns, bias)
        (users, user_biases), (items, item_biases) = sides if self.side == "users" else sides[::-1]
        return self._assembled(Parts(users, items, user_biases, item_biases))

    def _user_loss(self, half: _Half) -> LogisticLoss:
        """Of users, with the items standing still."""
        contrast = half.contrast(self.by_popularity, **self._weights())
        return LogisticLoss(half.met, half.offsets, self.kind, contrast, weighted=self.weighted)

    def _item_loss(self, half: _Half) -> LogisticLoss:
        """Of items, with the users standing still.

        A pair has two items, and where one stands still the user's loss of the other is that of a
        point: of an item the user has against the user's mean contrast, and of a contrast against
        the user's mean item.
        """
        contrast = half.contrast(True, **self._weights())
        if self.kind == "points":
            return LogisticLoss(half.met, half.offsets, "points", contrast, weighted=self.weighted)
        theirs, others = half.mean_scores(self.by_popularity)
        return LogisticLoss(half.met, -others, "points", contrast, against=-theirs)

    def _weights(self) -> dict[str, float]:
        """How much contrasts count."""
        return {}

    def to_json(self) -> dict[str, Any]:
        """Name and settings; of a seed only a number is kept."""
        settings = plain(self.settings)
        if not isinstance(settings["random_state"], int):
            settings["random_state"] = None
        more = {"epochs": self.epochs, "popularity": self.popularity}
        return {"name": self.name, "settings": settings, **more}

    @classmethod
    def from_json(cls, values: dict[str, Any], side: Side) -> StochasticTarget:
        """Read what `to_json` gave."""
        return cls(values["settings"], side, values["epochs"], values["popularity"])


@dataclass(frozen=True, eq=False)
class _Half:
    """One side (n, f) seen from which the other one (m, g) stands still."""

    rows: Floats
    columns: Floats
    row_bias: bool
    column_bias: bool
    matrix: sp.csr_matrix

    @property
    def layout(self) -> Layout:
        return Layout(self.row_bias, self.column_bias)

    @property
    def met(self) -> Floats:
        """What a row is multiplied with (m, f)."""
        return np.ascontiguousarray(self.layout.met(self.columns))

    @property
    def offsets(self) -> Floats:
        """Biases (m,) of the columns."""
        return self.columns[:, -1] if self.column_bias else np.zeros(len(self.columns), np.float32)

    def contrast(self, by_popularity: bool, **weights: Any) -> Contrast:
        """Columns drawn by popularity or evenly, in steps of equal probability."""
        popularity = np.bincount(self.matrix.indices, minlength=self.matrix.shape[1]).astype(float)
        if not by_popularity or not popularity.any():
            popularity = np.ones(len(popularity))
        ends = np.cumsum(popularity) / popularity.sum()
        drawn = np.searchsorted(ends, (np.arange(SAMPLED) + 0.5) / SAMPLED)
        columns, times = np.unique(np.minimum(drawn, len(ends) - 1), return_counts=True)
        return Contrast(columns, times / SAMPLED, size=len(ends), **weights)

    def mean_scores(self, by_popularity: bool) -> tuple[Floats, Floats]:
        """For each column (m,) the mean score of the rows it has, and that of a contrast of rows;
        of columns without any the two are one.
        """
        layout = Layout(self.column_bias, self.row_bias)  # from the columns' side
        rows = layout.columns(self.rows)
        columns = layout.rows(self.columns)
        back = self.matrix.T.tocsr()
        some = _Half(self.columns, self.rows, self.column_bias, self.row_bias, back)
        contrast = some.contrast(by_popularity)
        others = columns @ (contrast.weights @ rows[contrast.columns])
        n, counts = len(self.matrix.indptr) - 1, np.diff(back.indptr)
        means = back @ rows[:n] / np.maximum(counts, 1)[:, None]
        theirs = others.copy()
        known = np.flatnonzero(counts)
        theirs[known] = (columns[known] * means[known]).sum(axis=1)
        return theirs.astype(np.float32), others.astype(np.float32)


def _with_bias(factors: Floats, biases: Floats | None) -> Floats:
    """Factors (n, d), and biases behind them where there are some."""
    return factors if biases is None else np.hstack([factors, biases[:, None]])


def _parted(array: Floats, bias: bool) -> tuple[Floats, Floats | None]:
    """Factors, and biases where the last entries are some."""
    return (array[:, :-1], array[:, -1]) if bias else (array, None)


def column_of(biases: Floats | None) -> Floats:
    """Biases as a column (n, 1) of factors."""
    if biases is None:
        raise ValueError("the model has no biases")
    return biases[:, None]
