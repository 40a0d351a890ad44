"""A map per person: a few linear maps, mixed by the source row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from coldstart.prior import Prior
from coldstart.threads import one_blas_thread

from .base import (
    AnchorContext,
    Array,
    Settled,
    anchor_arrays,
    check_fitted,
    embeddings,
    scaled,
    score_metric,
    spelled_out,
    sphere,
)
from .experts import Experts, Penalties, fit_experts
from .regression import GCV_GRID, RidgeProblem
from .source_rows import canonical, null_mean
from .spread import Spread, out_of_fold

__all__ = ["MixtureAdapter"]

CANDIDATE_RIDGES = (0.3, 1.0)
STARTS = 3  # principal directions along which the anchors are split to begin with
TRIED = 3  # steps after which the starts are compared
STEPS = 30
GATE = 10.0  # ridge of the gate, in anchors


class MixtureAdapter(Settled):
    """``t = b + sum_k g_k(s) W_k'x``: every row has a map of its own, mixed from K.

    With x a 1 and the source row less the anchors' mean in units of its size, ::

        t | s ~ sum_k g_k(x) N(b + W_k'x, Psi),   g(x) = softmax(V x)
        W_k ~ N(W0, Psi / tie)

    W0 is the ridge map of all anchors, worth `tie` anchors in each map: maps part as far as more
    anchors than that show, and with few there is one map. The penalised log-likelihood is climbed
    by expectation-maximisation (`fit_experts`) from anchors split along a principal direction, the
    best of the first three. This is the idea of PTUPCDR, a bridge for each person, with few maps
    and a convex gate in place of its meta network.

    The null mean b counts the mean m0 of all target rows as n0 anchors. Residuals are those of
    five-fold cross-validation (`Spread`); a row between maps that disagree is less certain.

    Parameters
    ----------
    components : int, default 2
        K.
    ridge : float or "gcv", default "gcv"
        That of W0, as for `RidgeAdapter`.
    normalize : bool or "auto", default "auto"
        Scale every source row to length 1; "auto" is what suits W0 better.
    tie : float, default 1000.0
        How many anchors W0 is worth in each map.
    pseudo_anchors : float, default 64.0
        n0.

    Attributes
    ----------
    experts_ : Experts
    log_likelihood_ : array (steps,)
        Penalised, after each step; it never falls.
    ridge_ : float
    normalize_ : bool
    origin_ : array (d_target,), b
    spread_ : Spread

    References
    ----------
    Zhu, Tang, Liu, Zhuang, Xie, Zhang, Lin and He (2022), Personalized Transfer of User Preferences
    for Cross-domain Recommendation (PTUPCDR). Jacobs, Jordan, Nowlan and Hinton (1991), Adaptive
    Mixtures of Local Experts. Boehning (1992), Multinomial Logistic Regression Algorithm.

    Examples
    --------
    >>> import numpy as np
    >>> source = np.random.default_rng(0).normal(size=(2000, 2))
    >>> target = np.where(source[:, :1] > 0, source, -source)
    >>> adapter = MixtureAdapter(tie=10.0, normalize=False).fit(source, target)
    >>> np.round(adapter.predict([[3.0, 1.0], [-3.0, 1.0]]).mean)
    array([[ 3.,  1.],
           [ 3., -1.]])
    """

    needs_anchors = True

    def __init__(
        self,
        components: int = 2,
        *,
        ridge: float | Literal["gcv"] = "gcv",
        normalize: bool | Literal["auto"] = "auto",
        tie: float = 1000.0,
        pseudo_anchors: float = 64.0,
    ) -> None:
        self.components = components
        self.ridge = ridge
        self.normalize = normalize
        self.tie = tie
        self.pseudo_anchors = pseudo_anchors

    def get_params(self) -> dict[str, Any]:
        """The constructor's arguments, by name."""
        names = ("components", "ridge", "normalize", "tie", "pseudo_anchors")
        return {name: getattr(self, name) for name in names}

    def candidates(self) -> Sequence[MixtureAdapter]:
        """What is left open ("auto", "gcv"), spelled out for held-out people to choose from."""
        ridges = CANDIDATE_RIDGES if self.ridge == "gcv" else (self.ridge,)
        return spelled_out(self, normalize=self._lengths(), ridge=ridges)

    def fit(
        self,
        source: ArrayLike,
        target: ArrayLike,
        *,
        weight: ArrayLike | None = None,
        context: AnchorContext | None = None,
    ) -> MixtureAdapter:
        """Fit on n anchors: `source` (n, d_source), `target` (n, d_target), `weight` (n,)."""
        self._check_settings()
        s, t, w = anchor_arrays(source, target, weight, who="MixtureAdapter", context=context)
        context = context or AnchorContext()
        order, same = canonical(s, t, w)
        counts = np.bincount(same, w[order]).astype(np.float64)  # equal anchors are one
        order = order[np.unique(same, return_index=True)[1]]
        with one_blas_thread():
            self._learn(
                s[order].astype(np.float64),
                t[order].astype(np.float64),
                counts,
                context.take(order),
            )
        return self

    def _learn(self, s: Array, t: Array, w: Array, context: AnchorContext) -> None:
        metric = score_metric(context, t.shape[1])
        ridges = GCV_GRID if self.ridge == "gcv" else (float(self.ridge),)
        problems = {on: RidgeProblem.of(s, t, w, metric, normalize=on) for on in self._lengths()}
        self.normalize_, self.ridge_ = min(
            product(problems, ridges), key=lambda pair: problems[pair[0]].gcv(pair[1])
        )
        self._mixture, self.log_likelihood_ = self._climb(s, t, w)
        self.experts_ = self._mixture.experts
        self.origin_ = null_mean(t, w, context, self.pseudo_anchors)
        wider = np.zeros(len(s))

        def means(train: NDArray[np.bool_], test: NDArray[np.bool_]) -> Array:
            mixture, _ = self._climb(s[train], t[train], w[train])
            off, wider[test] = mixture.predict(s[test])
            return np.average(t[train], axis=0, weights=w[train]) + off

        residuals = out_of_fold(s, t, w, means)
        residuals /= np.sqrt(1 + wider)[:, None]
        self.spread_ = Spread.of(residuals, w, s, context)

    def predict(self, source: ArrayLike, *, context: AnchorContext | None = None) -> Prior:
        """A Gaussian around the mixed image of `source` (m, d_source)."""
        check_fitted(self, "spread_")
        s = embeddings(source, "source", len(self._mixture.source_mean), context).astype(np.float64)
        with one_blas_thread():
            off, wider = self._mixture.predict(s)
        mean = self.origin_ + off
        return self.spread_.prior(mean, s, context, origin=self.origin_, leverage=wider)

    def _climb(self, s: Array, t: Array, w: Array) -> tuple[_Mixture, Array]:
        """Experts fitted to anchors, and their log-likelihoods."""
        d = t.shape[1]
        problem = RidgeProblem.of(s, t, w, np.eye(d), normalize=self.normalize_)
        size = float(np.sqrt(problem.values.mean() / problem.count) or 1.0)
        coef = problem.solve(self.ridge_)[0] * size
        penalties = Penalties(
            tie=self.tie,
            shared=np.vstack([np.zeros(d), coef]),
            sphere=sphere(problem.target_scatter / problem.count),
            gate=GATE,
        )
        x, y = _inputs(s, problem.source_mean, size, self.normalize_), t - problem.target_mean
        leading = problem.vectors.T[::-1][:STARTS]
        starts = [_split(x[:, 1:] @ along, w, self.components) for along in leading]
        ends = [fit_experts(x, y, w, start, penalties, steps=TRIED)[1][-1] for start in starts]
        start = starts[int(np.argmax(ends))]
        experts, trace = fit_experts(x, y, w, start, penalties, steps=STEPS)
        return _Mixture(self.normalize_, problem.source_mean, size, experts), trace

    def _lengths(self) -> tuple[bool, ...]:
        return (False, True) if self.normalize == "auto" else (bool(self.normalize),)

    def _check_settings(self) -> None:
        k = self.components
        if isinstance(k, str) or k < 1 or k != int(k):
            raise ValueError(f"components must be a whole number from 1, got {k!r}")
        if self.ridge != "gcv" and (isinstance(self.ridge, str) or not 0 < self.ridge < np.inf):
            raise ValueError(f'ridge must be "gcv" or a positive number, got {self.ridge!r}')
        if self.normalize not in (True, False, "auto"):
            raise ValueError(f'normalize must be True, False or "auto", got {self.normalize!r}')
        if not 0 < self.tie < np.inf:
            raise ValueError(f"tie must be positive, got {self.tie!r}")
        if not (np.isfinite(self.pseudo_anchors) and self.pseudo_anchors >= 0):
            raise ValueError(f"pseudo_anchors must not be negative, got {self.pseudo_anchors!r}")


@dataclass(frozen=True, eq=False)
class _Mixture:
    """Experts on source rows of length 1 where `normalize`, centred and in units of `size`."""

    normalize: bool
    source_mean: Array
    size: float
    experts: Experts

    def predict(self, s: Array) -> tuple[Array, Array]:
        """Means (m, d_target), and how much wider they are spread (m,)."""
        return self.experts.predict(_inputs(s, self.source_mean, self.size, self.normalize))


def _inputs(s: Array, mean: Array, size: float, normalize: bool) -> Array:
    """x (n, 1 + d_source)."""
    return np.hstack([np.ones((len(s), 1)), (scaled(s, normalize) - mean) / size])


def _split(values: Array, weight: Array, count: int) -> Array:
    """Responsibilities (n, count) of groups of equal weight by rising values (n,)."""
    order = np.argsort(values, kind="stable")
    below = np.cumsum(weight[order]) - weight[order] / 2
    groups = np.empty(len(values), np.int64)
    groups[order] = np.minimum(count * below / weight.sum(), count - 1).astype(np.int64)
    return np.eye(count)[groups]
