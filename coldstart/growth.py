"""New interactions, people and items folded into a fitted warm start, without training.

What follows depends on the fit and on all that came since, not on how it was parted into batches:
new columns are solved against the rows as they were fitted, and rows with new interactions against
the fitted columns and these.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from coldstart.fitted import Fitted, trained_of, widened
from coldstart.interactions import Interactions
from coldstart.serving import Belief, beyond, solve_believed, with_any

__all__ = ["grown", "placed", "undone", "updated"]

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]


def grown(fitted: Fitted, news: Interactions) -> Fitted:
    """The same with the ids of `news` that it did not know: new rows are the prior of an unknown
    id, and new columns the mean of all.
    """
    ids = fitted.ids[0].union(news.users), fitted.ids[1].union(news.items)
    (n, m), (old_n, old_m) = (len(ids[0]), len(ids[1])), fitted.shape
    trained = fitted.trained
    belief = fitted.belief.grown(n)
    nothing = sp.csr_matrix((n - old_n, trained.loss.columns.shape[0]), dtype=np.float32)
    rows = solve_believed(belief, np.arange(old_n, n), nothing, trained.loss)
    columns = np.repeat(_mean_column(fitted), m - old_m, axis=0)
    added = sp.csr_matrix((n, m), dtype=np.float32)
    if fitted.added is not None:
        added = widened(fitted.added, (n, m))
    before = np.zeros((0, rows.shape[1]), np.float32) if fitted.before is None else fitted.before
    others = fitted.others
    if others is not None:
        more = np.full(m - old_m, -1)
        others = replace(others, place=np.concatenate([others.place[:-1], more, [-1]]))
    return Fitted(
        fitted.target,
        trained_of(
            fitted.target,
            np.vstack([trained.rows, rows]),
            np.vstack([trained.columns, columns]),
            fitted.matrix,
            added,
        ),
        belief,
        ids,
        fitted.matrix,
        fitted.extras.grown(n, np.zeros(m, np.int64)),
        added,
        before,
        others,
        fitted.counted,
    )


def placed(fitted: Fitted, news: Interactions) -> sp.csr_matrix:
    """The interactions (n, m) in the rows and columns of what has grown by their ids."""
    rows, columns = fitted.ids[0].rows(news.users.ids), fitted.ids[1].rows(news.items.ids)
    entries = news.user_items.tocoo()
    places = rows[entries.row], columns[entries.col]
    return sp.csr_matrix((entries.data, places), shape=fitted.shape, dtype=np.float32)


def updated(fitted: Fitted, news: Interactions, num_threads: int = 0) -> Fitted:
    """Fold in what came since the fit and `news`; of equal pairs the larger value counts."""
    base = grown(fitted, news)
    batch = beyond(widened(base.matrix, base.shape), placed(base, news))
    added = sp.csr_matrix(sp.csr_matrix(base.added).maximum(batch))
    fit_columns = base.matrix.shape[1]
    touched = np.unique(batch.indices)
    touched = touched[touched >= fit_columns].astype(np.int64)

    rows, columns = base.trained.rows.copy(), base.trained.columns.copy()
    fitted_rows = _rows_before(base)
    trained = trained_of(base.target, fitted_rows, columns, base.matrix, added)
    others = Belief.of_mean(columns[:fit_columns], base.target.regularization)
    columns[touched] = solve_believed(
        others,
        np.full(len(touched), -1),
        added.T.tocsr()[touched],
        trained.back,
        num_threads=num_threads,
    )
    trained = trained_of(base.target, fitted_rows, columns, base.matrix, added)
    again = with_any(batch) | with_any(added[:, touched])
    where = np.flatnonzero(again)
    whole = replace(base, trained=trained, added=added)
    rows[where] = solve_believed(
        base.belief, where, whole.fresh[where], trained.loss, num_threads=num_threads
    )
    return replace(
        whole,
        trained=trained_of(base.target, rows, columns, base.matrix, added),
        before=fitted_rows[with_any(added)],
        extras=base.extras.grown(
            len(rows), np.bincount(whole.seen.indices, minlength=len(columns))
        ),
    )


def undone(fitted: Fitted) -> Fitted:
    """As it was before what `updated` has folded in; ids that came with that stay, as if nothing
    were known of them.
    """
    if fitted.added is None:
        return fitted
    columns = fitted.trained.columns.copy()
    columns[fitted.matrix.shape[1] :] = _mean_column(fitted)
    nothing = sp.csr_matrix(fitted.shape, dtype=np.float32)
    trained = trained_of(fitted.target, _rows_before(fitted), columns, fitted.matrix, nothing)
    return replace(fitted, trained=trained, added=None, before=None)


def _mean_column(fitted: Fitted) -> Floats:
    """The mean (1, g) of the columns of the fit."""
    known = fitted.trained.columns[: fitted.matrix.shape[1]]
    return np.asarray(known.mean(axis=0, dtype=np.float64, keepdims=True), np.float32)


def _rows_before(fitted: Fitted) -> Floats:
    """Rows (n, f) as they were before interactions were added."""
    rows = fitted.trained.rows.copy()
    if fitted.added is not None:
        rows[with_any(fitted.added)] = fitted.before
    return rows
