"""Interactions come from any frame or matrix, are canonical, and cannot be changed."""

import pickle
from typing import Any

import numpy as np
import polars as pl
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from coldstart.errors import DataError
from coldstart.interactions import Interactions
from coldstart.vocabulary import Vocabulary

# One row per interaction: user, item, weight, time. Pairs repeat, some weights are 0.
ROWS = st.lists(
    st.tuples(st.sampled_from("abcd"), st.integers(-3, 3), st.integers(0, 4), st.integers(-9, 9)),
    min_size=1,
    max_size=15,
).filter(lambda rows: any(row[2] for row in rows))
Row = tuple[str, int, int, int]
NAMES = ("user", "item", "weight", "time")


def read(rows: list[Row]) -> Interactions:
    frame = pl.DataFrame(rows, schema=NAMES, orient="row")
    return Interactions.from_frame(frame, weight="weight", timestamp="time")


def as_dict(log: Interactions) -> dict[tuple[Any, Any], tuple[float, int]]:
    """Pair of ids -> weight and time."""
    assert log.timestamps is not None
    entries = log.user_items.tocoo()
    pairs = zip(log.users.ids[entries.row], log.items.ids[entries.col], strict=True)
    return dict(zip(pairs, zip(entries.data, log.timestamps, strict=True), strict=True))


class TestProperties:
    @given(ROWS)
    def test_pairs_keep_the_largest_weight_and_the_earliest_time(self, rows: list[Row]) -> None:
        expected: dict[tuple[str, int], tuple[int, int]] = {}
        for user, item, weight, time in rows:
            if weight:
                old = expected.get((user, item), (weight, time))
                expected[user, item] = max(old[0], weight), min(old[1], time)
        log = read(rows)
        assert as_dict(log) == expected
        assert log.repeated == sum(row[2] > 0 for row in rows) - len(expected)

    @given(ROWS, st.data())
    def test_the_order_of_rows_does_not_matter(self, rows: list[Row], data: st.DataObject) -> None:
        log, mixed = read(rows), read(data.draw(st.permutations(rows)))
        assert (log.users, log.items) == (mixed.users, mixed.items)
        assert (log.user_items != mixed.user_items).nnz == 0
        assert np.array_equal(log.timestamps, mixed.timestamps)  # type: ignore[arg-type]

    @given(ROWS)
    def test_the_matrix_is_canonical(self, rows: list[Row]) -> None:
        matrix = read(rows).user_items
        fresh = sp.csr_matrix((matrix.data, matrix.indices, matrix.indptr), matrix.shape)
        assert fresh.has_canonical_format
        assert (matrix.data > 0).all()
        assert matrix.data.dtype == np.float32
        assert matrix.indices.dtype == matrix.indptr.dtype == np.int32

    @given(ROWS)
    def test_the_transpose_swaps_the_sides_and_carries_the_times(self, rows: list[Row]) -> None:
        log = read(rows)
        assert as_dict(log.T) == {(i, u): value for (u, i), value in as_dict(log).items()}
        assert as_dict(log.T.T) == as_dict(log)
        assert log.T.repeated == log.repeated

    @given(ROWS, st.data())
    def test_kept_users_keep_their_interactions_and_nothing_else(
        self, rows: list[Row], data: st.DataObject
    ) -> None:
        log = read(rows)
        mask = data.draw(st.lists(st.booleans(), min_size=len(log.users), max_size=len(log.users)))
        part = log.keep_users(mask)
        kept = set(log.users.ids[np.array(mask)])
        assert set(part.users) == kept
        assert as_dict(part) == {k: v for k, v in as_dict(log).items() if k[0] in kept}
        assert set(part.items) == {item for _, item in as_dict(part)}
        numbers = data.draw(st.permutations(np.flatnonzero(mask).tolist()))
        assert as_dict(log.keep_users(numbers)) == as_dict(part)

    @given(ROWS, st.data())
    def test_kept_entries_are_kept_with_the_users_and_items_they_touch(
        self, rows: list[Row], data: st.DataObject
    ) -> None:
        log = read(rows)
        mask = data.draw(st.lists(st.booleans(), min_size=log.nnz, max_size=log.nnz))
        part = log.keep_entries(np.array(mask))
        kept = [pair for pair, keep in zip(as_dict(log), mask, strict=True) if keep]
        assert as_dict(part) == {pair: as_dict(log)[pair] for pair in kept}
        assert list(part.users) == sorted({user for user, _ in kept})
        assert list(part.items) == sorted({item for _, item in kept})
        assert part.repeated == 0


def test_keeping_nobody_leaves_an_empty_catalog() -> None:
    assert Interactions.from_csr(DENSE).keep_users([]).shape == (0, 0)


def test_keeping_no_entry_leaves_an_empty_catalog_and_keeping_all_of_them_the_same_one() -> None:
    log = Interactions.from_csr(DENSE)
    assert log.keep_entries(np.zeros(log.nnz, bool)).shape == (0, 0)
    whole = log.keep_entries(np.ones(log.nnz, bool))
    assert as_pairs(whole) == as_pairs(log)
    assert whole.users == log.users
    assert len(whole.items) == 3  # one had no interaction


def as_pairs(log: Interactions) -> dict[tuple[Any, Any], float]:
    """Pair of ids -> weight."""
    entries = log.user_items.tocoo()
    pairs = zip(log.users.ids[entries.row], log.items.ids[entries.col], strict=True)
    return dict(zip(pairs, entries.data.tolist(), strict=True))


DENSE = np.array([[0, 2, 0, 1], [3, 0, 0, 0], [0, 0, 0, 5]])
FORMATS = [sp.csr_matrix, sp.csc_matrix, sp.coo_matrix, sp.csr_array, sp.csc_array, sp.lil_matrix]


@pytest.fixture
def log() -> Interactions:
    return Interactions.from_csr(DENSE, users=["a", "b", "c"], timestamps=[4, 3, 2, 1])


@pytest.mark.parametrize("make", [*FORMATS, np.asarray])
@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.float32, np.float64])
def test_a_matrix_of_any_format_and_type_is_taken(make: Any, dtype: Any) -> None:
    log = Interactions.from_csr(make(DENSE.astype(dtype)))
    assert np.array_equal(log.user_items.toarray(), DENSE)
    assert (log.users, log.items) == (Vocabulary(range(3)), Vocabulary(range(4)))


def test_a_matrix_is_copied_and_left_as_it_was() -> None:
    matrix = sp.csr_matrix(DENSE.astype(np.float32))
    log = Interactions.from_csr(matrix)
    same = Interactions(matrix, log.users, log.items)
    matrix.data[:] = 9
    matrix.indices[:] = 0
    assert np.array_equal(log.user_items.toarray(), DENSE)
    assert np.array_equal(same.user_items.toarray(), DENSE)


def test_repeated_entries_and_stored_zeros_of_a_matrix_are_resolved() -> None:
    places = ([0, 1, 0, 1], [2, 0, 2, 1])
    matrix = sp.coo_matrix(([1.0, 4.0, 3.0, 0.0], places), shape=(2, 3))
    log = Interactions.from_csr(matrix, timestamps=[8, 7, 6, 5])
    assert log.user_items.toarray().tolist() == [[0, 0, 3], [4, 0, 0]]
    assert log.timestamps is not None
    assert log.timestamps.tolist() == [6, 7]
    assert log.repeated == 1


def test_a_catalog_may_be_empty_of_interactions() -> None:
    for shape in ((2, 3), (0, 4), (0, 0)):
        log = Interactions.from_csr(sp.csr_matrix(shape))
        assert (log.shape, log.nnz) == (shape, 0)
        assert log.T.shape == shape[::-1]


def test_arrays_are_read_only(log: Interactions) -> None:
    matrix = log.user_items
    for array in (matrix.data, matrix.indices, matrix.indptr, log.timestamps, log.T.timestamps):
        assert array is not None
        assert not array.flags.writeable
    with pytest.raises(AttributeError):
        log.users = log.items  # type: ignore[misc]


def test_interactions_survive_pickling_and_stay_read_only(log: Interactions) -> None:
    log.T  # noqa: B018, what is cached is not part of the value
    twin = pickle.loads(pickle.dumps(log))
    assert as_dict(twin) == as_dict(log)
    assert (twin.users, twin.items, twin.repeated) == (log.users, log.items, log.repeated)
    assert not twin.user_items.data.flags.writeable


def test_the_transpose_is_made_once(log: Interactions) -> None:
    assert log.T is log.T


def test_the_repr_carries_the_numbers(log: Interactions) -> None:
    assert repr(log) == "Interactions(3 users x 4 items, 4 interactions)"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"users": ["a", "b"]}, "user_items has 3 rows but there are 2 user ids: pass one id per"),
        ({"items": range(5)}, "user_items has 4 columns but there are 5 item ids: pass one id per"),
        ({"users": ["a", "a", "b"]}, "must be unique"),
        ({"timestamps": [1, 2]}, r"timestamps has shape \(2,\) but the matrix has 4 entries"),
        ({"timestamps": [0.5] * 4}, "timestamps must be integers, such as seconds, got dtype"),
        ({"user_items": -DENSE}, "4 of 4 weights are .* the first is -2 of user 0 and item 1"),
        ({"user_items": np.where(DENSE == 5, np.nan, DENSE)}, "the first is nan of user 2 and"),
        ({"user_items": np.where(DENSE == 5, np.inf, DENSE)}, "1 of 4 weights are NaN, infinite"),
        ({"user_items": DENSE * 1e300}, "the first is inf"),
        ({"user_items": DENSE.astype(str)}, "user_items must hold numbers, got dtype <U"),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Interactions.from_csr(**{"user_items": DENSE, **changes})


def test_a_vector_is_no_matrix() -> None:
    with pytest.raises(ValueError, match=r"must be a matrix, got an array of shape \(4,\)"):
        Interactions.from_csr(DENSE[0])


def test_the_class_itself_takes_finished_parts_only(log: Interactions) -> None:
    for matrix in (sp.csr_matrix(DENSE), sp.csc_matrix(log.user_items), DENSE):
        with pytest.raises(DataError, match=r"Interactions\.from_csr makes one of any matrix"):
            Interactions(matrix, log.users, log.items)
    with pytest.raises(DataError, match="3 rows but there are 4 user ids"):
        Interactions(log.user_items, log.items, log.items)
    negative = sp.csr_matrix(-DENSE.astype(np.float32))
    with pytest.raises(DataError, match="the first is -2 of user 'a' and item 1"):
        Interactions(negative, log.users, log.items)
