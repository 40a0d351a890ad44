"""The basis in which everything that the equations of many rows share is diagonal."""

from __future__ import annotations

from functools import lru_cache
from math import isqrt
from typing import Any, NamedTuple

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from coldstart.threads import one_blas_thread

__all__ = ["SharedBasis", "shared_basis"]

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

REMEMBERED = 12
CONDITION = 1e-7  # smallest eigenvalue, as a share of the largest, of what has such a basis


class SharedBasis(NamedTuple):
    """T (d, d) with ``T' gram T = I`` and ``T' shape T = diag(scale)``."""

    double: Doubles
    single: Floats
    back: Floats  # T'
    scale: Doubles
    reach: float  # the spectral norm of T

    @property
    def inside(self) -> tuple[Floats, Floats, Doubles, float]:
        """What `kernels` call `basis`."""
        return self.single, self.back, self.scale, self.reach


def shared_basis(gram: Any, shape: Any) -> SharedBasis | None:
    """The basis of two matrices (d, d), the first positive definite, the second not negative.

    None where `gram` is so nearly singular that T would lose the digits of float32. The last ones
    are remembered, for rows that come one by one and for folds that come in turn.
    """
    return _shared_basis(*(np.asarray(given, np.float64).tobytes() for given in (gram, shape)))


@lru_cache(maxsize=REMEMBERED)
def _shared_basis(*contents: bytes) -> SharedBasis | None:
    arrays = map(np.frombuffer, contents)
    gram, shape = (array.reshape(2 * [isqrt(array.size)]) for array in arrays)
    with one_blas_thread():
        sizes = np.linalg.eigvalsh(gram)
        if not sizes[0] > CONDITION * sizes[-1]:
            return None
        root = np.linalg.cholesky(gram)
        half = scipy.linalg.solve_triangular(root, shape, lower=True)
        middle = scipy.linalg.solve_triangular(root, half.T, lower=True)
        scale, vectors = np.linalg.eigh((middle + middle.T) / 2)
        basis = np.ascontiguousarray(scipy.linalg.solve_triangular(root.T, vectors, lower=False))
    single = basis.astype(np.float32)
    back = np.ascontiguousarray(single.T)
    return SharedBasis(basis, single, back, np.maximum(scale, 0.0), float(sizes[0]) ** -0.5)
