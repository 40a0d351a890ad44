"""The gate: a loop over resamples as oracle, error and power on differences like a metric's."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import t as student

from coldstart.decision import LEAST_PEOPLE, SAME_PEOPLE, Decision, Difference
from coldstart.gate import SHARE, decide

SHOTS = (0, 1, 5)
NAMES = ("popularity", "mean of all, temper 3", "plain ALS")


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def ndcg(latent, hit, size):
    """Zero with probability 1 - hit, else of mean size, from uniform numbers."""
    return np.clip((latent - 1 + hit) / hit, 0, 1) ** (1 / size - 1)


def people(rng, n, *, effect=0.0, candidates=4, shots=3, hit=(0.3, 0.3), size=(0.4, 0.4)):
    """Quality and baseline of n people: zero-inflated, tied over candidates and shots.

    Every candidate gains `effect` standard deviations of its difference, a third of the people all
    of it. Skewed where candidates hit more rarely and with more (equal hit times size: no gain).
    """
    own = rng.random(n)
    tied = rng.random((candidates, shots, n)) < 0.6
    quality = ndcg(np.where(tied, own, rng.random(tied.shape)), hit[0], size[0])
    tied = rng.random((shots, n)) < 0.6
    baseline = ndcg(np.where(tied, own, rng.random(tied.shape)), hit[1], size[1])
    if effect:
        # a gain g to a third of the people adds 2 g^2 to the variance
        gain = effect * 0.27 / math.sqrt(1 - 2 * effect**2)
        quality = quality + 3 * gain * (rng.random(n) < 1 / 3)
    return {f"arm {j}": values for j, values in enumerate(quality)}, baseline


def judged(quality, baseline, chosen="arm 0", rng=0, **settings):
    shots = SHOTS[: len(baseline)]
    return decide(
        quality,
        baseline,
        chosen=chosen,
        shots=shots,
        baseline_names=NAMES[: len(shots)],
        rng=rng,
        **settings,
    )


def twin(differences, seed, resamples):
    """Studentised means of resampled people (resamples, columns), one resample at a time."""
    n = differences.shape[1]
    draws = np.random.default_rng(seed).integers(n, size=(resamples, n))
    found = np.empty((resamples, len(differences)))
    for b, drawn in enumerate(draws):
        for c, column in enumerate(differences):
            taken = column[drawn][~np.isnan(column[drawn])]
            error = taken.std(ddof=0) / math.sqrt(len(taken) - 1)
            found[b, c] = (taken.mean() - np.nanmean(column)) / error
    return found


class TestLimits:
    @pytest.fixture
    def case(self, rng):
        """Two candidates, three numbers of shots, with fewer and fewer people."""
        quality, baseline = people(rng, 70, candidates=2, hit=(0.6, 0.6))
        baseline[1, :9] = np.nan
        baseline[2, :25] = np.nan
        return quality, baseline

    def test_they_are_those_of_a_loop_over_the_same_resamples(self, case):
        quality, baseline = case
        decision = judged(quality, baseline, rng=3, resamples=399, level=0.1)
        columns = np.concatenate([quality[f"arm {j}"] - baseline for j in range(2)])
        t = twin(columns, 3, 399)
        apart, together, below = (np.sort(v, axis=0) for v in (t, t.max(axis=1), t.min(axis=1)))
        n = (~np.isnan(columns)).sum(axis=1)
        spent = SHARE * 0.1
        for c, column in enumerate(columns):
            at = decision.candidates[f"arm {c // 3}"][c % 3]
            mean = np.nanmean(column)
            error = np.nanstd(column) / math.sqrt(n[c] - 1)
            least = student.isf(spent, n[c] - 1)
            # 399 resamples: the 368th of 400 places leaves out 8%, the 20th 5%
            assert at.mean == pytest.approx(mean, rel=1e-12)
            assert at.standard_error == pytest.approx(error, rel=1e-12)
            assert at.low == pytest.approx(mean - max(together[367], least) * error, rel=1e-9)
            upper = max(-below[19], student.isf(0.05, n[c] - 1))
            assert at.high == pytest.approx(mean + upper * error, rel=1e-9)
            if c < 3:
                alone = max(apart[367, c], least)
                bucket = decision.buckets[c]
                assert bucket.low == pytest.approx(mean - alone * error, rel=1e-9)
                assert bucket.detectable == pytest.approx((alone + 0.8416) * error, rel=1e-4)

    def test_they_count_people_with_anything_left_to_find(self, case):
        decision = judged(*case)
        assert [bucket.people for bucket in decision.buckets] == [70, 61, 45]
        at_five = decision.buckets[2]
        assert at_five.baseline == pytest.approx(np.nanmean(case[1][2]), rel=1e-12)
        assert at_five.baseline_name == "plain ALS"
        assert at_five.differing == np.sum(np.abs((case[0]["arm 0"] - case[1])[2]) > 0)

    def test_for_all_candidates_at_once_they_are_wider_than_for_the_gate(self, case):
        decision = judged(*case)
        for bucket, wider in zip(decision.buckets, decision.candidates["arm 0"], strict=True):
            assert wider.low < bucket.low < bucket.mean < bucket.high == wider.high

    def test_they_scale_with_the_metric(self, case):
        quality, baseline = case
        once = judged(quality, baseline).buckets
        twice = judged({k: 2 * v for k, v in quality.items()}, 2 * baseline).buckets
        for one, two in zip(once, twice, strict=True):
            np.testing.assert_allclose([two.low, two.high], [2 * one.low, 2 * one.high], rtol=1e-9)
            assert two.detectable_share == pytest.approx(one.detectable_share, rel=1e-9)

    def test_other_candidates_do_not_change_what_the_gate_reads(self, case):
        quality, baseline = case
        alone = judged({"arm 0": quality["arm 0"]}, baseline)
        for one, other in zip(alone.buckets, judged(quality, baseline).buckets, strict=True):
            assert one.low == pytest.approx(other.low, rel=1e-9)

    def test_all_lower_limits_hold_at_once(self, rng):
        """Level 0.2 spends 0.16: of 300 samples at most 0.16 + 4 binomial errors of 0.021 miss."""
        truth, missed = 0.03, 0
        for _ in range(300):
            gain = truth + rng.normal(0, 0.2, (4, 3, 60)) + rng.normal(0, 0.2, 60)
            quality = {f"arm {j}": values for j, values in enumerate(gain)}
            decision = judged(quality, np.zeros((3, 60)), rng=rng, level=0.2, resamples=300)
            rows = decision.candidates.values()
            missed += any(cell.low > truth for row in rows for cell in row)
        assert 0.05 < missed / 300 < 0.245

    def test_the_same_seed_gives_the_same_decision(self, case):
        assert judged(*case, rng=5) == judged(*case, rng=5)
        assert judged(*case, rng=5) != judged(*case, rng=6)

    def test_inputs_are_not_changed(self, case):
        quality, baseline = case
        before = {k: v.copy() for k, v in quality.items()}, baseline.copy()
        judged(quality, baseline)
        np.testing.assert_equal((quality, baseline), before)


class TestErrorAndPower:
    """Tolerance without a gain: 4 binomial standard errors of 400 samples at 4%, which is spent."""

    SKEWS = (
        ((0.3, 0.3), (0.4, 0.4)),
        ((0.15, 0.3), (0.6, 0.3)),  # rare large gains
        ((0.3, 0.15), (0.3, 0.6)),  # rare large losses
    )

    def share_open(self, n, samples, resamples=399, **settings):
        rng = np.random.default_rng(n)
        count = np.zeros(3)
        for _ in range(samples):
            quality, baseline = people(rng, n, **settings)
            count += judged(quality, baseline, rng=rng, resamples=resamples).open
        return count / samples

    @pytest.mark.parametrize("n", [30, 60, 200])
    @pytest.mark.parametrize(("hit", "size"), SKEWS)
    def test_without_a_gain_it_rarely_opens(self, n, hit, size):
        assert self.share_open(n, 400, hit=hit, size=size).max() <= 0.04 + 0.039

    def test_a_gain_of_a_fifth_of_a_standard_deviation_is_found_among_200(self):
        # 0.83 of 3000 samples, two standard errors of 600 are 0.031; one max-T over all: 0.55
        first, *rest = self.share_open(200, 600, resamples=1999, effect=0.2)
        assert first >= 0.8
        assert (np.diff([first, *rest]) <= 0).all()

    def test_the_effect_of_these_samples_is_what_it_says(self):
        quality, baseline = people(np.random.default_rng(0), 200_000, effect=0.2)
        gain = quality["arm 0"][0] - baseline[0]
        assert gain.mean() / gain.std() == pytest.approx(0.2, abs=0.01)  # 4 standard errors: 0.009
        none, baseline = people(np.random.default_rng(0), 200_000, hit=(0.15, 0.3), size=(0.6, 0.3))
        gain = none["arm 0"][0] - baseline[0]
        assert gain.mean() / gain.std() == pytest.approx(0, abs=0.01)

    def test_a_gain_as_large_as_the_detectable_one_is_found_four_times_in_five(self, rng):
        first = judged({"arm 0": rng.normal(0, 1, (1, 100))}, np.zeros((1, 100)))
        # of the true spread, not of this sample's
        gain = first.buckets[0].detectable / first.buckets[0].standard_error / 10
        found = [
            judged(
                {"arm 0": rng.normal(gain, 1, (1, 100))}, np.zeros((1, 100)), rng=rng, resamples=399
            ).open[0]
            for _ in range(600)
        ]
        # 4 binomial standard errors, and what critical values scatter between samples
        assert np.mean(found) == pytest.approx(0.8, abs=0.065 + 0.03)


class TestOpening:
    def gains(self, rng, *means, n=400, spread=0.1):
        return rng.normal(np.array(means)[:, None], spread, (len(means), n))

    def test_it_opens_where_every_number_of_shots_gains(self, rng):
        baseline = rng.random((3, 400))
        decision = judged({"arm 0": baseline + self.gains(rng, 0.1, 0.1, 0.1)}, baseline)
        assert decision.open == (True, True, True)
        assert decision.cause is None
        assert str(decision).startswith("Gate open for any number of interactions, at a level of")

    def test_once_closed_it_stays_closed(self, rng):
        baseline = rng.random((3, 400))
        decision = judged({"arm 0": baseline + self.gains(rng, 0.1, 0.0, 0.1)}, baseline)
        assert decision.buckets[2].low > 0
        assert decision.open == (True, False, False)
        first, zero, one, five = str(decision).splitlines()
        assert first.startswith("Gate open without interactions, closed from 1 on, at a level")
        assert zero == f"ndcg@10 of arm 0 {decision.buckets[0]}."
        assert one == f"ndcg@10 of arm 0 {decision.buckets[1]}."
        assert five == (
            f"ndcg@10 of arm 0 {decision.buckets[2]}; closed because 1 shots failed, "
            "and numbers of shots are tested in order."
        )

    def test_how_far_it_is_open_is_told_by_the_first_number_that_failed(self, rng):
        baseline = rng.random((3, 400))
        decision = judged({"arm 0": baseline + self.gains(rng, 0.1, 0.1, 0.0)}, baseline)
        assert "Gate open for fewer than 5 interactions, closed from 5 on" in str(decision)
        assert "shots failed" not in str(decision)

    def test_a_gain_that_comes_late_does_not_open_it(self, rng):
        baseline = rng.random((3, 400))
        decision = judged({"arm 0": baseline + self.gains(rng, -0.1, 0.1, 0.1)}, baseline)
        assert decision.open == (False, False, False)
        assert decision.cause == "no gain shown without interactions"
        *_, one, five, cause = str(decision).splitlines()
        for line in (one, five):
            assert line.endswith(
                "; closed because 0 shots failed, and numbers of shots are tested in order."
            )
        assert cause == (
            "Cause: no gain shown without interactions (arm 0 gains at 1 and 5 shots, and the gate "
            "is closed because 0 shots, which are tested first, failed)."
        )

    def test_what_others_gain_with_interactions_is_no_fault_of_the_chosen_one(self, rng):
        baseline = rng.random((2, 400))
        arms = {
            "good": baseline + self.gains(rng, -0.1, 0.1),
            "bad": baseline + self.gains(rng, -0.1, -0.1),
        }
        decision = judged(arms, baseline, chosen="bad")
        assert decision.cause == "no gain shown without interactions"
        assert decision.reason.startswith("good gains at 1 shots, and the gate is closed because 0")

    def test_only_the_chosen_candidate_opens_it(self, rng):
        baseline = rng.random((2, 400))
        arms = {
            "good": baseline + self.gains(rng, 0.1, 0.1),
            "bad": baseline + self.gains(rng, -0.1, -0.1),
        }
        assert judged(arms, baseline, chosen="good").open == (True, True)
        closed = judged(arms, baseline, chosen="bad")
        assert closed.open == (False, False)
        assert closed.cause == "the method"
        assert str(closed).splitlines()[-1] == (
            "Cause: the method (good gains at 0 and 1 shots, so something can be transferred)."
        )

    def test_everybody_who_gains_is_named(self, rng):
        baseline = rng.random((2, 400))
        arms = {
            "early": baseline + self.gains(rng, 0.1, -0.1),
            "bad": baseline + self.gains(rng, -0.1, -0.1),
            "late": baseline + self.gains(rng, -0.1, 0.1),
        }
        reason = judged(arms, baseline, chosen="bad").reason
        assert reason.startswith("early gains at 0 shots; late gains at 1 shots, so ")

    def test_rows_fall_into_the_bucket_of_the_largest_tested_number(self, rng):
        baseline = rng.random((3, 20))
        decision = judged({"arm 0": baseline + self.gains(rng, 0, 0, 0, n=20)}, baseline)
        assert decision.bucket([0, 1, 2, 4, 5, 900]).tolist() == [0, 1, 1, 1, 2, 2]


class TestCause:
    def test_domains_are_dissimilar_where_no_candidate_can_gain_anything_worth_having(self, rng):
        baseline = rng.random((2, 3000)) / 2 + 0.25
        arms = {f"arm {j}": baseline + rng.normal(0, 0.1, (2, 3000)) for j in range(3)}
        decision = judged(arms, baseline)
        assert decision.open == (False, False)
        assert decision.cause == "dissimilar domains"
        assert "several families of adapters were tried, none gains" in decision.reason

    def test_one_family_of_adapters_does_not_tell_of_the_domains(self, rng):
        baseline = rng.random((2, 3000)) / 2 + 0.25
        arms = {f"arm {j}": baseline + rng.normal(0, 0.1, (2, 3000)) for j in range(3)}
        for decision in (
            judged(arms, baseline, families=1),
            judged({"arm 0": arms["arm 0"]}, baseline),
        ):
            assert decision.open == (False, False)
            assert decision.cause == "undetermined: one family of adapters"
            assert str(decision).splitlines()[-1] == (
                "Cause: undetermined: one family of adapters (with it nothing is gained, and 5% "
                "more than the best arm without a source is excluded, but others were not tried)."
            )
        assert judged(arms, baseline, families=2).cause == "dissimilar domains"

    def test_it_is_undetermined_where_a_gain_cannot_be_excluded(self, rng):
        baseline = rng.random((2, 40)) / 2
        decision = judged({"arm 0": baseline + rng.normal(0, 0.2, (2, 40))}, baseline)
        assert decision.cause == "undetermined: too few people"
        assert decision.candidates["arm 0"][0].high > 0.05 * baseline[0].mean()

    def test_one_candidate_that_might_gain_leaves_it_undetermined(self, rng):
        baseline = rng.random((1, 300)) / 2 + 0.25
        arms = {
            "tight": baseline + rng.normal(0, 0.01, (1, 300)),
            "loose": baseline + rng.normal(0, 0.9, (1, 300)),
        }
        tight = {"tight": arms["tight"], "too": arms["tight"]}
        assert judged(tight, baseline, "tight").cause == "dissimilar domains"
        assert judged(arms, baseline, "tight").cause == "undetermined: too few people"

    def test_candidates_that_become_the_arm_without_a_source_tell_of_dissimilar_domains(self, rng):
        for n, cause in (
            (SAME_PEOPLE, "dissimilar domains"),
            (SAME_PEOPLE - 1, "undetermined: too few people"),
        ):
            baseline = rng.random((2, n))
            assert judged({"arm 0": baseline.copy()}, baseline, families=2).cause == cause


class TestTooLittle:
    def test_fewer_than_ten_people_close_it_and_it_says_so(self, rng):
        baseline = rng.random((2, LEAST_PEOPLE - 1))
        decision = judged({"arm 0": baseline + 0.1 + baseline / 9}, baseline)
        assert decision.open == (False, False)
        assert "9 held-out people have anything left to find, too few to tell" in str(decision)
        assert decision.cause == "undetermined: too few people"

    def test_identical_lists_close_it_and_it_says_so(self, rng):
        baseline = rng.random((2, 50))
        decision = judged({"arm 0": baseline.copy()}, baseline)
        assert decision.open == (False, False)
        assert (decision.buckets[0].low, decision.buckets[0].high) == (0.0, 0.0)
        assert "none of 50 people fares differently" in str(decision)

    def test_few_people_who_differ_close_it_and_it_says_so(self, rng):
        baseline = rng.random((1, 500))
        quality = baseline.copy()
        quality[0, : LEAST_PEOPLE - 1] += rng.random(LEAST_PEOPLE - 1)
        decision = judged({"arm 0": quality}, baseline)
        assert decision.open == (False,)
        assert math.isnan(decision.buckets[0].low)
        assert "with 9 of 500 people whose quality differs" in str(decision)

    def test_a_gain_without_variation_closes_it_and_it_says_so(self):
        decision = judged({"arm 0": np.full((1, 30), 0.4)}, np.full((1, 30), 0.3))
        assert decision.open == (False,)
        assert "no variation" in str(decision)

    def test_a_number_of_shots_without_people_closes_what_follows(self, rng):
        baseline = rng.random((3, 200))
        quality = baseline + rng.normal(0.1, 0.1, (3, 200))
        baseline[1] = np.nan
        decision = judged({"arm 0": quality}, baseline)
        assert decision.open == (True, False, False)
        assert decision.buckets[1].people == 0
        assert math.isnan(decision.buckets[1].mean)

    def test_a_column_that_says_nothing_does_not_disturb_the_others(self, rng):
        baseline = rng.random((1, 200))
        quality = baseline + rng.normal(0.1, 0.1, (1, 200))
        alone = judged({"arm 0": quality}, baseline)
        beside = judged({"arm 0": quality, "same": baseline.copy()}, baseline)
        assert beside.candidates["arm 0"][0].low == pytest.approx(
            alone.candidates["arm 0"][0].low, rel=1e-9
        )

    def test_nobody_closes_it(self):
        nobody = np.zeros((1, 0))
        assert judged({"arm 0": nobody}, nobody).open == (False,)

    def test_a_baseline_of_nothing_has_no_share(self, rng):
        decision = judged({"arm 0": rng.random((1, 50))}, np.zeros((1, 50)))
        assert decision.open == (True,)
        assert math.isnan(decision.buckets[0].detectable_share)
        assert "% of that" not in str(decision)


class TestDecision:
    def test_it_prints_the_smallest_gain_it_could_have_detected(self):
        bucket = Difference(1, 80, 60, 0.02, 0.005, 0.01, 0.03, 0.2, "popularity", 0.013)
        assert str(bucket) == (
            "at 1 shots: +0.0200 [+0.0100, +0.0300] over 0.2000 without a source (popularity), "
            "80 people; a gain of 0.0130, 6.5% of that, is found with 80% probability"
        )

    def test_limits_that_are_infinite_survive_strict_json(self, rng):
        baseline = rng.random((3, 60))
        bucket = judged({"arm 0": baseline + rng.normal(0, 0.1, (3, 60))}, baseline).buckets[0]
        wide = replace(bucket, low=-math.inf, high=math.inf, detectable=math.nan)
        again = Difference.from_json(json.loads(json.dumps(wide.to_json(), allow_nan=False)))
        assert (again.low, again.high) == (-math.inf, math.inf)
        assert math.isnan(again.detectable)
        assert str(again) == str(wide)

    def test_it_survives_strict_json(self, rng):
        baseline = rng.random((3, 60))
        baseline[2, 5:] = np.nan
        decision = judged({"arm 0": baseline + rng.normal(0, 0.1, (3, 60))}, baseline)
        text = json.dumps(decision.to_json(), allow_nan=False)
        again = Decision.from_json(json.loads(text))
        assert str(again) == str(decision)
        assert again.to_json() == decision.to_json()
        assert again.buckets[:2] == decision.buckets[:2]
        assert math.isnan(again.buckets[2].low)
        assert again.bucket([3]).tolist() == [1]


class TestArguments:
    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"chosen": "arm 9"}, "chosen is 'arm 9', but candidates are arm 0"),
            ({"shots": (1, 5)}, "ascending and begin with 0"),
            ({"shots": (0, 5, 5)}, "ascending and begin with 0"),
            ({"baseline_names": ("popularity",)}, "1 names of baselines for 2 numbers of shots"),
            ({"level": 0.5}, "level must lie between 0 and 0.5"),
            ({"resamples": 39}, "needs 40 resamples, got 39"),
            ({"baseline": np.zeros((3, 20))}, r"baseline must be \(2, people\)"),
            ({"quality": {"arm 0": np.zeros((2, 19))}}, "pass the same shots and people"),
            ({"quality": {"arm 0": np.full((2, 20), np.inf)}}, "infinite"),
        ],
    )
    def test_what_does_not_fit_is_told(self, change, message):
        given = {
            "quality": {"arm 0": np.zeros((2, 20))},
            "baseline": np.zeros((2, 20)),
            "chosen": "arm 0",
            "shots": (0, 5),
            "baseline_names": ("popularity", "plain ALS"),
            **change,
        }
        with pytest.raises(ValueError, match=message):
            decide(given.pop("quality"), given.pop("baseline"), **given)
