"""Expectation-maximisation: map, rows and the other side's factors learned in turns."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from tqdm.auto import tqdm

from coldstart.adapters.base import Adapter, AnchorContext
from coldstart.als import PriorALS
from coldstart.prior import Prior
from coldstart.rows import solve_into, solve_rows
from coldstart.strength import Strength
from coldstart.threads import one_blas_thread

__all__ = ["KnownRows", "Refined", "expect", "maximise", "refine", "refinements"]

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class KnownRows:
    """The rows of the target that the source knows too.

    Parameters
    ----------
    rows : array (n_known,)
        Their numbers in the target, each once.
    source : array (n_known, d_source)
        Their source embeddings.
    matrix : csr_matrix (n_known, m_source), optional
        Their source interactions, for adapters that read them.
    covariance : array (d_source, d_source), optional
        Of all source embeddings, for adapters that read it.
    """

    rows: NDArray[np.int64]
    source: Floats
    matrix: sp.csr_matrix | None = None
    covariance: Doubles | None = None

    @classmethod
    def untold(cls, n: int) -> KnownRows:
        """All of `n` rows, of none of which a source says anything."""
        return cls(np.arange(n), np.zeros((n, 0), np.float32))

    def __post_init__(self) -> None:
        if len(self.rows) != len(self.source):
            raise ValueError(
                f"rows has {len(self.rows)} numbers but source has {len(self.source)} rows: "
                "pass one source row for each"
            )
        if not len(self.rows):
            raise ValueError("the source knows no row of the target: there is nothing to refine")

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, which: NDArray[np.bool_]) -> KnownRows:
        """Some of them, by a mask (n_known,)."""
        matrix = None if self.matrix is None else self.matrix[which]
        return KnownRows(self.rows[which], self.source[which], matrix, self.covariance)

    def prior(self, adapter: Adapter) -> Prior:
        """What a fitted adapter says of them."""
        return adapter.predict(self.source, context=AnchorContext(source_rows=self.matrix))

    def place(self, n: int) -> NDArray[np.int64]:
        """Where each of `n` target rows stands here; those that are not here stand at the end."""
        place = np.full(n, len(self))
        place[self.rows] = np.arange(len(self))
        return place


@dataclass(frozen=True, eq=False)
class Refined:
    """A target model after some sweeps, and the map that its rows are pulled to.

    Attributes
    ----------
    settings : PriorALS
        Settings of the model; its rows are not read.
    items : array (n_items, d)
        Factors of the other side.
    adapter : Adapter
        Fitted in the space of `items`. What it predicts for rows that only the source knows is
        their prior, tempered by `temper`.
    mean : array (d,)
        Mean of all target rows with interactions, around which unknown rows stand.
    width : float
        How much wider unknown rows spread around `mean` than the average known row around its own
        prior mean, as a factor on the covariance.
    temper : float
        Strength kappa of the pull.
    sweeps : int
        How often the factors of the other side have seen the source.
    """

    settings: PriorALS
    items: Floats
    adapter: Adapter
    mean: Doubles
    width: float
    temper: float
    sweeps: int

    @property
    def strength(self) -> Strength:
        """How a front door pulls rows that the source knows."""
        return Strength(temper=(self.temper,), regularization=self.settings.regularization)

    @property
    def null(self) -> Strength:
        """How it pulls rows that the source does not know toward `mean`, given the average
        precision of the others (see `Prior.pad`).
        """
        temper = self.temper / self.width
        return Strength(temper=(temper,), regularization=self.settings.regularization)

    def prior(self, known: KnownRows, n: int, *, temper: float | None = None) -> Prior:
        """The prior of `n` target rows, tempered."""
        said, place = known.prior(self.adapter), known.place(n)
        kappa = self.temper if temper is None else temper
        factor = np.where(place < len(known), kappa, kappa / self.width)
        return said.pad(len(said) + 1, self.mean).take(place).temper(factor)

    def rows(
        self,
        user_items: sp.csr_matrix,
        known: KnownRows,
        *,
        which: NDArray[np.int64] | None = None,
    ) -> Floats:
        """Exact rows (n, d) of the mapped side, or of some of them."""
        everybody = np.arange(user_items.shape[0]) if which is None else which
        prior = self.prior(known, user_items.shape[0]).take(everybody) if self.temper else None
        return _solve(self.settings, user_items[everybody], self.items, prior)

    def model(self, user_items: sp.csr_matrix, known: KnownRows) -> PriorALS:
        """The fitted model, which ends with one exact step of the mapped side.

        Folding rows in under `prior`, or ``condition_users`` with the same prior, gives its rows.
        """
        rows, prior = self.rows(user_items, known), self.prior(known, user_items.shape[0])
        model = self.settings.clone()
        return model.restore(rows, self.items, prior, self.settings.regularization)


def refine(
    model: PriorALS,
    user_items: sp.csr_matrix,
    known: KnownRows,
    adapter: Adapter,
    *,
    sweeps: int,
    temper: float = 1.0,
    show_progress: bool = False,
) -> Refined:
    r"""Regression-based latent factors: the factors of the other side see the source.

    Rows of the mapped side are :math:`x_u \sim N(f(s_u), \Sigma)` around what the adapter's map f
    makes of their source row s_u, on top of the model's ridge. A sweep is

    1. M: the map and Sigma, fitted by the adapter to the expected rows, Sigma being the mean of
       residuals *plus posterior covariances* (`maximise`);
    2. E: the expected rows under that prior, and their posterior covariances (`expect`);
    3. the other side's ALS half step from the rows, pulled with ``temper / Sigma``.

    The map and Sigma are always learned at temper 1. Were they learned from rows that are pulled
    more strongly, Sigma would fall, which makes the pull stronger still: sweep by sweep it would
    collapse. Rows without target interactions have no part in a sweep: nobody has shown them
    anything. Target factors are identified only up to an invertible map, so the map follows them
    sweep by sweep.

    With the other side fixed, no ridge and an adapter whose fit is the exact M step, a sweep never
    lowers the (penalised) evidence of the data.

    Parameters
    ----------
    model : PriorALS
        Fitted on `user_items` without a prior; it is not changed.
    user_items : csr_matrix (n_users, n_items) of float32
        The target, rows being the mapped side.
    known : KnownRows
    adapter : Adapter
        Unfitted; a copy is fitted in every sweep, with `AnchorContext.target_covariance`.
    sweeps : int
        0 leaves the factors of the other side as they are.
    temper : float, default 1.0
        Strength kappa of the pull; 0 is the model without a prior.

    Returns
    -------
    Refined
        A front door serves it by ``Belief(known prior padded with mean, mapped, refined.strength,
        refined.null)``, or takes ``refined.model(user_items, known)`` for the target's rows alone.

    References
    ----------
    Agarwal and Chen (2009), Regression-based Latent Factor Models. Dempster, Laird and Rubin
    (1977), Maximum Likelihood from Incomplete Data via the EM Algorithm.
    """
    if sweeps < 0 or int(sweeps) != sweeps:
        raise ValueError(f"sweeps must be a whole number from 0 on, got {sweeps!r}")
    if not (np.isfinite(temper) and temper >= 0):
        raise ValueError(f"temper must be finite and not negative, got {temper!r}")
    steps = refinements(model, user_items, known, adapter, sweeps=sweeps, temper=temper)
    bar: Iterator[Refined] = tqdm(
        steps, total=sweeps + 1, desc="refining", disable=not show_progress
    )
    return deque(bar, maxlen=1)[0]  # the last; the others are not kept


def refinements(
    model: PriorALS,
    user_items: sp.csr_matrix,
    known: KnownRows,
    adapter: Adapter,
    *,
    sweeps: int,
    temper: float,
) -> Iterator[Refined]:
    """The model after 0, 1, ... `sweeps` sweeps; arguments as in `refine`."""
    exposed = np.diff(user_items.indptr) > 0
    shown = user_items[exposed]
    shown_to = shown.T.tocsr()
    live = known.take(exposed[known.rows])
    inside = (np.cumsum(exposed) - 1)[live.rows]  # their numbers in `shown`
    items, covariance = model.item_factors, np.zeros((model.factors, model.factors))
    rows = _solve(model, shown, items, None)
    for sweep in range(sweeps + 1):
        fitted, mean, spread = maximise(
            adapter,
            replace(live, rows=inside),
            rows,
            covariance,
            model,
            shown,
            items,
        )
        width = _width(live.prior(fitted), mean, spread)
        refined = Refined(model, items, fitted, mean, width, temper, sweep)
        yield refined
        if sweep == sweeps:
            return
        prior = refined.prior(known, user_items.shape[0], temper=1.0).take(exposed)
        rows, covariance = expect(model, shown, items, prior)
        pulled = rows
        if temper != 1:
            prior = prior.temper(temper)
            pulled = _solve(model, shown, items, prior)
        items = _solve(model, shown_to, pulled, None)


def expect(
    model: PriorALS,
    user_items: sp.csr_matrix,
    items: Floats,
    prior: Prior,
    *,
    regularization: float | None = None,
) -> tuple[Floats, Doubles]:
    """E step: posterior means (n, d), and the mean posterior covariance (d, d) of the rows that
    have interactions.
    """
    total = np.zeros((model.factors, model.factors))
    rows = np.zeros((user_items.shape[0], model.factors), np.float32)
    solve_into(
        rows,
        user_items,
        items,
        alpha=model.alpha,
        regularization=model.regularization if regularization is None else regularization,
        prior=prior,
        covariance=total,
        num_threads=model.num_threads,
        what="rows in an E step",
    )
    exposed = int(np.count_nonzero(np.diff(user_items.indptr)))
    return rows, total / max(1, exposed)


def maximise(
    adapter: Adapter,
    known: KnownRows,
    rows: Floats,
    covariance: Doubles,
    model: PriorALS,
    user_items: sp.csr_matrix,
    items: Floats,
) -> tuple[Adapter, Doubles, Doubles]:
    """M step: a fitted copy of the adapter, mean (d,) and covariance (d, d) of all rows.

    `rows` (n, d) are expected rows, all with interactions, and `covariance` (d, d) their mean
    posterior covariance, which is added to what the rows and the residuals spread.
    """
    with one_blas_thread():
        mean = rows.mean(axis=0, dtype=np.float64)
        away = rows - mean
        spread = away.T @ away / len(rows) + covariance
        context = AnchorContext(
            source_rows=known.matrix,
            target_rows=user_items[known.rows],
            other_factors=items,
            alpha=model.alpha,
            target_covariance=covariance,
            mean=mean,
            covariance=spread,
            source_covariance=known.covariance,
        )
        fitted = copy.deepcopy(adapter).fit(known.source, rows[known.rows], context=context)
    return fitted, mean, spread


def _width(prior: Prior, mean: Doubles, spread: Doubles) -> float:
    """``tr(L C) / d`` with L the average precision of the known rows and C the covariance of all:
    the factor that makes ``L^-1`` as wide as C.
    """
    average = prior.pad(len(prior) + 1, mean).take([len(prior)]).matrices()[0]
    return float(np.sum(average * spread) / len(spread)) or 1.0


def _solve(model: PriorALS, matrix: sp.csr_matrix, other: Floats, prior: Prior | None) -> Floats:
    """Exact rows under the ordinary ridge and the prior."""
    return solve_rows(
        matrix,
        other,
        alpha=model.alpha,
        regularization=model.regularization,
        prior=prior,
        num_threads=model.num_threads,
        what="rows while refining",
    )
