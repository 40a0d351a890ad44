"""Numbers as people write them."""

import math

import pytest

from coldstart.report import wording


@pytest.mark.parametrize(
    ("row", "digits"),
    [
        ((0.05, 0.047, 0.053), 1),
        ((0.005, 0.0047, 0.0053), 2),
        ((0.3, 0.2, 0.4), 1),
        ((0.05, None, None), 1),
        ((0.0003, None, None), 3),
        ((0.0, 0.0, 0.0), 1),
        ((None, None, None), 1),
    ],
)
def test_digits_show_what_an_interval_can_tell(row, digits):
    assert wording.decimals([row]) == digits


def test_shares_are_percent_and_differences_points_with_a_sign():
    assert wording.percent(0.0498) == "5.0%"
    assert wording.points(0.0186) == "+1.9"
    assert wording.points(-0.0004) == "0.0"
    assert wording.points(-0.0004, 2) == "\u22120.04"
    assert wording.interval(-0.001, 0.02, signed=True) == "\u22120.1 to +2.0"


@pytest.mark.parametrize("nothing", [None, math.nan, math.inf, "0.3", True])
def test_what_is_no_number_is_a_dash(nothing):
    assert wording.percent(nothing) == wording.points(nothing) == wording.NOTHING
    assert wording.interval(0.1, nothing) == ""
    assert wording.p_value(nothing if nothing != math.inf else None) == wording.NOTHING


def test_ratios_have_the_digits_that_their_interval_needs():
    assert wording.ratio(1.6, 1.2, 2.1) == "1.6×"
    assert wording.ratio(1.6, 1.55, 1.66) == "1.60×"
    assert wording.ratio(1.02, 0.7, 1.4) == "1.02×"
    assert wording.ratio(1.6) == "1.6×"


def test_p_values_are_never_zero():
    assert [wording.p_value(p) for p in (0.0, 0.0004, 0.0123, 0.5, 1.0)] == [
        *("< 0.001", "< 0.001", "0.012", "0.50", "1.00")
    ]


def test_counts_and_lists_in_words():
    assert [wording.count(value) for value in (0, 3.44, 12345, None)] == ["0", "3.4", "12,345", "–"]
    assert [wording.shots_told(k) for k in (0, 1, 5)] == [
        *("no interactions", "1 interaction", "5 interactions")
    ]
    assert [wording.listed(words) for words in ([], ["a"], ["a", "b", "c"])] == [
        *("", "a", "a, b and c")
    ]
