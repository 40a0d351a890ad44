"""Vocabularies map ids to rows and back, and refuse what cannot be an id."""

import pickle

import numpy as np
import pytest

from coldstart.errors import DataError, UnknownIdError
from coldstart.vocabulary import Vocabulary


def test_rows_are_found_in_the_order_asked() -> None:
    assert Vocabulary(["a", "b", "c"]).rows(["c", "a", "c"]).tolist() == [2, 0, 2]


def test_unknown_ids_raise_or_are_masked() -> None:
    people = Vocabulary([7, 3])
    assert people.rows([3, 4], missing="mask").tolist() == [1, -1]
    with pytest.raises(UnknownIdError, match=r"^1 of 2 ids are unknown: 4"):
        people.rows([3, 4])


def test_repeated_ids_are_refused() -> None:
    with pytest.raises(DataError, match="the first is 'a'"):
        Vocabulary(["a", "b", "a"])


def test_a_vocabulary_survives_pickling_and_stays_read_only() -> None:
    people = pickle.loads(pickle.dumps(Vocabulary(np.array([5, 2]))))
    assert people == Vocabulary([5, 2])
    assert not people.ids.flags.writeable
