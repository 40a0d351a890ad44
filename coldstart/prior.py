"""What is believed of embedding rows before any interaction: a Gaussian per row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeGuard

import numpy as np
from numpy.typing import ArrayLike, NDArray

from coldstart.threads import run_blocks

__all__ = ["Prior", "all_finite"]

Array = NDArray[np.floating]

_BLOCK = 512  # rows whose (d, d) matrices are held at one time
_CHECKED = 4096  # rows looked through at one time
_FLOOR = 1e-10  # smallest eigenvalue of a covariance to be inverted, as a share of the largest
_SINGULAR = 1e12  # a matrix and its inverse whose traces multiply to more have no inverse


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Prior:
    """Independent Gaussians over the rows of an embedding matrix, ``x_u ~ N(mean_u, L_u^-1)``.

    Parameters
    ----------
    mean : array (n, d)
        The prior mean of every row.
    precision : float or array, default 1.0
        A scalar, one value per row ``(n,)``, or one per dimension, ``(1, d)`` or ``(n, d)``. A 1-D
        array is always per row. Not negative; zero means that nothing is known of the row (or
        dimension).
    shared : array (d, d), optional
        A symmetric positive semi-definite matrix: the precision of row u is then
        ``precision_u * shared``, with `precision` a scalar or one value per row.
    origin : array (d,), optional
        The point that `centre` shrinks the means toward, for example the mean of all target rows.
        The default is the mean of this prior's own rows.

    The unit of a precision is that of the ridge of `PriorALS`: ``regularization=20`` is a precision
    of 20 around zero. Arrays are read-only, and copied where they are not so already.

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
    precision: Array
    shared: Array | None
    origin: Array | None

    def __init__(
        self,
        mean: ArrayLike,
        precision: ArrayLike = 1.0,
        *,
        shared: ArrayLike | None = None,
        origin: ArrayLike | None = None,
    ) -> None:
        mean = _floating(mean, "mean")
        if mean.ndim != 2:
            raise ValueError(f"mean must be (n, d), got an array of shape {mean.shape}")
        precision = _checked_precision(precision, *mean.shape)
        if shared is not None:
            shared = _checked_shared(shared, precision, mean.shape[1])
        if origin is not None:
            origin = _shaped(_floating(origin, "origin"), mean.shape[1:], "origin")
        for name, array in zip(_FIELDS, (mean, precision, shared, origin), strict=True):
            if array is not None:
                array.flags.writeable = False
            object.__setattr__(self, name, array)

    def __len__(self) -> int:
        return int(self.mean.shape[0])

    @property
    def width(self) -> int:
        """Number of dimensions d."""
        return int(self.mean.shape[1])

    def __repr__(self) -> str:
        form = "shared (d, d)" if self.shared is not None else f"shape {self.precision.shape}"
        return f"Prior({len(self)} rows x {self.width}, precision {form})"

    def __reduce__(self) -> tuple[object, tuple[Array | None, ...]]:
        return _rebuilt, tuple(getattr(self, name) for name in _FIELDS)

    def _replaced(self, mean: Array, precision: Array, origin: Array | None = None) -> Prior:
        """The same prior with other rows; its shared matrix is known to be valid."""
        prior = Prior(mean, precision, origin=self.origin if origin is None else origin)
        object.__setattr__(prior, "shared", self.shared)
        return prior

    def take(self, rows: ArrayLike) -> Prior:
        """The prior of some rows, by number or boolean mask."""
        rows = np.asarray(rows)
        per_row = self.precision.shape in {(len(self),), self.mean.shape}
        precision = self.precision[rows] if per_row else self.precision
        return self._replaced(self.mean[rows], precision)

    def pad(self, n: int, mean: ArrayLike | None = None) -> Prior:
        """The prior with rows appended, up to `n` in all.

        They are known nothing of (zero precision), or, given a `mean` (d,), stand there with the
        average precision.
        """
        more = n - len(self)
        if more <= 0:
            return self
        precision = self.precision
        if precision.ndim == 2:
            precision = np.broadcast_to(precision, self.mean.shape)
        else:
            precision = np.broadcast_to(precision, (len(self),))
        added = np.zeros((more, *precision.shape[1:]))
        means = np.zeros((more, self.width), self.mean.dtype)
        if mean is not None:
            means += _floating(mean, "mean").astype(means.dtype)
            added += precision.mean(axis=0)
        return self._replaced(
            np.concatenate([self.mean, means]),
            np.concatenate([precision, added]),
        )

    def centre(self, weight: float | Array, origin: ArrayLike | None = None) -> Prior:
        """Shrink the means: ``m = m0 + weight (m - m0)``; 0 is the mean prior, 1 changes nothing.

        `weight` is one number, or one per row (n,). `m0` (d,) is `origin` where it is given, else
        the prior's own `origin`, else the mean of its rows. This acts at zero interactions, where
        a precision cannot.
        """
        weights = _floating(weight, "weight")
        m0 = self.origin if origin is None else _floating(origin, "origin")
        if m0 is None:
            m0 = self.mean.mean(axis=0)
        mean = m0 + weights.reshape(-1, 1) * (self.mean - m0)
        return self._replaced(mean.astype(self.mean.dtype), self.precision, m0)

    def pulled_by(self, slope: Array) -> Prior:
        """The prior times ``exp(slope'x)``, with a slope (n, d) for each row: means move by
        ``L^-1 slope``. Every precision has to be positive.
        """
        row, spread, shared = self.parts()
        moved = np.linalg.solve(shared, slope.T).T if shared.size else slope / spread
        mean = self.mean + moved / row[:, None]
        return self._replaced(mean.astype(self.mean.dtype), self.precision)

    def temper(self, factor: float | Array) -> Prior:
        """Multiply the precision by `factor` >= 0, one for all or one per row (n,).

        This acts from the first interaction on.
        """
        factor = _floating(factor, "factor")
        if factor.ndim:
            factor = _shaped(factor, (len(self),), "factor")
        if factor.ndim and self.precision.ndim == 2:
            factor = factor[:, None]
        return self._replaced(self.mean, self.precision * factor)

    def parts(self) -> tuple[Array, Array, Array]:
        """The precision as ``L_u = row_u * (diag(spread_u) + shared)``.

        Returns `row` (n,) or (1,), `spread` (n, d) or (1, d), and `shared` (d, d), or (0, 0) where
        there is none.
        """
        none = np.zeros((0, 0))
        if self.shared is not None:
            return np.atleast_1d(self.precision), np.zeros((1, self.width)), self.shared
        if self.precision.ndim == 2:
            return np.ones(1), self.precision, none
        return np.atleast_1d(self.precision), np.ones((1, self.width)), none

    def matrices(self, rows: slice = slice(None)) -> Array:
        """The precision matrices (len, d, d) of a block of rows, in float64."""
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
        self,
        weights: ArrayLike,
        *,
        spread: ArrayLike | None = None,
        residual: ArrayLike | None = None,
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
            Its covariances are projected to one shared matrix, the trace matched row by row. A row
            that is not known in every dimension ends at zero precision.
        """
        w = _floating(weights, "weights").astype(np.float64)
        if w.ndim != 2 or w.shape[0] != 1 + self.width:
            raise ValueError(f"weights must be (1 + {self.width}, d_new), got {w.shape}")
        v = _square(spread, w.shape[0], "spread")
        psi = _square(residual, w.shape[1], "residual")
        variances, shape = self._variances()
        known = np.isfinite(variances).all(axis=1)
        variances[~known] = 0

        def traces(matrix: Array) -> Array:  # tr(matrix P_u), (n,)
            return variances @ (matrix.diagonal() if shape is None else [np.sum(matrix * shape)])

        total = np.diag(variances.sum(axis=0)) if shape is None else variances.sum() * shape
        ones = np.hstack([np.ones((len(self), 1)), self.mean])
        uncertain = 1 + np.einsum("ni,ij,nj->n", ones, v, ones, optimize=True) + traces(v[1:, 1:])
        trace = traces(w[1:] @ w[1:].T) + uncertain * np.trace(psi)
        total = w[1:].T @ total @ w[1:] + uncertain[known].sum() * psi
        return _projected(ones @ w, np.where(known, trace, np.inf), total)

    def fuse(self, *others: Prior) -> Prior:
        """The product of independent beliefs: precisions add up, means are averaged by precision.

        Exact while no prior has a `shared` matrix. Else means are exact and precisions projected to
        one shared matrix, the trace of the covariance matched row by row; a row that is not known
        in every direction ends at zero precision.
        """
        priors = (self, *others)
        for other in others:
            if other.mean.shape != self.mean.shape:
                shapes = f"{self.mean.shape} and {other.mean.shape}"
                raise ValueError(f"priors to fuse must have one shape, got {shapes}")
        if all(prior.shared is None for prior in priors):
            return self._fuse_diagonal(priors)
        mean = np.zeros(self.mean.shape)
        trace = np.empty(len(self))
        total = np.zeros((self.width, self.width))
        for rows in _blocks(len(self)):
            precisions = np.stack([prior.matrices(rows) for prior in priors])  # (k, len, d, d)
            means = np.stack([prior.mean[rows] for prior in priors])
            covariance, known = _inverses(precisions.sum(axis=0))
            weighted = np.einsum("knij,knj->ni", precisions, means)
            mean[rows] = np.einsum("nij,nj->ni", covariance, weighted)
            trace[rows] = np.where(known, np.einsum("njj->n", covariance), np.inf)
            total += covariance.sum(axis=0)
        return _projected(mean, trace, total, self.origin)

    def _fuse_diagonal(self, priors: tuple[Prior, ...]) -> Prior:
        parts = [prior.parts() for prior in priors]
        rows = np.stack([np.broadcast_to(r[:, None] * s, self.mean.shape) for r, s, _ in parts])
        precision = rows.sum(axis=0)
        weighted = (rows * [prior.mean for prior in priors]).sum(axis=0)
        mean = np.divide(weighted, precision, out=np.zeros(self.mean.shape), where=precision > 0)
        return Prior(mean, precision, origin=self.origin)

    def _variances(self) -> tuple[Array, Array | None]:
        """Covariances: `variances` (n, 1) times a `shape` (d, d), or diagonal, `variances` (n, d).

        Infinite where the precision is zero.
        """
        row, spread, shared = (part.astype(np.float64) for part in self.parts())
        shape = None
        if shared.size:
            (shape,), known = _inverses(shared[None])
            spread = known[:, None].astype(np.float64)
        with np.errstate(divide="ignore"):
            variances = 1 / (row[:, None] * spread)
        return np.broadcast_to(variances, (len(self), variances.shape[1])).copy(), shape


_FIELDS = ("mean", "precision", "shared", "origin")


def _rebuilt(mean: Array, precision: Array, shared: Array | None, origin: Array | None) -> Prior:
    return Prior(mean, precision, shared=shared, origin=origin)


def all_finite(array: Array) -> bool:
    """Whether no value is NaN or infinite, found without a temporary array as large."""
    if array.ndim and len(array) > _CHECKED:
        found: list[bool] = []
        run_blocks(
            lambda start, stop: all_finite(array[start:stop]),
            len(array),
            block=_CHECKED,
            collect=found.append,
        )
        return all(found)
    return not array.size or bool(np.isfinite(array.min()) and np.isfinite(array.max()))


def _floating(values: ArrayLike, name: str) -> Array:
    array = values if _is_frozen(values) else np.array(values)
    if array.dtype.kind not in "fiu":
        raise ValueError(f"{name} must be numbers, got dtype {array.dtype}")
    if array.dtype not in (np.float32, np.float64):
        array = array.astype(np.float64)
    if not all_finite(array):
        bad = np.count_nonzero(~np.isfinite(array))
        raise ValueError(f"{name} must be finite, got {bad} NaN or inf")
    return array


def _is_frozen(values: ArrayLike) -> TypeGuard[Array]:
    """Whether nobody can change `values` through this array or one that it is a view of."""
    if type(values) is not np.ndarray or values.flags.writeable:
        return False
    mapped = isinstance(values.base, np.memmap) and values.base.mode == "r"
    return values.flags.owndata or mapped


def _shaped(array: Array, shape: tuple[int, ...], name: str) -> Array:
    if array.shape != shape:
        raise ValueError(f"{name} must be of shape {shape}, got {array.shape}")
    return array


def _square(matrix: ArrayLike | None, d: int, name: str) -> Array:
    if matrix is None:
        return np.zeros((d, d))
    return _shaped(_floating(matrix, name).astype(np.float64), (d, d), name)


def _checked_precision(precision: ArrayLike, n: int, d: int) -> Array:
    array = _floating(precision, "precision")
    if array.shape not in {(), (n,), (n, d), (1, d)}:
        raise ValueError(
            f"precision must be a scalar or of shape ({n},), ({n}, {d}) or (1, {d}) "
            f"to fit a mean of shape ({n}, {d}), got {array.shape}"
        )
    if array.min(initial=0.0) < 0:
        raise ValueError(f"precision must not be negative, got {array.min():g}")
    return array


def _checked_shared(shared: ArrayLike, precision: Array, d: int) -> Array:
    matrix = _square(shared, d, "shared")
    if precision.ndim == 2:
        raise ValueError(
            f"with a shared matrix, precision must be a scalar or (n,), got {precision.shape}"
        )
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
    """Inverses of positive semi-definite (n, d, d); zero, and False, for a matrix without one."""
    d = matrices.shape[1]
    size = np.einsum("njj->n", matrices)
    lifted = matrices + np.where(size > 0, 1e-15 * size, 1.0)[:, None, None] * np.eye(d)
    inverses = np.linalg.inv(lifted)
    lost = np.einsum("njj->n", inverses) * size
    known: NDArray[np.bool_] = np.logical_and(size > 0, lost < _SINGULAR)
    inverses[~known] = 0
    return inverses, known


def _projected(mean: Array, trace: Array, total: Array, origin: Array | None = None) -> Prior:
    """The prior with covariances ``trace_u * C / tr(C)``, C the sum over rows of finite trace.

    An infinite trace means no precision.
    """
    if np.isinf(trace).all():
        return Prior(mean, np.zeros(len(mean)), origin=origin)
    values, vectors = np.linalg.eigh((total + total.T) / 2)
    if values[-1] <= 0:
        raise ValueError("the map leaves no variance: give it a residual")
    values = np.maximum(values, _FLOOR * values[-1])
    shared = (vectors / values) @ vectors.T * values.sum()  # inverse of C / tr(C)
    return Prior(mean, 1 / trace, shared=shared, origin=origin)
