"""Vocabularies map ids to rows and back, and refuse what cannot be an id."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldstart.errors import DataError, UnknownIdError
from coldstart.vocabulary import Vocabulary

INTEGERS = st.lists(st.integers(-(2**63), 2**63 - 1), max_size=12, unique=True)
STRINGS = st.lists(st.text(max_size=6), max_size=12, unique=True)
IDS = INTEGERS | STRINGS


class TestProperties:
    @given(IDS)
    def test_each_id_has_its_own_row(self, ids: list[Any]) -> None:
        people = Vocabulary(ids)
        assert list(people) == ids
        assert people.rows(ids).tolist() == list(range(len(ids)))
        assert len(people) == len(ids)
        assert all(key in people for key in ids)

    @given(IDS, st.data())
    def test_taking_the_rows_of_ids_gives_those_ids(
        self, ids: list[Any], data: st.DataObject
    ) -> None:
        people = Vocabulary(ids)
        some = data.draw(st.permutations(ids).map(lambda mixed: mixed[: len(ids) // 2]))
        assert list(people.take(people.rows(some))) == some

    @given(st.one_of(st.tuples(INTEGERS, INTEGERS), st.tuples(STRINGS, STRINGS)))
    def test_unknown_ids_alone_are_masked(self, pair: tuple[list[Any], list[Any]]) -> None:
        known, asked = pair
        rows = Vocabulary(known).rows(asked, missing="mask")
        expected = [known.index(key) if key in known else -1 for key in asked]
        assert rows.tolist() == expected

    @given(st.one_of(st.tuples(INTEGERS, INTEGERS), st.tuples(STRINGS, STRINGS)))
    def test_a_union_keeps_the_rows_of_the_first(self, pair: tuple[list[Any], list[Any]]) -> None:
        first, second = pair
        both = Vocabulary(first).union(Vocabulary(second))
        assert list(both) == first + [key for key in second if key not in first]

    @given(st.one_of(INTEGERS.filter(bool), STRINGS.filter(bool)))
    def test_ids_survive_being_written_and_parsed(self, ids: list[Any]) -> None:
        assert Vocabulary(ids).parse([str(key) for key in ids]) == ids

    @given(st.lists(st.text(max_size=2)) | st.lists(st.integers(-5, 5)))
    def test_distinct_ids_ascend(self, values: list[Any]) -> None:
        assert list(Vocabulary.distinct(values)) == sorted(set(values))

    @given(IDS)
    def test_copies_are_equal_and_read_only(self, ids: list[Any]) -> None:
        people = Vocabulary(ids)
        for twin in (pickle.loads(pickle.dumps(people)), copy.deepcopy(people)):
            assert twin == people
            assert twin.kind == people.kind
            assert not twin.ids.flags.writeable


STRING_FORMS = [list, tuple, np.array, pd.Series, pd.Index, pd.Categorical, pl.Series, pa.array]
INTEGER_FORMS = [list, np.array, pd.Series, pl.Series, pa.array, pd.Index]


@pytest.mark.parametrize("form", STRING_FORMS)
def test_strings_come_in_any_container(form: Callable[[Any], Any]) -> None:
    assert list(Vocabulary(form(["b", "ä", "a"]))) == ["b", "ä", "a"]


@pytest.mark.parametrize("form", INTEGER_FORMS)
def test_integers_come_in_any_container(form: Callable[[Any], Any]) -> None:
    people = Vocabulary(form([7, -2, 0]))
    assert people.ids.dtype == np.int64
    assert list(people) == [7, -2, 0]


@pytest.mark.parametrize("form", [list, pl.Series, lambda ids: np.array(ids, dtype=object)])
def test_a_trailing_nul_is_part_of_an_id(form: Callable[[Any], Any]) -> None:
    people = Vocabulary(form(["a", "a\0"]))
    assert list(people) == ["a", "a\0"]
    assert people.rows(["a\0"]).tolist() == [1]


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (["a", "b", "a"], "1 of 3 repeat an earlier one, the first is 'a'"),
        ([1, 2.0, 2], "the first is 2"),
        (["a", 1], "mixed types, such as 'a' and 1"),
        (["a", None], "1 of 2 ids are null"),
        (["a", float("nan")], "1 of 2 ids are null"),
        (np.array([1, np.nan]), "1 of 2 ids are null"),
        (pd.Series([1, None], dtype="Int64"), "1 of 2 ids are null"),
        (pl.Series(["a", None]), "1 of 2 ids are null"),
        (pa.array(["a", None]), "1 of 2 ids are null"),
        ([1.5], "the float 1.5"),
        ([float("inf")], "the float inf"),
        ([1e17], "the float 1e\\+17"),
        ([True, False], "got bool"),
        (np.array([True]), "got bool"),
        ([b"a"], "got bytes"),
        ([("a", 1)], "got tuple"),
        (np.array(["2020-01-01"], dtype="datetime64[D]"), "got datetime64"),
        ([2**63], "must fit 64-bit integers"),
        ([-(2**70)], "must fit 64-bit integers"),
        (np.array([2**63], dtype=np.uint64), "must fit 64-bit integers"),
    ],
)
def test_what_cannot_be_an_id_is_refused(ids: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Vocabulary(ids)


@pytest.mark.parametrize("ids", ["ann", b"ann", 7])
def test_a_single_id_is_not_a_sequence(ids: Any) -> None:
    with pytest.raises(TypeError, match="put a single id in a list"):
        Vocabulary(["ann"]).rows(ids)


def test_ids_have_one_dimension() -> None:
    with pytest.raises(ValueError, match=r"one-dimensional, got an array of shape \(2, 3\)"):
        Vocabulary(np.ones((2, 3), dtype=int))


def test_up_to_three_unknown_ids_are_named() -> None:
    with pytest.raises(UnknownIdError) as caught:
        Vocabulary(["a"]).rows(["b", "a", "c", "d", "e"])
    assert str(caught.value).startswith("4 of 5 ids are unknown: 'b', 'c', 'd', ...;")


def test_ids_of_the_other_kind_are_told_so() -> None:
    with pytest.raises(UnknownIdError, match="ids are strings here, integers came"):
        Vocabulary(["1", "2"]).rows([1])
    with pytest.raises(UnknownIdError, match="ids are integers here, strings came"):
        Vocabulary([1, 2]).rows(["1"])
    with pytest.raises(DataError, match="strings on one side, such as '1', but integers on the"):
        Vocabulary(["1"]).union(Vocabulary([1]))
    assert Vocabulary(["1"]).rows([1], missing="mask").tolist() == [-1]


def test_the_policy_on_unknown_ids_is_one_of_two() -> None:
    with pytest.raises(ValueError, match="missing must be 'raise' or 'mask', got 'skip'"):
        Vocabulary(["a"]).rows(["a"], missing="skip")  # type: ignore[arg-type]


def test_rows_are_taken_by_mask_or_number() -> None:
    people = Vocabulary(["a", "b", "c"])
    assert list(people.take([True, False, True])) == ["a", "c"]
    assert list(people.take([2, 0])) == ["c", "a"]
    assert people.take([]).kind == "str"


@pytest.mark.parametrize(
    ("rows", "error"),
    [([-1], IndexError), ([3], IndexError), ([True], IndexError), ([0, 0], DataError)],
)
def test_rows_that_are_not_there_cannot_be_taken(rows: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        Vocabulary(["a", "b", "c"]).take(rows)


@pytest.mark.parametrize("text", ["u1", "1.0", "", "1_0"])
def test_text_that_is_no_integer_is_not_parsed_as_one(text: str) -> None:
    with pytest.raises(DataError, match="ids are integers here"):
        Vocabulary([1]).parse(["1", text])


def test_nothing_can_be_changed() -> None:
    given_ids = np.array([3, 1])
    people = Vocabulary(given_ids)
    given_ids[0] = 9
    assert list(people) == [3, 1]
    with pytest.raises(AttributeError):
        people.ids = given_ids  # type: ignore[misc]
    with pytest.raises(ValueError, match="read-only"):
        people.ids[0] = 9


def test_equality_is_of_ids_and_kind() -> None:
    assert Vocabulary([1, 2]) != Vocabulary([2, 1])
    assert Vocabulary([1]) != Vocabulary(["1"])
    assert Vocabulary([1]) != [1]
    assert True not in Vocabulary([1])


def test_the_repr_shows_the_first_ids() -> None:
    assert (
        repr(Vocabulary("abcd"[i] for i in range(4))) == "Vocabulary(4 strings: 'a', 'b', 'c', ...)"
    )


@pytest.mark.parametrize("error", [UnknownIdError, DataError])
def test_errors_survive_pickling_with_their_message(error: type[Exception]) -> None:
    twin = pickle.loads(pickle.dumps(error("no 'a' here")))
    assert type(twin) is error
    assert str(twin) == "no 'a' here"
