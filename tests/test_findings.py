"""Findings: when the prior stops helping, and plain values of all that was found."""

import json
from dataclasses import replace

import pytest

from coldstart.findings import Findings, Gain, Graduation, Saved

GAIN = Gain(
    shots=0,
    baseline="popularity",
    difference=0.02,
    ci_low=0.01,
    ci_high=0.03,
    ratio=1.5,
    ratio_low=1.2,
    ratio_high=1.8,
    effect=0.4,
    p=0.001,
    gain=0.5,
    lose=0.2,
    unchanged=0.3,
)


def gains(*lows, shots=(0, 1, 2, 5)):
    return [replace(GAIN, shots=k, ci_low=low) for k, low in zip(shots, lows, strict=True)]


@pytest.mark.parametrize(
    ("lows", "expected"),
    [
        ((0.1, 0.1, 0.1, 0.1), Graduation(None, 5, 5)),
        ((0.1, 0.1, 0.0, -0.1), Graduation(2, 1, None)),  # 0 is not above 0
        ((0.1, 0.1, 0.1, -0.1), Graduation(5, 2, None)),
        ((0.1, -0.1, 0.1, 0.1), Graduation(1, 0, None)),  # it helps everywhere up to none
        ((-0.1, 0.1, 0.1, 0.1), Graduation(0, None, None)),
        ((float("nan"), 0.1, 0.1, 0.1), Graduation(0, None, None)),
    ],
)
def test_the_prior_helps_while_the_lower_limit_is_above_zero(lows, expected):
    assert Graduation.of(gains(*lows)) == expected


def test_one_number_of_shots_may_be_all_there_is():
    assert Graduation.of(gains(0.1, shots=[0])) == Graduation(None, 0, 0)
    assert Graduation.of(gains(-0.1, shots=[0])) == Graduation(0, None, None)


@pytest.fixture
def found():
    told = gains(0.1, -0.1, shots=(0, 5))
    told[1] = replace(told[1], baseline="mean-prior")
    curve = [
        {"arm": arm, "shots": k, "mean": mean}
        for arm, k, mean in (("auto", 0, 0.06), ("auto", 5, 0.07), ("popularity", 0, 0.04))
    ]
    return Findings(
        sentence="",
        answer="gain",
        protocol="cold",
        level=None,
        arm="auto",
        metric="ndcg",
        n=10,
        shots=(0, 5),
        reserved=5,
        users=300,
        left_out=0,
        curve=curve,
        gains=told,
        fair=GAIN,
        saved=Saved(2.5, 1.0, None, None, "mean-prior"),
        graduation=Graduation.of(told),
        groups=[],
        lists=[],
        levels=[],
        without_twins=None,
        smallest_detectable={"shots": 0, "difference": 0.01, "ratio": 1.2},
    )


def test_plain_values_have_the_baseline_of_every_number_of_shots(found):
    told = json.loads(json.dumps(found.to_json()))
    assert told["baseline"] == {"0": "popularity", "5": "mean-prior"}
    assert told["saved"] == {
        "interactions": 2.5,
        "low": 1.0,
        "high": None,
        "more_than": None,
        "by": "mean-prior",
    }
    assert told["graduation"] == {"shots": 5, "helps_until": 0, "more_than": None}
    assert [gain["shots"] for gain in told["gains"]] == [0, 5]
    assert told["fair"]["difference"] == 0.02


def test_means_are_those_of_the_curve(found):
    assert found.mean("auto", 5) == 0.07
    assert found.mean("popularity", 0) == 0.04
    with pytest.raises(KeyError):
        found.mean("popularity", 5)


def test_lists_worth_looking_at_are_those_of_the_baseline_and_of_the_arm(found):
    assert found.shown == ["popularity", "auto"]
    assert replace(found, arm="popularity").shown == ["popularity"]
