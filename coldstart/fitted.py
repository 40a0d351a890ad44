"""What serving needs of a fit, and what it makes of that."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from coldstart.serving import Belief, Extras, Learned, Served, Side
from coldstart.targets import Target, Trained
from coldstart.vocabulary import Vocabulary

__all__ = ["Fitted", "trained_of", "widened"]

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Fitted:
    """What serving needs of a fit.

    Parameters
    ----------
    target : Target
    trained : Trained
        Its n rows are the mapped side, solved around their priors, and its m columns the other.
    belief : Belief
        Of the rows.
    ids : (Vocabulary, Vocabulary)
        Of the n rows, those of the fitted target first, and of the m columns.
    matrix : csr_matrix
        Interactions of the first rows and columns: the target that was fitted.
    extras : Extras
    added : csr_matrix (n, m), optional
        Interactions that came after the fit.
    before : array (k, f), optional
        The rows of those who have some as they were before.
    others : Learned, optional
        The columns, where they are believed to be what they were.
    base : (int, int), optional
        Numbers of rows and columns before any came with `added`.

    Where `belief` has rows that were learned, their interactions in `matrix` speak through it.
    """

    target: Target
    trained: Trained
    belief: Belief
    ids: tuple[Vocabulary, Vocabulary]
    matrix: sp.csr_matrix
    extras: Extras
    added: sp.csr_matrix | None = None
    before: Floats | None = None
    others: Learned | None = None
    base: tuple[int, int] | None = None

    @cached_property
    def fresh(self) -> sp.csr_matrix:
        """Interactions (n, m) that do not speak through the belief: all where nothing in it was
        learned.
        """
        if self.belief.learned is None:
            return self.seen
        return sp.csr_matrix(self.shape, dtype=np.float32) if self.added is None else self.added

    @cached_property
    def seen(self) -> sp.csr_matrix:
        """All interactions (n, m)."""
        stored = widened(self.matrix, self.shape)
        return stored if self.added is None else sp.csr_matrix(stored.maximum(self.added))

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of rows and columns."""
        return len(self.ids[0]), len(self.ids[1])

    @property
    def counted(self) -> tuple[int, int]:
        """Numbers of rows and columns before any came with `added`."""
        return self.base or self.shape

    @property
    def served(self) -> Served:
        """Both sides, ready to answer."""
        trained, (rows, columns), m = self.trained, self.ids, self.matrix.shape[1]
        mapped = Side(rows, trained.rows, self.seen, self.fresh, trained.loss, self.belief)
        plain = Belief.of_mean(trained.columns[:m], self.target.regularization)
        plain = replace(plain.grown(len(columns)), learned=self.others)
        seen = self.seen.T.tocsr()
        fresh = seen if self.fresh is self.seen else self.fresh.T.tocsr()
        other = Side(columns, trained.columns, seen, fresh, trained.back, plain)
        return Served(mapped, other, trained.layout, self.extras)

    @property
    def model(self) -> Any:
        """A trained model of the caller's class, with the rows of the target: all after an
        update.
        """
        n = self.matrix.shape[0] if self.added is None else len(self.trained.rows)
        prior = self.belief.pulled(np.arange(n), np.diff(self.fresh[:n].indptr))
        trained = replace(self.trained, rows=self.trained.rows[:n])
        return self.target.told(trained, prior, self.belief.strength.regularization)


def trained_of(
    target: Target,
    rows: Floats,
    columns: Floats,
    matrix: sp.csr_matrix,
    added: sp.csr_matrix | None,
) -> Trained:
    """Rows and columns put together that were learned from `matrix`, and were `added` to since."""
    if added is None:
        return target.trained(rows, columns, matrix)
    seen = widened(matrix, added.shape).maximum(added)
    return target.trained(rows, columns, matrix, np.bincount(seen.indices, minlength=len(columns)))


def widened(matrix: sp.csr_matrix, shape: tuple[int, int]) -> sp.csr_matrix:
    """The matrix with empty rows and columns behind those that it has."""
    indptr = np.append(matrix.indptr, np.full(shape[0] - matrix.shape[0], matrix.nnz))
    return sp.csr_matrix((matrix.data, matrix.indices, indptr), shape)
