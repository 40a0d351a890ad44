"""A rotation from source to target embeddings, and maps between it and regression."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from coldstart.prior import Prior
from coldstart.threads import one_blas_thread

from .base import (
    AnchorContext,
    Array,
    Moments,
    Rows,
    Settled,
    anchor_arrays,
    check_fitted,
    embeddings,
    score_metric,
    spelled_out,
    sphere,
)
from .regression import LinearMap
from .source_rows import null_mean
from .spread import CHECKED, Spread, evenly, out_of_fold

__all__ = ["ProcrustesAdapter", "Rotation", "polar"]

RIDGES = (None, 10.0, 1.0, 0.1)  # the rotation alone, and steps on the way to least squares
CANDIDATE_RIDGES = (None, 1.0)
_RANK = 1e-10  # singular values below this share of the largest are none


class ProcrustesAdapter(Settled):
    """Orthogonal map between centred rows, ``t = b + c W'(s - s0)``.

    With S and T the anchors' centred rows and D their weights, the rotation closest to them is ::

        W0 = argmin |T - S W|_D over W'W = I  =  U V',   S'DT = U diag(e) V'

    For unequal widths, or fewer anchors than dimensions, U and V hold the directions with e > 0
    alone, and W0 is a partial isometry: other directions are left at the intercept.

    A rotation is right where both spaces hold the same tastes. Where they do not quite, a ridge
    regression that is pulled to the rotation instead of to zero stands between the two, ::

        W = (S'DS + rho I)^-1 (S'DT + rho W0)

    With `whiten` both sides are first whitened, the rotation's directions are weighted by a power p
    of their correlation, and the target is de-whitened again, with C the covariances, shrunk, ::

        W0 = C_s^(-1/2) U diag(e^p) V' C_t^(1/2),   C_s^(-1/2) C_st C_t^(-1/2) = U diag(e) V'

    p = 1 is least squares. The target space is fixed: its factors are known only up to an
    invertible map that its two sides share, and a rotation of users alone would change every
    score. So it is source rows that are mapped, and nothing in the target is.

    The factor c (`scaling`) makes predictions of anchors by maps that have not seen them as large
    as they should be, in scores where the context brings the factors of the other side. It lies
    between 0 and that of least squares; with fewer than four anchors it is 0, and everybody has the
    intercept. The same residuals, of 20,000 anchors at most, give the covariance (`Spread`). The
    intercept is that of `RidgeAdapter`.

    Parameters
    ----------
    scaling : bool, default True
        Fit c; otherwise 1.
    whiten : bool, default False
    reweight : float, default 0.0
        p, read with `whiten` alone.
    ridge : float, None or "auto", default "auto"
        ``rho`` as a multiple of the mean diagonal of S'DS; None is the rotation itself, and "auto"
        the one of None, 10, 1, 0.1 whose predictions of anchors not seen have the least error.
    normalize : bool or "auto", default "auto"
        Scale every source row to length 1. "auto" leaves the choice to held-out people and is True
        without them.
    pseudo_anchors : float, default 64.0
        n0, how many anchors the mean over all target rows is worth.

    Attributes
    ----------
    map_ : LinearMap
        Its slopes are c W.
    rotation_ : array (d_source, d_target), W0
    scale_ : float, c
    ridge_ : float or None
    spread_ : Spread

    References
    ----------
    Schönemann (1966), A Generalized Solution of the Orthogonal Procrustes Problem. Artetxe, Labaka
    and Agirre (2018), Generalizing and Improving Bilingual Word Embedding Mappings with a
    Multi-Step Framework of Linear Transformations.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> source = rng.normal(size=(50, 3))
    >>> turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    >>> adapter = ProcrustesAdapter(ridge=None, normalize=False).fit(source, 2 * source @ turn)
    >>> round(adapter.scale_, 6), bool(np.allclose(adapter.rotation_, turn))
    (2.0, True)
    """

    needs_anchors = True

    def __init__(
        self,
        *,
        scaling: bool = True,
        whiten: bool = False,
        reweight: float = 0.0,
        ridge: float | Literal["auto"] | None = "auto",
        normalize: bool | Literal["auto"] = "auto",
        pseudo_anchors: float = 64.0,
    ) -> None:
        self.scaling = scaling
        self.whiten = whiten
        self.reweight = reweight
        self.ridge = ridge
        self.normalize = normalize
        self.pseudo_anchors = pseudo_anchors

    def get_params(self) -> dict[str, Any]:
        """The constructor's arguments, by name."""
        names = ("scaling", "whiten", "reweight", "ridge", "normalize", "pseudo_anchors")
        return {name: getattr(self, name) for name in names}

    def candidates(self) -> Sequence[ProcrustesAdapter]:
        """Ridge and normalisation, where they are open, for held-out people to choose from."""
        ridges = CANDIDATE_RIDGES if self.ridge == "auto" else (self.ridge,)
        normalized = (True, False) if self.normalize == "auto" else (self.normalize,)
        return spelled_out(self, normalize=normalized, ridge=ridges)

    def fit(
        self,
        source: ArrayLike,
        target: ArrayLike,
        *,
        weight: ArrayLike | None = None,
        context: AnchorContext | None = None,
    ) -> ProcrustesAdapter:
        """Fit the map on n anchors: `source` (n, d_source), `target` (n, d_target), `weight` (n,).

        Raises
        ------
        AnchorError
            With fewer than two anchors, or source columns that are constant or collinear.
        ValueError
            When shapes do not fit, values are not finite, or a setting is out of range.
        """
        self._check_settings()
        s, t, w = anchor_arrays(source, target, weight, who="ProcrustesAdapter", context=context)
        told = context or AnchorContext()
        ridges = RIDGES if self.ridge == "auto" else (self.ridge,)
        with one_blas_thread():
            rotation = self._rotation(s, t, w)
            every = evenly(w, CHECKED)
            some = s[every], t[every], w[every]
            moved, residuals = self._left_out(*some, told, ridges)
            metric = score_metric(told, t.shape[1])
            found = [
                _rescaled(part, left, some[2], metric, self.scaling)
                for part, left in zip(moved, residuals, strict=True)
            ]
            best = int(np.argmin([error for error, _, _ in found]))
            _, share, left = found[best]
            rows = np.arange(len(w))[every]
            self.spread_ = Spread.of(left, some[2], some[0], told.take(rows))
        self.ridge_, self.rotation_ = ridges[best], rotation.turn
        slopes, size = rotation.slopes(self.ridge_), rotation.size if self.scaling else 1.0
        self.scale_ = float(share * size)
        intercept = null_mean(t, w, told, self.pseudo_anchors)
        self.map_ = LinearMap(share * slopes, intercept, rotation.mean, bool(self.normalize))
        return self

    def predict(self, source: ArrayLike, *, context: AnchorContext | None = None) -> Prior:
        """Gaussians around the turned rows of `source` (m, d_source)."""
        check_fitted(self, "map_")
        s = embeddings(source, "source", len(self.map_.source_mean), context)
        return self.spread_.prior(self.map_.means(s), s, context, origin=self.map_.intercept)

    def _rotation(self, s: Rows, t: Rows, w: Array) -> Rotation:
        moments = Moments.of(s, t, w, normalize=bool(self.normalize))
        power = self.reweight if self.whiten else None
        return Rotation.of(moments, s.shape[1], power=power, scaling=self.scaling)

    def _left_out(
        self, s: Rows, t: Rows, w: Array, context: AnchorContext, ridges: Sequence[float | None]
    ) -> tuple[Array, Array]:
        """What maps that have not seen an anchor add to its intercept, and what they leave.

        Both (n_ridges, n, d_target).
        """
        k, (n, d) = len(ridges), t.shape
        moved = np.zeros((n, k, d))

        def predict(train: Any, test: Any) -> Array:
            parts = s[train], t[train], w[train]
            rotation = self._rotation(*parts)
            b = null_mean(*parts[1:], context, self.pseudo_anchors)
            for number, ridge in enumerate(ridges):
                part = LinearMap(rotation.slopes(ridge), b, rotation.mean, bool(self.normalize))
                moved[test, number] = part.slopes(s[test])
            means: Array = (b + moved[test]).reshape(-1, k * d)
            return means

        residuals = out_of_fold(s, np.tile(t, (1, k)), w, predict).reshape(n, k, d)
        return moved.swapaxes(0, 1), residuals.swapaxes(0, 1)

    def _check_settings(self) -> None:
        ridge = self.ridge
        if ridge not in (None, "auto") and (isinstance(ridge, str) or not 0 < ridge < np.inf):
            raise ValueError(f'ridge must be "auto", None or a positive number, got {ridge!r}')
        if self.normalize not in (True, False, "auto"):
            raise ValueError(f'normalize must be True, False or "auto", got {self.normalize!r}')
        for name in ("reweight", "pseudo_anchors"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value >= 0):
                raise ValueError(f"{name} must not be negative, got {value!r}")


@dataclass(frozen=True, eq=False)
class Rotation:
    """The rotation between centred rows, and the regressions that are pulled to it.

    With the eigenpairs of S'DS: `values` (d_source,), `vectors` (d_source, d_source), and `along` =
    vectors' (S'DT - S'DS c W0). `turn` is W0, `size` c, and `mean` s0.
    """

    turn: Array
    size: float
    mean: Array
    values: Array
    vectors: Array
    along: Array

    @classmethod
    def of(cls, moments: Moments, width: int, *, power: float | None, scaling: bool) -> Rotation:
        """From the moments of anchors, of which the first `width` columns are the source's; both
        sides are whitened where there is a `power` p.
        """
        inner, cross = moments.scatter[:width, :width], moments.scatter[:width, width:]
        turn = polar(cross) if power is None else _whitened(moments, width, power)
        explained = float(np.sum((inner @ turn) * turn))  # |S W0|^2
        size = float(np.sum(cross * turn)) / explained if scaling and explained > 0 else 1.0
        values, vectors = np.linalg.eigh(inner)
        along = vectors.T @ (cross - size * inner @ turn)
        return cls(turn, size, moments.mean[:width], np.maximum(values, 0.0), vectors, along)

    def slopes(self, ridge: float | None) -> Array:
        """``(S'DS + rho I)^-1 (S'DT + rho c W0)`` (d_source, d_target), c W0 without a ridge."""
        rotation = self.size * self.turn
        if ridge is None:
            return rotation
        rho = ridge * float(self.values.mean() or 1.0)
        return rotation + (self.vectors / (self.values + rho)) @ self.along


def polar(cross: Array, power: float = 0.0) -> Array:
    """``U diag(e^p) V'`` (d_source, d_target) of the singular values e of `cross` above 0."""
    left, sizes, right = np.linalg.svd(cross, full_matrices=False)
    rank = int(np.count_nonzero(sizes > _RANK * sizes[0]))
    turn: Array = (left[:, :rank] * sizes[:rank] ** power) @ right[:rank]
    return turn


def _whitened(moments: Moments, width: int, power: float) -> Array:
    """``C_s^(-1/2) U diag(e^p) V' C_t^(1/2)``, covariances shrunk to a sphere by one anchor."""
    covariance = moments.scatter / moments.count
    source, target = (_softened(covariance[part, part], moments.count) for part in _sides(width))
    (_, s_inverse), (t_root, t_inverse) = _roots(source), _roots(target)
    turned = polar(s_inverse @ covariance[:width, width:] @ t_inverse, power)
    return s_inverse @ turned @ t_root


def _sides(width: int) -> tuple[slice, slice]:
    return slice(None, width), slice(width, None)


def _softened(covariance: Array, count: float) -> Array:
    return (count * covariance + sphere(covariance)) / (count + 1)


def _roots(covariance: Array) -> tuple[Array, Array]:
    """The symmetric root of a positive definite matrix, and its inverse."""
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(values)) @ vectors.T, (vectors / np.sqrt(values)) @ vectors.T


def _rescaled(
    moved: Array, left: Array, weight: Array, metric: Array, scaling: bool
) -> tuple[float, float, Array]:
    """Error, in the metric, of predictions `moved` (n, d) times the best share in [0, 1]; the
    share; and what is left (n, d).
    """
    share = 1.0
    if scaling:
        along = np.einsum("n,ni,ij,nj->", weight, moved, metric, moved + left, optimize=True)
        size = np.einsum("n,ni,ij,nj->", weight, moved, metric, moved, optimize=True)
        share = float(np.clip(along / size, 0.0, 1.0)) if size > 0 else 0.0
    left = left + (1 - share) * moved
    error = np.einsum("n,ni,ij,nj->", weight, left, metric, left, optimize=True)
    return float(error), share, left
