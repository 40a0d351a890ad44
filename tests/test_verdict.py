"""The verdict is that of the gate, in other words."""

import numpy as np
import pytest

from coldstart import PriorALS
from coldstart.datasets import make_cross_domain
from coldstart.gate import decide
from coldstart.verdict import held_out_verdict, judged


def gate(*gains, people=400, spread=0.01):
    """Of people whose quality is 0.1 without a source, and these gains more at 0, 1, ... shots."""
    rng = np.random.default_rng(0)
    baseline = np.full((len(gains), people), 0.1)
    noise = spread * rng.normal(size=baseline.shape)
    quality = baseline + np.array(gains)[:, None] + noise - noise.mean(axis=1, keepdims=True)
    names = ("popularity",) * len(gains)
    shots = tuple(range(len(gains)))
    settings = {"chosen": "auto", "shots": shots, "baseline_names": names, "rng": 0}
    return decide({"auto": quality}, baseline, **settings)


@pytest.mark.parametrize(
    ("decision", "answer"),
    [
        (gate(0.02), "likely"),
        (gate(0.02, -0.02), "likely"),
        (gate(0.0), "unlikely"),
        (gate(-0.02, 0.0), "unlikely"),
        (gate(0.0, spread=0.5), "undecided"),
        (gate(0.02, people=5), "undecided"),
        (None, "undecided"),
    ],
)
def test_the_answer(decision, answer):
    assert judged(decision).answer == answer


def test_the_reason_says_until_when_it_pays():
    assert judged(gate(0.02, 0.02)).reason == (
        "held-out people with any number of interactions gained"
    )
    assert judged(gate(0.02, 0.02, -0.02)).reason == (
        "held-out people with fewer than 2 interactions gained"
    )
    assert judged(gate(0.02, -0.02)).reason == "held-out people without interactions gained"


def test_a_gain_that_comes_with_interactions_is_told_and_why_it_does_not_count():
    verdict = judged(gate(-0.02, 0.02))
    assert verdict.answer == "undecided"
    assert verdict.reason.startswith(
        "no gain shown without interactions (auto gains at 1 shots, and the gate is closed because"
    )
    *_, late = str(verdict).splitlines()
    assert "closed because 0 shots failed" in late


def test_a_gain_too_small_for_so_few_people_is_told():
    assert "too few people to tell, 5% is neither shown" in judged(gate(0.0, spread=0.5)).reason
    assert judged(None).reason == "too few people to tell, nobody could be held out"


def test_the_numbers_are_those_of_the_gate():
    decision = gate(0.02, 0.01)
    verdict = judged(decision)
    assert (verdict.gains, verdict.metric) == (decision.buckets, decision.metric)
    first, *gains = str(verdict).splitlines()
    assert first.startswith("Crossing is likely to pay: held-out people with ")
    assert gains[0].startswith("  ndcg@10 at 0 shots: +0.0200 [")
    assert len(gains) == 2


def test_with_fewer_than_ten_anchors_nobody_is_held_out():
    source, target = make_cross_domain(60, 40, 30, overlap=0.1, source_interactions=8)
    verdict = held_out_verdict(source, target, PriorALS(4, rng=0), 6)
    assert (verdict.answer, verdict.gains) == ("undecided", ())
