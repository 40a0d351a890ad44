"""Interactions come from any frame or matrix, and are frozen."""

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse as sp

from coldstart.interactions import Interactions

LOG = {
    "user": ["bob", "ann", "bob", "bob", "cem"],
    "item": [30, 10, 30, 20, 40],
    "stars": [1.0, 2.0, 5.0, 0.0, 3.0],
    "day": [5, 4, 3, 2, 1],
}
FRAMES = [pd.DataFrame, pl.DataFrame, pa.table]


@pytest.fixture(params=FRAMES, ids=["pandas", "polars", "pyarrow"])
def frame(request: pytest.FixtureRequest) -> Any:
    return request.param(LOG)


def test_every_library_gives_the_same_interactions(frame: Any) -> None:
    log = Interactions.from_frame(frame, weight="stars", timestamp="day")
    assert log.users.ids.tolist() == ["ann", "bob", "cem"]
    assert log.items.ids.tolist() == [10, 30, 40]
    assert log.user_items.toarray().tolist() == [[2, 0, 0], [0, 5, 0], [0, 0, 3]]
    assert log.timestamps is not None
    assert log.timestamps.tolist() == [4, 3, 1]
    assert log.repeated == 1


def test_a_matrix_of_any_format_is_copied() -> None:
    dense = np.array([[0, 2, 0], [1, 0, 3]])
    for make in (sp.csr_matrix, sp.csc_matrix, sp.coo_array, np.asarray):
        log = Interactions.from_csr(make(dense), users=["a", "b"])
        assert np.array_equal(log.user_items.toarray(), dense)
        assert not log.user_items.data.flags.writeable
