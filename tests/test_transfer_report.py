"""The report says in words and numbers what was moved, how strongly, and what it brought."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from coldstart import transfer_report, tuning
from coldstart.adapters import FusedAdapter, MeanAdapter, RidgeAdapter
from coldstart.als import PriorALS
from coldstart.datasets import make_cross_domain
from coldstart.evidence import SoftGate
from coldstart.gate import decide
from coldstart.search import Outer, Plan
from coldstart.strength import Fallback, NullArm, Strength
from coldstart.transfer_report import Described, Gain, TransferReport
from coldstart.warmstart import WarmStart

STRENGTH = Strength((0, 5), (0.75, 1.25), (1.0, 3.0), 20.0)
FALLBACK = Fallback((0, 5), (NullArm("popularity"), NullArm("mean", "all", 0.3, 20.0)))


def make_found(quality=None, baseline=None):
    """Three people; nobody has truth left for the second at five shots."""
    if quality is None:
        quality = np.array([[0.4, 0.2, 0.6], [0.5, np.nan, 0.7]])
        baseline = np.array([[0.1, 0.2, 0.3], [0.1, np.nan, 0.3]])
    outer = Outer({"auto": quality}, baseline, ("popularity among all", "no prior, ridge 1"))
    return SimpleNamespace(
        outer=outer, plan=Plan(shots=(0, 5)), people=quality.shape[1], metric="ndcg@10"
    )


def make_gate(*gains):
    """The decision on 200 people who gain so much at 0 and at 5 shots, give or take."""
    rng = np.random.default_rng(0)
    baseline = rng.random((2, 200))
    quality = baseline + rng.normal(0, 0.1, (2, 200)) + np.array(gains)[:, None]
    names = ("popularity among all", "no prior, ridge 1")
    return decide(
        {"auto": quality}, baseline, chosen="auto", shots=(0, 5), baseline_names=names, rng=0
    )


def make_report(*, anchors=40, found=None, chosen=True, adapter=None, gate=None, **more):
    return TransferReport.of(
        side="users",
        adapter=adapter or RidgeAdapter(0.3, normalize=True),
        source=(90, 16),
        target=(70, 8),
        anchors=anchors,
        moved=88,
        strength=STRENGTH,
        found=found or make_found(),
        chosen=chosen,
        gated=gate is not None,
        gate=gate,
        fallback=FALLBACK,
        **more,
    )


@pytest.fixture(autouse=True)
def three_people_are_enough(monkeypatch):
    monkeypatch.setattr(transfer_report, "FEW_PEOPLE", 3)


def test_a_source_that_was_projected_is_a_warning():
    (warning,) = make_report(given=19).warnings
    assert warning == "16 of 19 directions of the source vary; it was projected on them"


def test_a_choice_by_few_people_is_a_warning(monkeypatch):
    monkeypatch.setattr(transfer_report, "FEW_PEOPLE", 4)
    (warning,) = make_report().warnings
    assert warning == "only 3 people were held out to choose the strength: it is a guess"


def test_it_reads_as_sentences():
    first, second, *rest = str(make_report()).splitlines()
    assert first == (
        "Moved 88 of 90 source users (16 factors) into a target of 70 users (8 factors), "
        "learned from 40 anchors."
    )
    assert second == (
        "Adapter: RidgeAdapter(ridge=0.3, normalize=True, pseudo_anchors=64.0); "
        "ridge around zero 20."
    )
    assert rest[:2] == [
        "From 0 interactions on: 0.75 of the way from the mean, precision times 1.",
        "From 5 interactions on: 1.25 of the way from the mean, precision times 3.",
    ]
    assert rest[2].startswith(
        "At 0 shots: ndcg@10 0.4000 against 0.2000 without a source (popularity among all), "
        "difference +0.2000 ["
    )
    assert rest[2].endswith("], 3 held-out users.")
    assert rest[3].startswith("At 5 shots: ndcg@10 0.6000 against 0.2000")
    assert rest[3].endswith("], 2 held-out users.")
    assert len(rest) == 4


def test_a_blend_is_told_beside_the_pull():
    blended = Strength((0, 5), (0.75, 1.25), (1.0, 3.0), 20.0, (0.3, 0.0))
    report = TransferReport.from_json(make_report().to_json() | {"strength": blended.to_json()})
    lines = str(report).splitlines()
    assert lines[2].endswith("precision times 1, row map 0.3.")
    assert lines[3].endswith("precision times 3.")


@pytest.mark.parametrize(
    ("gains", "closed"),
    [((0.2, 0.2), []), ((0.2, 0.0), [1]), ((0.0, 0.2), [0, 1])],
)
def test_a_closed_gate_is_told_with_what_serves_instead(gains, closed):
    gate = make_gate(*gains)
    lines = str(make_report(gate=gate)).splitlines()
    assert str(gate) in "\n".join(lines)
    expected = [
        "Closed from 0 interactions on: popularity among all.",
        "Closed from 5 interactions on: mean of all, temper 0.3, ridge 20.",
    ]
    assert [line for line in lines if line.startswith("Closed")] == [expected[at] for at in closed]


NOT_TESTED = (
    "that is not the arm of the test, which is the best for the people held out: what serves is "
    "chosen with more caution{model}, and where anchors are few also by rows of the target that "
    "are no anchors."
)
MODEL = " and has the target model that the source was given"


@pytest.mark.parametrize(
    ("gains", "told"),
    [
        ((0.2, 0.0), [f"At 5 shots {NOT_TESTED.format(model=MODEL)}"]),
        ((0.2, 0.2), []),  # open
        ((0.0, 0.0), [f"At 5 shots {NOT_TESTED.format(model='')}"]),
    ],
)
def test_an_arm_that_serves_and_was_not_tested_is_told_where_the_gate_is_closed(gains, told):
    """At 5 shots plain ALS was tested, and a mean prior serves."""
    lines = str(make_report(gate=make_gate(*gains))).splitlines()
    assert [line for line in lines if "of the test" in line] == told


def test_an_arm_at_shots_that_were_not_tested_is_not_compared_with_any():
    gate = make_gate(0.0, 0.0)
    fewer = replace(gate, shots=(0,), open=(False,), buckets=gate.buckets[:1])
    assert "of the test" not in str(make_report(gate=fewer))


def test_an_arm_that_serves_as_it_was_tested_needs_no_sentence():
    gate = make_gate(0.2, 0.0)
    tested = replace(gate.buckets[1], baseline_name=str(FALLBACK.arms[1]))
    assert "of the test" not in str(
        make_report(gate=replace(gate, buckets=(gate.buckets[0], tested)))
    )


def test_where_the_gate_is_closed_throughout_what_was_moved_does_not_serve():
    report = make_report(gate=make_gate(0.0, 0.0), followed=False)
    lines = str(report).splitlines()
    assert lines[3].startswith("From 5 interactions on: ")
    assert lines[4] == "None of this serves, because the gate is closed throughout."
    assert TransferReport.from_json(json.loads(json.dumps(report.to_json()))) == report
    for gains in ((0.2, 0.0), (0.2, 0.2)):
        assert "None of this serves" not in str(make_report(gate=make_gate(*gains)))


@pytest.mark.parametrize(
    ("trust", "told"),
    [
        (
            [0.25, 0.5],
            "Soft gate: t 0.3, pi 0.8808; mean weight 0.3750 of 2 users with interactions.",
        ),
        ([], "Soft gate: t 0.3, pi 0.8808."),
    ],
)
def test_a_soft_gate_tells_its_settings_and_how_far_the_source_is_trusted(trust, told):
    report = make_report(gate=make_gate(0.2, 0.2), soft=SoftGate(0.3, 2.0), trust=trust)
    assert told in str(report).splitlines()
    assert TransferReport.from_json(json.loads(json.dumps(report.to_json()))) == report
    assert "Soft gate" not in str(make_report(gate=make_gate(0.2, 0.2), trust=trust))


def test_gains_are_means_over_people_with_truth_between_their_limits():
    zero, five = make_report().gains
    assert (zero.people, five.people) == (3, 2)
    assert zero.warm == pytest.approx(0.4, rel=1e-12)
    assert five.baseline == pytest.approx(0.2, rel=1e-12)
    assert zero.low <= zero.warm - zero.baseline <= zero.high


def test_where_nobody_has_truth_there_is_nothing_to_tell():
    nobody = np.full((2, 3), np.nan)
    gains = make_report(found=make_found(nobody, nobody)).gains
    assert all(gain.people == 0 and np.isnan([gain.warm, gain.low]).all() for gain in gains)


def test_it_survives_json():
    report = make_report(anchors=3, gate=make_gate(0.2, 0.0))
    assert TransferReport.from_json(json.loads(json.dumps(report.to_json()))) == report


def test_features_are_told_in_a_sentence_and_survive_json():
    report = make_report(features=Described(7, 60, 12))
    assert str(report).splitlines()[1] == (
        "What 7 features say was learned from 60 rows of the target; 12 rows were moved by "
        "features alone."
    )
    assert TransferReport.from_json(json.loads(json.dumps(report.to_json()))) == report


def test_with_features_and_nobody_in_common_the_source_counts_for_nothing():
    warnings = make_report(anchors=0, adapter=MeanAdapter(), features=Described(7, 60, 12)).warnings
    assert "source and target have no users in common: all that counts are the features" in warnings


@pytest.mark.parametrize(("anchors", "warned"), [(15, True), (16, False)])
def test_fewer_anchors_than_source_factors_are_a_warning(anchors, warned):
    report = make_report(anchors=anchors)
    assert len(report.warnings) == warned
    assert ("Warning: 15 anchors are fewer than the 16 source factors" in str(report)) == warned


def test_the_mean_has_no_map_to_warn_of():
    assert make_report(anchors=0, adapter=MeanAdapter()).warnings == ()


def test_an_adapter_without_settings_is_named():
    assert make_report(adapter=MeanAdapter()).adapter == "MeanAdapter()"


def test_a_mean_of_adapters_is_named_by_its_parts():
    adapter = FusedAdapter([RidgeAdapter(0.3, normalize=True), MeanAdapter()])
    assert make_report(adapter=adapter).adapter == (
        "FusedAdapter(RidgeAdapter(ridge=0.3, normalize=True, pseudo_anchors=64.0), MeanAdapter())"
    )


def test_gains_print_alone():
    gain = Gain(1, 20, 0.25, 0.2, "popularity", "ndcg@10", 0.01, 0.09)
    assert str(gain) == (
        "At 1 shots: ndcg@10 0.2500 against 0.2000 without a source (popularity), "
        "difference +0.0500 [+0.0100, +0.0900], 20 held-out"
    )


@pytest.fixture(scope="module")
def logs():
    """Seven people in both catalogs."""
    return make_cross_domain(
        90, 40, 30, overlap=0.08, source_interactions=9, target_interactions=7, rng=3
    )


class TestFittedReports:
    def fit(self, logs, **settings):
        model = PriorALS(factors=9, regularization=2.0, alpha=5.0, iterations=3, rng=0)
        adapter = RidgeAdapter(ridge=0.3)
        return WarmStart(model, adapter, rng=0, **settings).fit(*logs).report_

    def test_few_anchors_are_enough_and_warned_of(self, logs):
        report = self.fit(logs, gate=False)
        assert report.anchors == 7
        assert report.warnings == (
            "7 anchors are fewer than the 9 source factors: the map is mostly its prior",
            "too few anchors to hold any out: the strength is as rows of the target that are no "
            "anchors chose, untested",
        )
        assert (report.gains, report.gate) == ((), None)
        assert report.strength.shots == (0, 1, 2, 5)

    def test_with_nobody_else_to_ask_the_strength_is_the_adapters_own(self, logs, monkeypatch):
        monkeypatch.setattr(tuning, "STRANGERS", 0)
        report = self.fit(logs, gate=False)
        assert report.warnings[1] == (
            "too few anchors to hold any out: the strength is the adapter's own, untested"
        )
        assert report.strength == Strength(regularization=2.0)

    @pytest.mark.parametrize("strength", ["auto", 3.0])
    def test_without_anybody_to_hold_out_the_gate_is_closed_and_that_is_told(
        self, logs, strength, monkeypatch
    ):
        told = self.fit(logs, strength=strength).warnings[1]
        assert told.startswith("too few anchors to hold any out: the gate is closed, everybody is ")
        assert "served as rows of the target that are no anchors chose: " in told
        monkeypatch.setattr(tuning, "STRANGERS", 0)
        assert self.fit(logs, strength=strength).warnings[1] == (
            "too few anchors to hold any out: the gate is closed, everybody is served by the "
            "mean of all, temper 1, ridge 2"
        )
        assert "None of this serves, because the gate is closed" in str(
            self.fit(logs, strength=strength)
        )

    def test_a_strength_that_was_given_is_not_warned_of(self, logs):
        report = self.fit(logs, strength=3.0, gate=False)
        assert report.strength.temper == (3.0,)
        assert len(report.warnings) == 1

    def test_it_counts_rows_of_both_catalogs(self, logs):
        source, target = logs
        report = self.fit(logs, strength=3.0)
        assert (report.source_rows, report.target_rows) == (len(source.users), len(target.users))
        assert report.moved == len(source.users)

    def test_held_out_people_are_counted_and_printed(self):
        report = self.fit(make_cross_domain(200, 40, 30, source_interactions=9, rng=3))
        assert [gain.shots for gain in report.gains] == list(report.strength.shots)
        assert report.gains[0].people >= 10
        assert report.warnings == ()
        assert report.gate.shots == report.strength.shots
        assert str(report.gate) in str(report)
        assert "ndcg@10 of RidgeAdapter at 0 shots" in str(report)

    def test_differences_are_printed_once(self, logs):
        """Where there is a gate, its table has them; it speaks of the adapter that was given."""
        logs = make_cross_domain(200, 40, 30, source_interactions=9, rng=3)
        gated, free = self.fit(logs), self.fit(logs, gate=False)
        for report in (gated, free):
            for k in report.strength.shots:
                lines = [line for line in str(report).splitlines() if f"t {k} shots: " in line]
                assert len(lines) == 1
        assert gated.gains == free.gains
        assert "held-out users." in str(free)
        assert "auto" not in str(gated)
        assert list(gated.gate.candidates) == ["RidgeAdapter", "RidgeAdapter at two tempers"]
