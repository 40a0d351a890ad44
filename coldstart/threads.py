"""Work over row blocks on several threads, with BLAS held to one thread.

Kernels release the GIL and are handed blocks of rows whose limits depend on nothing but the number
of rows. So results are bitwise the same for any number of threads, kernels may be called from
several threads at once, and no threading layer of numba is involved.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

__all__ = ["one_blas_thread", "resolve_threads", "run_blocks"]


def resolve_threads(num_threads: int) -> int:
    """Number of threads to use: `num_threads`, or every core this process may use when it is 0."""
    if num_threads < 0:
        raise ValueError(f"num_threads must be 0 (all cores) or more, got {num_threads}")
    if num_threads:
        return num_threads
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def run_blocks(
    work: Callable[[int, int], None], n_rows: int, *, block: int, num_threads: int = 0
) -> None:
    """Call `work(start, stop)` for every block of `block` rows, dealt out as threads get free.

    After an error no further block is begun.
    """
    blocks = [(start, min(start + block, n_rows)) for start in range(0, n_rows, block)]
    threads = min(resolve_threads(num_threads), len(blocks))
    with one_blas_thread():
        if threads <= 1:
            for start, stop in blocks:
                work(start, stop)
            return
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(lambda limits: work(*limits), blocks))


class _BlasLimit:
    """Counts who holds BLAS to one thread; the last one to leave gives the threads back."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holders = 0
        self._controller: Any = None
        self._limit: Any = None

    def acquire(self) -> None:
        with self._lock:
            if self._holders == 0:
                if self._controller is None:
                    import scipy.linalg  # noqa: F401  (compiled code calls its BLAS: load it first)
                    from threadpoolctl import ThreadpoolController

                    self._controller = ThreadpoolController()
                self._limit = self._controller.limit(limits=1, user_api="blas")
            self._holders += 1

    def release(self) -> None:
        with self._lock:
            self._holders -= 1
            if self._holders == 0:
                self._limit.restore_original_limits()


_BLAS_LIMIT = _BlasLimit()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Hold BLAS to one thread for the duration; may be nested and entered from several threads."""
    _BLAS_LIMIT.acquire()
    try:
        yield
    finally:
        _BLAS_LIMIT.release()
