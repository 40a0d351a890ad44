"""What is shared is counted, and ids that were written in two ways are told."""

import numpy as np
import pytest
import scipy.sparse as sp

from coldstart import Interactions
from coldstart.overlap import Coverage, id_warnings
from coldstart.vocabulary import Vocabulary

LOG = Interactions.from_csr(
    np.array([[1, 1, 1, 0], [0, 1, 0, 0], [1, 0, 0, 1], [0, 0, 0, 1]]), users=list("abcd")
)


def test_shares_and_medians_are_counted():
    found = Coverage.of(LOG, np.array([0, 2]))
    assert (found.row_share, found.interaction_share) == (0.5, 5 / 7)
    assert (found.activity, found.rest_activity) == (2.5, 1.0)
    assert found.described("users") == (
        "50.0% of 4 users and 71.4% of 7 interactions; "
        "median activity of anchors 2.5, of the others 1"
    )


def test_where_all_are_anchors_there_are_no_others():
    found = Coverage.of(LOG, np.arange(4))
    assert np.isnan(found.rest_activity)
    assert "others" not in found.described("users")


def test_repeated_pairs_are_told():
    entries = np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1])
    log = Interactions.from_csr(sp.coo_matrix((np.ones(4), entries), shape=(2, 2)))
    found = Coverage.of(log, np.array([0]))
    assert found.described("users").endswith("; 1 repeated pairs were merged")


def warned(source, target):
    return id_warnings(Vocabulary(source), Vocabulary(target), "users")


NUMBERS = [f"{number}" for number in range(1, 40)]


@pytest.mark.parametrize(
    "other",
    [[f"u{number}" for number in range(1, 40)], ["1", *(f"x{number}" for number in range(60))]],
)
def test_ids_that_look_like_numbers_on_one_side_are_told(other):
    (message,) = warned(NUMBERS, other)
    assert message.startswith("100% of the users ids of the source look like numbers, ")
    (message,) = warned(other, NUMBERS)
    assert "ids of the target look like numbers" in message


@pytest.mark.parametrize(
    "written", [lambda i: i.zfill(6), lambda i: f"{i}.0", lambda i: f" {i}", lambda i: f"{i} "]
)
def test_ids_that_match_but_for_how_they_are_written_are_told(written):
    (message,) = warned(NUMBERS, [written(key) for key in NUMBERS])
    assert message.startswith("39 more users would match")


def test_case_is_looked_through_too():
    assert "3 more users would match" in warned(["Ann", "BOB", "cem"], ["ann", "bob", "CEM"])[0]


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (NUMBERS, NUMBERS[10:]),
        ([f"u{key}" for key in NUMBERS], ["u1", "u2", "v3"]),
        (range(30), range(10, 50)),
    ],
)
def test_ids_of_one_kind_are_no_reason_to_warn(source, target):
    assert warned(source, target) == []


@pytest.mark.parametrize("kind", [int, str])
@pytest.mark.parametrize("first", [0, 1])
def test_rows_that_were_numbered_in_each_catalog_apart_are_told(kind, first):
    numbered = [[kind(number) for number in range(first, last + 1)] for last in (30, 45)]
    (message,) = warned(*numbered)
    assert "numbers from the first to the last in both catalogs, to 30 and to 45: " in message


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (range(30), range(30)),
        (range(30), [*range(20), *range(25, 50)]),
        (range(5), range(9)),
        (range(3, 40), range(3, 50)),
    ],
)
def test_numbers_that_one_list_of_people_can_have_are_no_reason_to_warn(source, target):
    assert warned(source, target) == []
