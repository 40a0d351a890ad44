"""A ridge map from many features, most of them zero, to a few outputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg as la
import scipy.sparse as sp
from numpy.typing import NDArray

from .base import Array

__all__ = ["FeatureMap", "rows_told"]

DIRECT = 1024  # features, or rows, up to which the normal equations are factorised
STEPS = 500  # of conjugate gradients at most


@dataclass(frozen=True, eq=False)
class FeatureMap:
    """Linear map with intercept, ``t = b + W'(f - f0)``.

    With F the features less their weighted mean f0, D the weights and T the outputs, W minimises ::

        sum_u w_u |t_u - t0 - W'(f_u - f0)|^2 + rho |W|^2,    rho = ridge sum_u w_u |f_u - f0|^2 / n

    so that `ridge` is about how much more of an output is noise than follows from features, however
    many rows there are. One of three ways leads there, and none makes a dense copy of sparse
    features: ``W = (F'DF + rho I)^-1 F'DT`` for few features, ``W = F'(FF' + rho D^-1)^-1 T`` for
    few rows, else conjugate gradients, which need F and F' times a matrix as wide as the outputs.
    Rows are centred in these products, not in F.

    Parameters
    ----------
    mean : array (p,), f0
    coef : array (p, d), W
    intercept : array (d,), b

    References
    ----------
    Hoerl and Kennard (1970), Ridge Regression: Biased Estimation for Nonorthogonal Problems.
    Saunders, Gammerman and Vovk (1998), Ridge Regression Learning Algorithm in Dual Variables.
    Hestenes and Stiefel (1952), Methods of Conjugate Gradients for Solving Linear Systems.
    """

    mean: Array
    coef: Array
    intercept: Array

    @classmethod
    def of(
        cls,
        features: Any,
        target: NDArray[np.floating],
        weight: Array,
        *,
        ridge: float,
        origin: Array | None = None,
        pseudo_rows: float = 0.0,
        tolerance: float = 1e-8,
    ) -> FeatureMap:
        """Fit n rows: `features` (n, p) dense or CSR, `target` (n, d), `weight` (n,).

        The intercept is the mean of the target rows together with `pseudo_rows` rows at `origin`
        (d,). `tolerance` is what conjugate gradients leave of the right-hand side.
        """
        n = weight.sum()
        root = np.sqrt(weight)
        t = target.astype(np.float64)
        t0 = weight @ t / n
        rows = _Centred.of(features, weight)
        rho = ridge * (rows.sizes.sum() / n or 1.0)
        t -= t0
        t *= root[:, None]
        p = len(rows.mean)
        if p <= DIRECT:
            gram = rows.gram()
            gram.flat[:: p + 1] += rho
            coef = la.solve(gram, rows.transposed(t), assume_a="pos", overwrite_a=True)
        elif len(t) <= DIRECT:
            kernel = rows.kernel()
            kernel.flat[:: len(t) + 1] += rho
            coef = rows.transposed(la.solve(kernel, t, assume_a="pos", overwrite_a=True))
        else:
            coef = _conjugate_gradients(rows, rho, rows.transposed(t), tolerance)
        b = t0 if origin is None else (pseudo_rows * origin + n * t0) / (pseudo_rows + n)
        return cls(rows.mean, coef, b)

    def predict(self, features: Any) -> Array:
        """Outputs (m, d) for `features` (m, p)."""
        said: Array = np.asarray(features @ self.coef, np.float64)
        said += self.intercept - self.mean @ self.coef
        return said


@dataclass(frozen=True, eq=False)
class _Centred:
    """Products with ``A = D^1/2 (F - 1 f0')`` (n, p), which is never formed.

    `rows` is F (n, p), `mean` f0 (p,), `root` the square roots of the weights (n,), and `sizes` the
    diagonal of A'A (p,).
    """

    rows: Any
    mean: Array
    root: Array
    sizes: Array

    @classmethod
    def of(cls, features: Any, weight: Array) -> _Centred:
        rows = features.astype(np.float64)
        mean = rows.T @ weight / weight.sum()
        squares = rows.multiply(rows) if sp.issparse(rows) else rows**2
        sizes = squares.T @ weight - weight.sum() * mean**2
        return cls(rows, mean, np.sqrt(weight), np.maximum(sizes, 0.0))

    def times(self, matrix: Array) -> Array:
        """A times `matrix` (p, d)."""
        product: Array = self.rows @ matrix - self.mean @ matrix
        return product * self.root[:, None]

    def transposed(self, matrix: Array) -> Array:
        """A' times `matrix` (n, d)."""
        weighted = matrix * self.root[:, None]
        product: Array = self.rows.T @ weighted - np.outer(self.mean, weighted.sum(axis=0))
        return product

    def gram(self) -> Array:
        """A'A (p, p)."""
        weight = self.root**2
        sparse = sp.issparse(self.rows)
        weighted = sp.diags(weight) @ self.rows if sparse else weight[:, None] * self.rows
        product = self.rows.T @ weighted
        gram: Array = _dense(product) - weight.sum() * np.outer(self.mean, self.mean)
        return gram

    def kernel(self) -> Array:
        """AA' (n, n)."""
        along = self.rows @ self.mean
        product = _dense(self.rows @ self.rows.T) - along[:, None] - along + self.mean @ self.mean
        kernel: Array = product * np.outer(self.root, self.root)
        return kernel


def rows_told(features: Any) -> NDArray[np.bool_]:
    """Rows (n,) of `features` (n, p) that are not zeros."""
    told: NDArray[np.bool_] = np.asarray((features != 0).sum(axis=1)).ravel() > 0
    return told


def _dense(product: Any) -> Array:
    array: Array = product.toarray() if sp.issparse(product) else product
    return array


def _conjugate_gradients(rows: _Centred, rho: float, moment: Array, tolerance: float) -> Array:
    """``(A'A + rho I)^-1 moment`` (p, d), every column by steps of its own, preconditioned by the
    diagonal.
    """
    diagonal = (rows.sizes + rho)[:, None]
    solution, residual = np.zeros_like(moment), moment.copy()
    direction = residual / diagonal
    size = np.einsum("ij,ij->j", residual, direction)
    enough = tolerance**2 * size
    for _ in range(STEPS):
        if (size <= enough).all():
            break
        onward = rows.transposed(rows.times(direction)) + rho * direction
        curvature = np.einsum("ij,ij->j", direction, onward)
        step = np.divide(size, curvature, out=np.zeros_like(size), where=curvature > 0)
        solution += step * direction
        residual -= step * onward
        scaled = residual / diagonal
        before, size = size, np.einsum("ij,ij->j", residual, scaled)
        direction *= np.divide(size, before, out=np.zeros_like(size), where=before > 0)
        direction += scaled
    return solution
