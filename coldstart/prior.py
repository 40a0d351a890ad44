"""What is believed of embedding rows before any interaction: a Gaussian per row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Prior"]

Array = NDArray[np.floating]

_BLOCK = 512  # rows whose (d, d) matrices are held at one time
_FLOOR = 1e-10  # smallest eigenvalue of a covariance, as a share of the largest, when it is inverted


@dataclass(frozen=True, eq=False, repr=False)
class Prior:
    """Independent Gaussians over the rows of an embedding matrix, ``x_u ~ N(mean_u, L_u^-1)``.

    Parameters
    ----------
    mean : array (n, d)
        The prior mean of every row.
    precision : float or array, default 1.0
        A scalar, one value per row ``(n,)``, or one per dimension, ``(1, d)`` or ``(n, d)``. A 1-D array is always
        per row. Not negative; zero means that nothing is known of the row (or dimension).
    shared : array (d, d), optional
        A symmetric positive semi-definite matrix: the precision of row u is then ``precision_u * shared``, with
        `precision` a scalar or one value per row.
    origin : array (d,), optional
        The point that `centre` shrinks the means toward, for example the mean of all target rows.
        The default is the mean of this prior's own rows.

    The unit of a precision is that of the ridge of `PriorALS`: ``regularization=20`` is a precision of 20 around zero.

    Raises
    ------
    ValueError
        When shapes do not fit, or values are not finite or negative.

    Examples
    --------
    >>> import numpy as np
    >>> prior = Prior(np.ones((3, 2)), precision=4.0)
    >>> prior.temper(0.5).precision
    array(2.)
    """

    mean: Array
    precision: Array = 1.0  # type: ignore[assignment]
    shared: Array | None = field(default=None, kw_only=True)
    origin: Array | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        mean = _floating(self.mean, "mean")
        if mean.ndim != 2:
            raise ValueError(f"mean must be (n, d), got an array of shape {mean.shape}")
        n, d = mean.shape
        precision = _floating(self.precision, "precision")
        if precision.shape not in {(), (n,), (n, d), (1, d)}:
            raise ValueError(
                f"precision must be a scalar or of shape ({n},), ({n}, {d}) or (1, {d}) to fit a mean of shape "
                f"({n}, {d}), got {precision.shape}"
            )
        if precision.size and precision.min() < 0:
            raise ValueError(f"precision must not be negative, got {precision.min():g}")
        _set(self, "mean", mean)
        _set(self, "precision", precision)
        if self.shared is not None:
            _set(self, "shared", _checked_shared(self.shared, precision, d))
        if self.origin is not None:
            origin = _floating(self.origin, "origin")
            if origin.shape != (d,):
                raise ValueError(f"origin must be of shape ({d},), got {origin.shape}")
            _set(self, "origin", origin)

    def __len__(self) -> int:
        return int(self.mean.shape[0])

    @property
    def width(self) -> int:
        """Number of dimensions d."""
        return int(self.mean.shape[1])

    def __repr__(self) -> str:
        form = "shared (d, d)" if self.shared is not None else f"shape {self.precision.shape}"
        return f"Prior({len(self)} rows x {self.width}, precision {form})"

    def take(self, rows: ArrayLike) -> Prior:
        """The prior of some rows, by number or boolean mask."""
        rows = np.asarray(rows)
        per_row = self.precision.ndim > 0 and self.precision.shape[0] == len(self)
        if self.precision.ndim == 2 and len(self) == 1:  # (1, d): one row's own and everybody's are the same
            per_row = False
        precision = self.precision[rows] if per_row else self.precision
        return Prior(self.mean[rows], precision, shared=self.shared, origin=self.origin)

    def pad(self, n: int) -> Prior:
        """The prior with rows appended, up to `n` in all, that nothing is known of (zero precision)."""
        more = n - len(self)
        if more <= 0:
            return self
        precision = self.precision
        if precision.ndim == 2:
            precision = np.broadcast_to(precision, self.mean.shape)
            precision = np.vstack([precision, np.zeros((more, self.width))])
        else:
            precision = np.append(np.broadcast_to(precision, len(self)), np.zeros(more))
        mean = np.vstack([self.mean, np.zeros((more, self.width), self.mean.dtype)])
        return Prior(mean, precision, shared=self.shared, origin=self.origin)

    def centre(self, weight: float, origin: ArrayLike | None = None) -> Prior:
        """Shrink the means: ``m = m0 + weight (m - m0)``; weight 0 is the mean prior, 1 changes nothing.

        `m0` (d,) is `origin` where it is given, else the prior's own `origin`, else the mean of its rows.
        This acts at zero interactions, where a precision cannot.
        """
        if not np.isfinite(weight):
            raise ValueError(f"weight must be finite, got {weight}")
        m0 = self.origin if origin is None else _floating(origin, "origin")
        if m0 is None:
            m0 = self.mean.mean(axis=0)
        mean = m0 + weight * (self.mean - m0)
        return Prior(mean.astype(self.mean.dtype), self.precision, shared=self.shared, origin=m0)

    def temper(self, factor: float | Array) -> Prior:
        """Multiply the precision by `factor` >= 0, one for all or one per row (n,); acts from the first interaction on."""
        factor = _floating(factor, "factor")
        if factor.ndim == 1 and self.precision.ndim == 2:
            factor = factor[:, None]
        return Prior(self.mean, self.precision * factor, shared=self.shared, origin=self.origin)

    def parts(self) -> tuple[Array, Array, Array]:
        """The precision as ``L_u = row_u * (diag(spread_u) + shared)``.

        Returns `row` (n,) or (1,), `spread` (n, d) or (1, d), and `shared` (d, d), or (0, 0) where there is none.
        """
        none = np.zeros((0, 0))
        if self.shared is not None:
            return np.atleast_1d(self.precision), np.zeros((1, self.width)), self.shared
        if self.precision.ndim == 2:
            return np.ones(1), self.precision, none
        return np.atleast_1d(self.precision), np.ones((1, self.width)), none

    def matrices(self, rows: slice = slice(None)) -> Array:
        """The precision matrices (len, d, d) of a few rows, in float64; meant for blocks of rows."""
        row, spread, shared = (part.astype(np.float64) for part in self.parts())
        count = len(range(*rows.indices(len(self))))
        dense = np.zeros((count, self.width, self.width))
        diagonal = np.einsum("njj->nj", dense)
        diagonal += spread[rows] if spread.shape[0] == len(self) else spread
        if shared.size:
            dense += shared
        scale = row[rows] if row.size == len(self) else row
        return dense * scale[:, None, None]

    def compose(
        self, weights: ArrayLike, *, spread: ArrayLike | None = None, residual: ArrayLike | None = None
    ) -> Prior:
        """Push the prior through a linear map with uncertainty of its own.

        With ``m`` carrying a leading 1 and P the covariance of a row, ::

            m_new = W'[1; m],   P_new = W'PW + (1 + m'Vm + tr(VP)) residual

        Parameters
        ----------
        weights : array (1 + d, d_new)
            W, its first row the intercept.
        spread : array (1 + d, 1 + d), optional
            V, how uncertain the map is along each input; zero when left out.
        residual : array (d_new, d_new), optional
            Covariance of what the map cannot explain; zero when left out.

        Returns
        -------
        Prior
            Its covariances are projected to one shared matrix, the trace matched row by row. Rows of zero
            precision stay at zero precision.
        """
        w = _floating(weights, "weights").astype(np.float64)
        d = self.width
        if w.ndim != 2 or w.shape[0] != 1 + d:
            raise ValueError(f"weights must be (1 + {d}, d_new), got {w.shape}")
        v = np.zeros((1 + d, 1 + d)) if spread is None else np.asarray(spread, np.float64)
        psi = np.zeros((w.shape[1],) * 2) if residual is None else np.asarray(residual, np.float64)
        mean = w[0] + self.mean @ w[1:]
        trace = np.empty(len(self))
        total = np.zeros_like(psi)
        for rows, covariance in self._covariances():
            ones = np.hstack([np.ones((len(covariance), 1)), self.mean[rows]])
            uncertain = 1 + np.einsum("ni,ij,nj->n", ones, v, ones)
            uncertain += np.einsum("ij,nij->n", v[1:, 1:], covariance)
            pushed = np.einsum("ia,nij,jb->nab", w[1:], covariance, w[1:], optimize=True)
            pushed += uncertain[:, None, None] * psi
            trace[rows] = np.einsum("naa->n", pushed)
            total += np.nan_to_num(pushed, posinf=0.0, neginf=0.0).sum(axis=0)
        return _projected(mean, trace, total)

    def fuse(self, *others: Prior) -> Prior:
        """The product of independent beliefs: precisions add up, means are averaged by precision.

        Means are exact. The precision is exact while no prior has a `shared` matrix, else projected to one shared
        matrix with the trace of the covariance matched row by row.
        """
        priors = (self, *others)
        for other in others:
            if other.mean.shape != self.mean.shape:
                raise ValueError(
                    f"priors to fuse must have one shape, got {self.mean.shape} and {other.mean.shape}"
                )
        if all(prior.shared is None for prior in priors):
            return self._fuse_diagonal(priors)
        mean = np.zeros(self.mean.shape)
        trace = np.empty(len(self))
        total = np.zeros((self.width, self.width))
        for rows in _blocks(len(self)):
            precisions = [prior.matrices(rows) for prior in priors]
            covariance, known = _inverses(sum(precisions))  # type: ignore[arg-type]
            weighted = sum(
                np.einsum("nij,nj->ni", p, prior.mean[rows])
                for p, prior in zip(precisions, priors, strict=True)
            )
            mean[rows] = np.einsum("nij,nj->ni", covariance, weighted)
            trace[rows] = np.where(known, np.einsum("naa->n", covariance), np.inf)
            total += covariance.sum(axis=0)
        return _projected(mean, trace, total)

    def _fuse_diagonal(self, priors: tuple[Prior, ...]) -> Prior:
        rows = [row[:, None] * spread for row, spread, _ in (prior.parts() for prior in priors)]
        precision = sum(np.broadcast_to(row, self.mean.shape) for row in rows)
        weighted = sum(row * prior.mean for row, prior in zip(rows, priors, strict=True))
        mean = np.divide(weighted, precision, out=np.zeros(self.mean.shape), where=precision > 0)
        return Prior(mean, precision)  # type: ignore[arg-type]

    def _covariances(self) -> Iterator[tuple[slice, Array]]:
        """Blocks of covariance matrices; infinite where the precision is zero."""
        for rows in _blocks(len(self)):
            covariance, known = _inverses(self.matrices(rows))
            covariance[~known] = np.inf * np.eye(self.width).clip(1)
            yield rows, covariance


def _set(prior: Prior, name: str, value: Array) -> None:
    value.flags.writeable = False
    object.__setattr__(prior, name, value)


def _floating(values: ArrayLike, name: str) -> Array:
    array = np.array(values)
    if array.dtype.kind not in "fiu":
        raise ValueError(f"{name} must be numbers, got dtype {array.dtype}")
    if array.dtype not in (np.float32, np.float64):
        array = array.astype(np.float64)
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite, got {np.count_nonzero(~np.isfinite(array))} NaN or inf")
    return array


def _checked_shared(shared: ArrayLike, precision: Array, d: int) -> Array:
    matrix = _floating(shared, "shared").astype(np.float64)
    if matrix.shape != (d, d):
        raise ValueError(f"shared must be ({d}, {d}) to fit the mean, got {matrix.shape}")
    if precision.ndim == 2:
        raise ValueError("with a shared matrix, precision must be a scalar or per row (n,), not per dimension")
    scale = np.abs(matrix).max() if matrix.size else 0.0
    if np.abs(matrix - matrix.T).max(initial=0.0) > 1e-5 * scale:
        raise ValueError("shared must be symmetric")
    matrix = (matrix + matrix.T) / 2
    if d and np.linalg.eigvalsh(matrix)[0] < -1e-5 * scale:
        raise ValueError("shared must be positive semi-definite, it has a negative eigenvalue")
    return matrix


def _blocks(n: int) -> Iterator[slice]:
    return (slice(begin, min(begin + _BLOCK, n)) for begin in range(0, n, _BLOCK))


def _inverses(matrices: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Inverses of positive definite matrices (n, d, d); zero, and False, for a matrix of zeros."""
    known = matrices.any(axis=(1, 2))
    inverses = np.zeros_like(matrices)
    inverses[known] = np.linalg.inv(matrices[known])
    return inverses, known


def _projected(mean: Array, trace: Array, total: Array) -> Prior:
    """The prior with covariances ``trace_u * C / tr(C)``, C the sum over rows; infinite traces mean no precision."""
    values, vectors = np.linalg.eigh((total + total.T) / 2)
    values = np.maximum(values, _FLOOR * max(values[-1], np.finfo(float).tiny))
    shared = (vectors / values) @ vectors.T * values.sum()  # inverse of C / tr(C)
    precision = np.where(np.isfinite(trace) & (trace > 0), 1 / np.where(trace > 0, trace, 1), 0.0)
    return Prior(mean, precision, shared=shared)
