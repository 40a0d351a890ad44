"""Factors hold two sides of one model, checked and frozen."""

import pickle

import numpy as np
import pytest

from coldstart.errors import DataError
from coldstart.factors import Factors
from coldstart.vocabulary import Vocabulary


def test_ids_that_are_no_vocabulary_are_told_the_way_in():
    rows = np.ones((2, 3), np.float32)
    message = "users must be a Vocabulary, got list: Factors.from_arrays takes plain ids"
    with pytest.raises(TypeError, match=message):
        Factors(rows, rows, ["ann", "bob"], Vocabulary(range(2)))


N_USERS, N_ITEMS, WIDTH = 5, 7, 3


@pytest.fixture
def users() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(N_USERS, WIDTH))


@pytest.fixture
def items() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(N_ITEMS, WIDTH)).astype(np.float32)


@pytest.fixture
def factors(users: np.ndarray, items: np.ndarray) -> Factors:
    return Factors.from_arrays(users, items, users=list("abcde"), item_biases=np.arange(N_ITEMS))


def test_ids_default_to_row_numbers(factors: Factors) -> None:
    assert factors.users == Vocabulary(list("abcde"))
    assert factors.items == Vocabulary(range(N_ITEMS))


def test_arrays_are_read_only_float32_copies(users: np.ndarray, items: np.ndarray) -> None:
    before = items.copy()
    factors = Factors.from_arrays(users, items)
    items[:] = 0
    assert np.array_equal(factors.item_factors, before)
    for array in (factors.user_factors, factors.item_factors):
        assert array.dtype == np.float32
        assert array.flags.c_contiguous
        assert not array.flags.writeable


def test_the_transpose_swaps_the_sides_and_back(factors: Factors) -> None:
    swapped = factors.T
    assert np.array_equal(swapped.user_factors, factors.item_factors)
    assert np.array_equal(swapped.item_factors, factors.user_factors)
    assert (swapped.users, swapped.items) == (factors.items, factors.users)
    assert swapped.user_biases is not None
    assert swapped.user_biases.tolist() == list(range(N_ITEMS))
    assert swapped.item_biases is None
    assert np.array_equal(swapped.T.user_factors, factors.user_factors)


def test_the_repr_carries_the_numbers(factors: Factors) -> None:
    assert factors.width == WIDTH
    assert repr(factors) == "Factors(5 users and 7 items, 3 wide, with biases)"


def test_factors_survive_pickling_and_stay_read_only(factors: Factors) -> None:
    copy = pickle.loads(pickle.dumps(factors))
    assert np.array_equal(copy.user_factors, factors.user_factors)
    assert copy.users == factors.users
    assert not copy.user_factors.flags.writeable


def test_a_field_cannot_be_set(factors: Factors) -> None:
    with pytest.raises(AttributeError):
        factors.users = factors.items  # type: ignore[misc]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"users": ["a", "b"]}, "user_factors has 5 rows but there are 2 user ids: pass one id"),
        ({"item_biases": np.ones(4)}, "item_biases has 4 rows but there are 7 item ids"),
        ({"item_factors": np.ones((7, 4))}, "user factors are 3 wide but item factors are 4 wide"),
        (
            {"item_factors": np.ones(7)},
            r"item_factors must be \(n, d\), got an array of shape \(7,\)",
        ),
        ({"user_biases": np.ones((5, 1))}, r"user_biases must be \(n,\)"),
        ({"user_factors": np.full((5, 3), np.nan)}, "15 of 15 values of user_factors are NaN"),
        ({"user_factors": np.full((5, 3), 1e300)}, "infinite in float32"),
        ({"user_factors": np.full((5, 3), "x")}, "user_factors must be numbers, got dtype <U1"),
    ],
)
def test_what_does_not_fit_is_refused(
    users: np.ndarray, items: np.ndarray, changes: dict[str, object], message: str
) -> None:
    arguments = {"user_factors": users, "item_factors": items, **changes}
    with pytest.raises(DataError, match=message):
        Factors.from_arrays(**arguments)  # type: ignore[arg-type]
