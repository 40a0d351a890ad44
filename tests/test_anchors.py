"""Anchors are the ids that two catalogs have in common, found or missed with a reason."""

import numpy as np
import pytest

from coldstart.anchors import Anchors, find_anchors
from coldstart.errors import AnchorError, DataError
from coldstart.vocabulary import Vocabulary

SOURCE = Vocabulary(["eve", "ann", "dan", "bob", "cem"])
TARGET = Vocabulary(["bob", "zoe", "ann"])


def test_anchors_are_row_numbers_of_the_same_ids_in_source_order():
    anchors = find_anchors(SOURCE, TARGET)
    assert anchors.source.tolist() == [1, 3]
    assert anchors.target.tolist() == [2, 0]
    assert len(anchors) == 2


def test_integers_are_matched_as_numbers():
    anchors = find_anchors(Vocabulary([7, 10, 3]), Vocabulary(np.array([3, 7], np.int32)))
    assert (anchors.source.tolist(), anchors.target.tolist()) == ([0, 2], [1, 0])


@pytest.mark.parametrize("which", [[1], np.array([False, True])])
def test_some_of_them_are_taken_by_position_or_mask(which):
    anchors = find_anchors(SOURCE, TARGET).take(np.asarray(which))
    assert (anchors.source.tolist(), anchors.target.tolist()) == ([3], [0])


def test_none_are_fine_where_they_are_not_needed():
    anchors = find_anchors(SOURCE, Vocabulary(["zoe"]), needed=False)
    assert isinstance(anchors, Anchors)
    assert len(anchors) == 0


def test_none_are_an_error_with_both_sizes_and_examples():
    with pytest.raises(AnchorError) as error:
        find_anchors(SOURCE, Vocabulary(["zoe"]), side="items")
    assert str(error.value) == (
        "source and target have no items in common: 5 in the source (for example 'eve'), "
        "1 in the target (for example 'zoe'); check that both use the same ids, "
        "or use MeanAdapter, which needs none"
    )


def test_an_empty_side_has_no_example():
    with pytest.raises(AnchorError, match=r"0 in the source \(none\)"):
        find_anchors(Vocabulary([]), TARGET)


@pytest.mark.parametrize("needed", [True, False])
def test_integers_on_one_side_and_strings_on_the_other_are_told_apart(needed):
    with pytest.raises(DataError) as error:
        find_anchors(Vocabulary([17, 4]), Vocabulary(["17", "5"]), needed=needed)
    assert str(error.value) == (
        "user ids are integers (for example 17) in the source but strings (for example '17') "
        "in the target, so none match: convert one of them, for example with str"
    )
