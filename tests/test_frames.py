"""Tables of pandas, polars and pyarrow are read alike, and refused alike."""

from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from coldstart.errors import DataError
from coldstart.interactions import Interactions

Make = Callable[[dict[str, list[Any]]], Any]
LOG = {
    "user": ["bob", "ann", "bob", "bob", "cem"],
    "item": [30, 10, 30, 20, 40],
    "stars": [1.0, 2.0, 5.0, 0.0, 3.0],
    "day": [5, 4, 3, 2, 1],
}


@pytest.fixture(params=[pd.DataFrame, pl.DataFrame, pa.table], ids=["pandas", "polars", "pyarrow"])
def make(request: pytest.FixtureRequest) -> Any:
    return request.param


def timestamps(make: Make, values: list[Any]) -> list[int]:
    """Read one interaction of user n per time."""
    frame = make({"user": list(range(len(values))), "item": [0] * len(values), "time": values})
    times = Interactions.from_frame(frame, timestamp="time").timestamps
    assert times is not None
    return [int(time) for time in times]


def test_every_library_gives_the_same_interactions(make: Make) -> None:
    log = Interactions.from_frame(make(LOG), weight="stars", timestamp="day")
    assert log.users.ids.tolist() == ["ann", "bob", "cem"]
    assert log.items.ids.tolist() == [10, 30, 40]
    assert log.user_items.toarray().tolist() == [[2, 0, 0], [0, 5, 0], [0, 0, 3]]
    assert log.timestamps is not None
    assert log.timestamps.tolist() == [4, 3, 1]
    assert log.repeated == 1


def test_without_a_weight_every_row_counts_one(make: Make) -> None:
    log = Interactions.from_frame(make(LOG))
    assert log.user_items.data.tolist() == [1.0] * 4
    assert log.timestamps is None


def test_columns_go_by_any_name(make: Make) -> None:
    log = Interactions.from_frame(make(LOG), user="item", item="user")
    assert log.shape == (4, 3)


def test_weights_may_be_integers_or_booleans(make: Make) -> None:
    frame = make({"user": [1, 2], "item": [3, 4], "n": [7, 1], "liked": [True, False]})
    assert Interactions.from_frame(frame, weight="n").user_items.data.tolist() == [7.0, 1.0]
    assert Interactions.from_frame(frame, weight="liked").shape == (1, 1)


def test_a_trailing_nul_is_part_of_an_id(make: Make) -> None:
    log = Interactions.from_frame(make({"user": ["a", "a\0"], "item": ["x", "x"]}))
    assert list(log.users) == ["a", "a\0"]


def test_pandas_categories_and_nullable_integers_are_ids() -> None:
    users = pd.Categorical(["b", "a"], categories=["unused", "b", "a"])
    frame = pd.DataFrame({"user": users, "item": pd.array([2, 1], dtype="Int64")}, index=[9, 9])
    log = Interactions.from_frame(frame)
    assert (list(log.users), list(log.items)) == (["a", "b"], [1, 2])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1400000000, -5], [1400000000, -5]),
        ([2.0, 1.0], [2, 1]),
        ([1.5, 0.25, 1.5], [1, 0, 1]),
        ([1e300, -1e300], [1, 0]),
        (["10", "9"], [10, 9]),
        (["1.5", "0.25"], [1, 0]),
        (["1970-01-02", "1969-12-31"], [86_400_000_000, -86_400_000_000]),
        (["1970-01-01T00:00:01Z", "1970-01-01 01:00:00+01:00"], [1_000_000, 0]),
        ([date(1970, 1, 2), date(1970, 1, 1)], [86_400_000_000, 0]),
        ([datetime(1970, 1, 1, 0, 0, 1), datetime(1970, 1, 1)], [1_000_000, 0]),
        ([datetime(1970, 1, 1, 1, tzinfo=timezone(timedelta(hours=1)))], [0]),
    ],
)
def test_times_of_every_form_keep_their_order(
    make: Make, values: list[Any], expected: list[int]
) -> None:
    assert timestamps(make, values) == expected


def test_integers_keep_their_order_beyond_what_floats_tell_apart(make: Make) -> None:
    assert timestamps(make, [2**60 + 1, 2**60]) == [2**60 + 1, 2**60]
    assert timestamps(make, [str(2**60 + 1), str(2**60)]) == [2**60 + 1, 2**60]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["soon", "later"], "column 'time' holds no points in time: Invalid isoformat"),
        ([1, None], "column 'time' has 1 null timestamps in 2 rows: drop those rows"),
        ([float("inf"), 1.0], "1 of 2 are NaN or infinite"),
        (["nan", "1"], "column 'time' holds no points in time: .*'nan'"),
        ([True, False], "expected a number, a date or an ISO 8601 string"),
        ([timedelta(1), timedelta(2)], "expected a number, a date or an ISO 8601 string"),
    ],
)
def test_what_is_no_time_is_refused(make: Make, values: list[Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        timestamps(make, values)


@pytest.mark.parametrize("weight", [float("nan"), None, float("inf"), -1.0, 1e300])
def test_a_weight_that_is_none_names_its_pair(make: Make, weight: float | None) -> None:
    frame = make({"user": ["a", "b", "b"], "item": [1, 2, 2], "w": [1.0, weight, 3.0]})
    expected = (
        r"1 of 3 weights are NaN, infinite or negative, the first is \S+ of user 'b' and item 2"
    )
    with pytest.raises(DataError, match=expected):
        Interactions.from_frame(frame, weight="w")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"user": ["a", None]}, "column 'user' has 1 null ids in 2 rows: drop those rows"),
        ({"item": [1, None]}, "column 'item' has 1 null ids in 2 rows"),
        ({"item": [1.0, 2.5]}, "column 'item': ids must be integers or strings, got the float 2.5"),
        ({"user": [True, False]}, "column 'user': ids must be integers or strings, got bool"),
        ({"user": [b"a", b"b"]}, "column 'user': ids must be integers or strings, got bytes"),
        ({"w": ["1", "x"]}, "column 'w' holds .*, but weights must be numbers"),
        ({"w": [0.0, 0.0]}, "all 2 weights are 0: no interaction is left"),
    ],
)
def test_a_bad_column_is_named(make: Make, columns: dict[str, list[Any]], message: str) -> None:
    frame = make({"user": ["a", "b"], "item": [1, 2], "w": [1.0, 1.0], **columns})
    with pytest.raises(DataError, match=message):
        Interactions.from_frame(frame, weight="w")


def test_a_missing_column_lists_those_there_are(make: Make) -> None:
    with pytest.raises(
        DataError, match="no column 'User'; the columns are 'user', 'item', 'stars'"
    ):
        Interactions.from_frame(make(LOG), user="User")


def test_a_table_without_rows_is_refused(make: Make) -> None:
    with pytest.raises(DataError, match="the table has no rows"):
        Interactions.from_frame(make({"user": [], "item": []}))


def test_two_columns_of_one_name_are_refused() -> None:
    frame = pd.DataFrame(np.ones((2, 3), dtype=int), columns=["user", "user", "item"])
    with pytest.raises(DataError, match="column names must be unique"):
        Interactions.from_frame(frame)


@pytest.mark.parametrize("frame", [LOG, pl.LazyFrame(LOG), None, [("ann", "x")]])
def test_what_is_no_table_is_a_type_error(frame: Any) -> None:
    with pytest.raises(
        TypeError, match="frame must be a DataFrame of pandas or polars, or a Table"
    ):
        Interactions.from_frame(frame)
