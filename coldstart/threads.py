"""Work over row blocks on several threads, with BLAS held to one thread.

Kernels release the GIL and are handed blocks of rows whose limits depend on nothing but the number
of rows. So results are bitwise the same for any number of threads, kernels may be called from
several threads at once, and no threading layer of numba is involved.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

__all__ = ["one_blas_thread", "resolve_threads", "run_blocks"]

AHEAD = 16  # blocks that wait for each thread: all of them would need memory


def resolve_threads(num_threads: int) -> int:
    """Number of threads to use: `num_threads`, or every core this process may use when it is 0."""
    if num_threads < 0:
        raise ValueError(f"num_threads must be 0 (all cores) or more, got {num_threads}")
    if num_threads:
        return num_threads
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def run_blocks(
    work: Callable[[int, int], Any],
    n_rows: int,
    *,
    block: int,
    num_threads: int = 0,
    collect: Callable[[Any], Any] | None = None,
) -> None:
    """Call `work(start, stop)` for every block of `block` rows, dealt out as threads get free.

    What it returns goes to `collect`, in the order of the blocks and in this thread: sums are
    bitwise the same for any number of threads. After an error no further block is begun.
    """
    collect = collect or (lambda _: None)
    starts = range(0, n_rows, block)
    threads = min(resolve_threads(num_threads), len(starts))
    with one_blas_thread():
        if threads <= 1:
            for start in starts:
                collect(work(start, min(start + block, n_rows)))
            return
        with ThreadPoolExecutor(threads, initializer=_BLAS_LIMIT.apply) as pool:
            pending: deque[Future[Any]] = deque()
            try:
                for start in starts:
                    pending.append(pool.submit(work, start, min(start + block, n_rows)))
                    if len(pending) > AHEAD * threads:
                        collect(pending.popleft().result())
                while pending:
                    collect(pending.popleft().result())
            finally:
                for future in pending:
                    future.cancel()


class _BlasLimit:
    """Counts who holds BLAS to one thread; the last one to leave gives the threads back."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holders = 0
        self._libraries: list[Any] = []
        self._before: list[int] = []

    def acquire(self) -> None:
        with self._lock:
            if self._holders == 0:
                self._libraries = self._libraries or _blas_libraries()
                self._before = [library.get_num_threads() for library in self._libraries]
                self._set([1] * len(self._libraries))
            self._holders += 1

    def apply(self) -> None:
        """Set the limit in this thread too: where BLAS is built on OpenMP each has its own."""
        with self._lock:
            self._set([1] * len(self._libraries))

    def release(self) -> None:
        with self._lock:
            self._holders -= 1
            if self._holders == 0:
                self._set(self._before)

    def _set(self, numbers: list[int]) -> None:
        for library, number in zip(self._libraries, numbers, strict=True):
            # threadpoolctl 3.8 obeys one thread and ignores all others, until told to forget it
            forget = getattr(library, "clear_controlling_thread", lambda **_: None)
            forget(force=True)
            library.set_num_threads(number)
            forget(force=True)


def _blas_libraries() -> list[Any]:
    import scipy.linalg  # noqa: F401  (compiled code calls its BLAS: load it first)
    from threadpoolctl import ThreadpoolController

    return list(ThreadpoolController().select(user_api="blas").lib_controllers)


_BLAS_LIMIT = _BlasLimit()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Hold BLAS to one thread for the duration; may be nested and entered from several threads."""
    _BLAS_LIMIT.acquire()
    try:
        yield
    finally:
        _BLAS_LIMIT.release()
