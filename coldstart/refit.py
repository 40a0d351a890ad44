"""A fitted warm start learns again: from new interactions alone, or from all of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import scipy.sparse as sp

from coldstart.fitted import Fitted, widened
from coldstart.growth import grown, placed, undone
from coldstart.interactions import Interactions
from coldstart.serving import Belief, Learned, Side, solve_believed
from coldstart.targets import Trained

__all__ = ["posterior", "refitted", "restarted"]

SWEEPS = 3  # over rows and columns, by new interactions
SWEEPS_OF_ALL = 10


def refitted(fitted: Fitted, news: Interactions, num_threads: int = 0) -> Fitted:
    """Rows and columns around what they were, by `news` and what was folded in since.

    What is known of a row or column so far is a Gaussian around its present value. Its precision is
    that of the second derivatives there, kept as a scale for each row times their mean matrix.
    Those without interactions so far keep their prior from the source, or from nobody.
    """
    start = undone(fitted)
    belief, others = (
        posterior(side, counted)
        for side, counted in zip(_sides(start), start.counted[::-1], strict=True)
    )
    base = grown(replace(start, belief=belief, others=others.learned), news)
    batch = placed(base, news)
    if fitted.added is not None:
        batch = sp.csr_matrix(batch.maximum(widened(fitted.added, base.shape)))
    total = sp.csr_matrix(base.seen.maximum(batch))
    others = others.grown(base.shape[1])
    trained = _swept(base, total, batch, (base.belief, others), SWEEPS, num_threads)
    done = _anew(base, trained, total)
    mapped, other = (
        replace(side, evidence=evidence, belief=believed)
        for side, evidence, believed in zip(
            _sides(done), (batch, batch.T.tocsr()), (base.belief, others), strict=True
        )
    )
    n, m = done.shape
    return replace(done, belief=posterior(mapped, m), others=posterior(other, n).learned)


def restarted(fitted: Fitted, everything: Interactions, num_threads: int = 0) -> Fitted:
    """Rows and columns by all interactions, the rows around the priors that they had at first.

    The space stays what it is: sweeps begin at the present columns, and nothing of them is kept
    beyond that. Rows without interactions are their priors, such columns the mean of the others.
    """
    belief = replace(fitted.belief, learned=None)
    base = grown(replace(fitted, belief=belief, others=None), everything)
    total = placed(base, everything)
    known = np.diff(total.T.tocsr().indptr) > 0
    others = Belief.of_mean(base.trained.columns[known], base.target.regularization)
    others = replace(others.grown(base.shape[1]), mapped=np.append(known, False))
    base = replace(base, trained=_at_rest(base, total, (base.belief, others)))
    trained = _swept(base, total, total, (base.belief, others), SWEEPS_OF_ALL, num_threads)
    return _anew(replace(base, others=None), trained, total)


def _at_rest(base: Fitted, total: sp.csr_matrix, beliefs: tuple[Belief, Belief]) -> Trained:
    """What was trained, with rows and columns that have nothing in `total` at their priors."""
    trained, sides = base.trained, []
    for factors, matrix, belief, loss in (
        (trained.rows, total, beliefs[0], trained.loss),
        (trained.columns, sp.csr_matrix(total.T), beliefs[1], trained.back),
    ):
        idle, out = np.flatnonzero(np.diff(matrix.indptr) == 0), factors.copy()
        out[idle] = solve_believed(belief, idle, matrix[idle], loss)
        sides.append(out)
    return base.target.trained(sides[0], sides[1], total)


def posterior(side: Side, counted: int) -> Belief:
    """What is believed of a side now: of rows with interactions that they are what they are, all
    pairs with the first columns being `counted`.
    """
    who = np.flatnonzero(np.diff(side.seen.indptr))
    rows, evidence, belief = side.factors[who], side.evidence[who], side.belief
    along, total = np.zeros(rows.shape), np.zeros((rows.shape[1],) * 2)
    for where, prior, ridge in belief.groups(who, np.diff(evidence.indptr)):
        along[where], more = side.loss.stiffness(
            rows[where], evidence[where], prior=prior, regularization=ridge
        )
        total += more
    known = np.flatnonzero(belief.knows(who))
    if belief.learned is not None and len(known):
        along[known], more = side.loss.afresh(belief.learned.columns).stiffness(
            rows[known],
            evidence[known],
            prior=belief.learned.prior.take(belief.learned.place[who[known]]),
            regularization=0.0,
        )
        total += more
    learned = Learned.of(rows, along, total, who, len(side.ids), counted)
    return replace(belief, learned=learned)


def _swept(
    base: Fitted,
    total: sp.csr_matrix,
    evidence: sp.csr_matrix,
    beliefs: tuple[Belief, Belief],
    sweeps: int,
    num_threads: int,
) -> Trained:
    """Rows and columns with `evidence` (n, m) solved in turns, all the `total` having been seen."""
    back = evidence.T.tocsr()
    who, what = (np.flatnonzero(np.diff(matrix.indptr)) for matrix in (evidence, back))
    trained = base.target.trained(base.trained.rows, base.trained.columns, total)
    for turn in range(2 * sweeps + 1):
        rows, columns = trained.rows.copy(), trained.columns.copy()
        if turn % 2:
            columns[what] = solve_believed(
                beliefs[1], what, back[what], trained.back, num_threads=num_threads
            )
        else:
            rows[who] = solve_believed(
                beliefs[0], who, evidence[who], trained.loss, num_threads=num_threads
            )
        trained = base.target.trained(rows, columns, total)
    return trained


def _anew(base: Fitted, trained: Trained, total: sp.csr_matrix) -> Fitted:
    """As if it had been fitted so on all interactions."""
    extras = base.extras.grown(base.shape[0], np.bincount(total.indices, minlength=base.shape[1]))
    bare = replace(base, added=None, before=None, base=None)
    return replace(bare, trained=trained, matrix=total, extras=extras)


def _sides(fitted: Fitted) -> tuple[Side, Side]:
    served = fitted.served
    return served.mapped, served.other
