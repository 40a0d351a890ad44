"""Blocks of rows on threads: every row once, errors come through, BLAS held to one thread."""

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import scipy.linalg  # noqa: F401  (its BLAS is one of those that are held)
from numpy.typing import NDArray
from threadpoolctl import threadpool_info, threadpool_limits

from coldstart.threads import one_blas_thread, resolve_threads, run_blocks


def blas_threads() -> set[int]:
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


@pytest.fixture
def two_blas_threads() -> Iterator[None]:
    with threadpool_limits(2, "blas"):
        if blas_threads() != {2}:
            pytest.skip("this BLAS cannot be told to use two threads")
        yield


@pytest.mark.parametrize("num_threads", [0, 1, 2, 3, 50])
@pytest.mark.parametrize("n_rows", [0, 1, 10, 11, 35])
def test_every_row_is_worked_on_once_in_blocks_that_do_not_depend_on_threads(
    num_threads: int, n_rows: int
) -> None:
    blocks: list[tuple[int, int]] = []
    run_blocks(
        lambda start, stop: blocks.append((start, stop)), n_rows, block=10, num_threads=num_threads
    )
    expected = [(start, min(start + 10, n_rows)) for start in range(0, n_rows, 10)]
    assert sorted(blocks) == expected


def test_several_threads_work_at_a_time() -> None:
    meeting = threading.Barrier(3, timeout=20)

    def work(*_: int) -> None:
        meeting.wait()

    run_blocks(work, 3, block=1, num_threads=3)


@pytest.mark.parametrize("num_threads", [1, 2])
def test_an_error_comes_through_and_no_further_block_is_begun(num_threads: int) -> None:
    begun: list[int] = []

    def work(start: int, _: int) -> None:
        begun.append(start)
        raise OSError(f"row {start}")

    with pytest.raises(OSError, match="row 0"):
        run_blocks(work, 10_000, block=1, num_threads=num_threads)
    assert len(begun) < 10_000


def test_the_number_of_threads_is_that_asked_for_or_every_core_allowed() -> None:
    assert resolve_threads(3) == 3
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert resolve_threads(0) == allowed
    with pytest.raises(ValueError, match=r"num_threads must be 0 \(all cores\) or more, got -2"):
        resolve_threads(-2)


@pytest.mark.usefixtures("two_blas_threads")
def test_blas_has_one_thread_inside_and_gets_its_threads_back() -> None:
    with one_blas_thread():
        assert blas_threads() == {1}
        with one_blas_thread():
            assert blas_threads() == {1}
        assert blas_threads() == {1}
    assert blas_threads() == {2}


@pytest.mark.usefixtures("two_blas_threads")
def test_blas_gets_its_threads_back_after_an_error() -> None:
    with pytest.raises(ZeroDivisionError), one_blas_thread():
        1 / 0  # noqa: B018
    assert blas_threads() == {2}


@pytest.mark.usefixtures("two_blas_threads")
def test_blas_is_held_until_the_last_of_several_threads_leaves() -> None:
    entered, leave = threading.Barrier(5, timeout=20), threading.Event()

    def hold() -> None:
        with one_blas_thread():
            entered.wait()
            leave.wait(20)

    with ThreadPoolExecutor(4) as pool:
        for _ in range(4):
            pool.submit(hold)
        entered.wait()
        held = blas_threads()
        leave.set()
    assert held == {1}
    assert blas_threads() == {2}


@pytest.mark.usefixtures("two_blas_threads")
def test_work_runs_with_one_blas_thread() -> None:
    seen: list[set[int]] = []
    run_blocks(lambda *_: seen.append(blas_threads()), 4, block=2, num_threads=2)
    assert seen == [{1}, {1}]


def test_blocks_may_be_run_from_several_threads_at_once() -> None:
    def fill(seed: int) -> NDArray[np.float64]:
        values = np.zeros(1000)

        def work(start: int, stop: int) -> None:
            values[start:stop] += np.arange(start, stop) * seed

        run_blocks(work, 1000, block=7, num_threads=2)
        return values

    with ThreadPoolExecutor(4) as pool:
        for seed, values in enumerate(pool.map(fill, range(12))):
            np.testing.assert_array_equal(values, np.arange(1000) * seed)
