"""Kernel ridge regression, the mean of a Gaussian process, and how sure that process is."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from coldstart.prior import Prior
from coldstart.threads import one_blas_thread

from .base import (
    AnchorContext,
    Array,
    Rows,
    Settled,
    anchor_arrays,
    check_fitted,
    embeddings,
    score_metric,
    worth_of_mean,
)
from .linear import RidgeAdapter
from .nystroem import FeatureProblem, Landmarks
from .source_rows import Kind, SourceRows, canonical, null_mean, source_kinds
from .spread import Spread

__all__ = ["KernelAdapter"]

KERNELS = ("linear", "rbf")
KINDS = ("embeddings", "interactions")
LOO_RIDGES = tuple(np.logspace(-2, 2.5, 10))
CANDIDATE_RIDGES = (2.0, 6.0, 20.0)
CHECKED = 4096  # anchors, about, that are predicted without themselves


class KernelAdapter(Settled):
    """Gaussian process regression from source rows to target rows.

    With k a kernel, centred at the mean of the anchors, K its values on them, D their weights, T
    their target rows, b the null mean and ``rho`` the ridge, ::

        A = (K + rho D^-1)^-1,   x | s ~ N(b + k(s)'A(T - mean),  (1 + l(s)) Psi)
        l(s) = 1/(n0 + n) + (k(s, s) - k(s)'A k(s)) / rho,   b = (n0 m0 + n mean) / (n0 + n)

    where m0 is the mean over *all* target rows, which counts as n0 anchors; without one n0 is 0.
    "linear" is
    ``k(a, b) = a'b``: on interactions this is regression from whole source rows, on embeddings it
    is `RidgeAdapter`. "rbf" is ``k(a, b) = exp(-|a - b|^2 / (2 h^2))``, h the median distance of
    anchors. Psi is the covariance of what anchors are off where they are predicted without
    themselves, ``e_u = r_u / (1 - a_u)`` for the residual r and the share a that an anchor has in
    its own prediction, in units of ``1 + l``; it grows with activity (`Spread`).

    It is solved in the features ``f(s) = K_zz^(-1/2) k(z, s)`` of landmarks z. All anchors are
    landmarks where they are few, which is exact; of more, those are drawn by ``w_u k(s_u, s_u)``
    (Nystroem), and what of k(s, s) they cannot show adds to l(s).

    Parameters
    ----------
    kernel : "linear", "rbf" or "auto", default "auto"
    rows : "embeddings", "interactions" or "auto", default "auto"
        What the kernel compares: source embeddings, or the source interactions of the context.
        "auto" is interactions for the linear kernel and embeddings for the other. Where `fit` gets
        no interactions, embeddings take their place; where only `predict` gets none, a
        `RidgeAdapter` on the embeddings does.
    normalize : bool or "auto", default "auto"
        Scale every row to length 1 before.
    ridge : float or "loo", default "loo"
        ``rho`` as a multiple of the mean of k(s_u, s_u), or the value with which anchors are
        predicted best without themselves. Errors are measured in scores where the context brings
        the other side's factors; what is "auto" is chosen by them too.
    landmarks : int, default 1000
        How many anchors are landmarks, at most. Time grows with its cube, memory with its square.
    pseudo_anchors : float, default 64.0
        n0.
    rng : int, default 0
        Seed by which landmarks are drawn.

    Attributes
    ----------
    kernel_, rows_, normalize_, ridge_ : what was chosen
    origin_ : array (d_target,), b
    spread_ : Spread

    References
    ----------
    Rasmussen and Williams (2006), Gaussian Processes for Machine Learning, sections 2.2, 5.4 and
    8.1. Williams and Seeger (2001), Using the Nystroem Method to Speed Up Kernel Machines. Drineas
    and Mahoney (2005), On the Nystroem Method for Approximating a Gram Matrix.

    Examples
    --------
    >>> import numpy as np
    >>> source = np.random.default_rng(0).uniform(-2, 2, (300, 2))
    >>> target = np.cos(source)
    >>> prior = KernelAdapter("rbf", normalize=False).fit(source, target).predict([[0.0, 2.0]])
    >>> bool(np.allclose(prior.mean, np.cos([[0.0, 2.0]]), atol=0.05))
    True
    """

    needs_anchors = True

    def __init__(
        self,
        kernel: Literal["linear", "rbf", "auto"] = "auto",
        *,
        rows: Literal["embeddings", "interactions", "auto"] = "auto",
        normalize: bool | Literal["auto"] = "auto",
        ridge: float | Literal["loo"] = "loo",
        landmarks: int = 1000,
        pseudo_anchors: float = 64.0,
        rng: int = 0,
    ) -> None:
        self.kernel = kernel
        self.rows = rows
        self.normalize = normalize
        self.ridge = ridge
        self.landmarks = landmarks
        self.pseudo_anchors = pseudo_anchors
        self.rng = rng

    def get_params(self) -> dict[str, Any]:
        """The constructor's arguments, by name."""
        names = ("kernel", "rows", "normalize", "ridge", "landmarks", "pseudo_anchors", "rng")
        return {name: getattr(self, name) for name in names}

    def candidates(self) -> Sequence[KernelAdapter]:
        """What is left open ("auto", "loo"), spelled out for held-out people to choose from."""
        ridges = CANDIDATE_RIDGES if self.ridge == "loo" else (self.ridge,)
        return [
            type(self)(**{**self.get_params(), **setting._asdict(), "ridge": ridge})
            for setting, ridge in product(self._settings(), ridges)
        ]

    def fit(
        self,
        source: ArrayLike,
        target: ArrayLike,
        *,
        weight: ArrayLike | None = None,
        context: AnchorContext | None = None,
    ) -> KernelAdapter:
        """Fit on n anchors: `source` (n, d_source), `target` (n, d_target), `weight` (n,)."""
        self._check_settings()
        s, t, w = anchor_arrays(source, target, weight, who="KernelAdapter", context=context)
        context = context or AnchorContext()
        self._fallback = RidgeAdapter(pseudo_anchors=self.pseudo_anchors)
        self._fallback.fit(s, t, weight=w, context=context)
        self._width = s.shape[1]
        order, same = canonical(s, t, w)
        self.origin_ = null_mean(t[order], w[order], context, self.pseudo_anchors)
        count = np.bincount(same, w[order]).astype(np.float64)  # equal anchors are one
        order = order[np.unique(same, return_index=True)[1]]
        with one_blas_thread():
            self._learn(s[order], t[order].astype(np.float64), count, context.take(order))
        return self

    def _learn(self, s: Rows, t: Array, w: Array, context: AnchorContext) -> None:
        metric, some = score_metric(context, t.shape[1]), slice(None, None, -(-len(w) // CHECKED))
        error, n0 = np.inf, worth_of_mean(context, self.pseudo_anchors)
        for setting in self._settings(context):
            view = SourceRows.of(setting.rows, s, context, unit=setting.normalize)
            landmarks = Landmarks.of(setting.kernel, view, w, self.landmarks, self.rng)
            problem = FeatureProblem.of(landmarks, view.rows, t, w)
            features = landmarks.features(view.rows[some])
            for ridge in LOO_RIDGES if self.ridge == "loo" else (self.ridge,):
                fit = problem.solve(ridge, self.origin_, n0)
                off, known = fit.left_out(features, t[some], w[some])
                size = float(w[some] @ np.einsum("ij,ij->i", off @ metric, off))
                if size < error:
                    error, self.ridge_, self._view, self._fit = size, float(ridge), view, fit
                    self.kernel_, self.rows_, self.normalize_ = setting
                    residuals = off / np.sqrt(known)[:, None]
        self.spread_ = Spread.of(residuals, w[some], s[some], context.take(np.arange(len(w))[some]))

    def predict(self, source: ArrayLike, *, context: AnchorContext | None = None) -> Prior:
        """The posterior of the process for `source` (m, d_source), a Gaussian per row."""
        check_fitted(self, "spread_")
        s = embeddings(source, "source", self._width, context)
        if self.rows_ == "interactions" and source_kinds(self.rows_, context) != ("interactions",):
            return self._fallback.predict(s)
        mean, leverage = self._fit.predict(self._view.beside(s, context))
        return self.spread_.prior(mean, s, context, origin=self.origin_, leverage=leverage)

    def _settings(self, context: AnchorContext | None = None) -> list[_Setting]:
        """What is to be compared; with the context of a fit, where its rows can be."""
        kernels = KERNELS if self.kernel == "auto" else (self.kernel,)
        lengths = (False, True) if self.normalize == "auto" else (bool(self.normalize),)
        settings = []
        for kernel, normalize in product(kernels, lengths):
            rows = self.rows
            if rows == "auto":
                rows = "interactions" if kernel == "linear" else "embeddings"
            if context is not None:
                [rows] = source_kinds(rows, context)
            settings.append(_Setting(kernel, rows, normalize))
        return settings

    def _check_settings(self) -> None:
        for name, known in (("kernel", KERNELS), ("rows", KINDS)):
            if getattr(self, name) not in (*known, "auto"):
                names = ", ".join(f'"{word}"' for word in known)
                raise ValueError(f'{name} must be {names} or "auto", got {getattr(self, name)!r}')
        if self.normalize not in (True, False, "auto"):
            raise ValueError(f'normalize must be True, False or "auto", got {self.normalize!r}')
        if self.ridge != "loo" and (isinstance(self.ridge, str) or not 0 < self.ridge < np.inf):
            raise ValueError(f'ridge must be "loo" or a positive number, got {self.ridge!r}')
        if self.landmarks < 1 or self.landmarks != int(self.landmarks):
            raise ValueError(f"landmarks must be a whole number from 1, got {self.landmarks!r}")
        if not (np.isfinite(self.pseudo_anchors) and self.pseudo_anchors >= 0):
            raise ValueError(f"pseudo_anchors must not be negative, got {self.pseudo_anchors!r}")


class _Setting(NamedTuple):
    kernel: str
    rows: Kind
    normalize: bool
