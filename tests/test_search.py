"""What is chosen follows from the quality of the people who choose, and from nothing else.

The bench here makes qualities up, so that what is best is known.
"""

from dataclasses import replace
from itertools import product
from types import SimpleNamespace
from zlib import crc32

import numpy as np
import pytest

from coldstart.evidence import SoftGate
from coldstart.search import (
    BLENDS,
    CENTRES,
    LEAST_PEOPLE,
    NULL_TEMPERS,
    RIDGES,
    TEMPERS,
    Plan,
    cautious,
    choose,
    choose_null,
    outer_quality,
    soften,
    usable_shots,
)
from coldstart.strength import NullArm, Strength
from coldstart.trials import Crossing, Pull

SHOTS = (0, 1, 2, 5)
FOLDS, N_PEOPLE = 4, 400


class MadeUp:
    """A bench of three families of adapters, in which a trial is worth what a function says.

    Everybody has this quality and noise of their own, which all trials share but for a little.
    """

    def __init__(self, worth=lambda crossing, pull, k: 0.5, null=lambda arm, target, k: 0.3):
        self.worth, self.null = worth, null
        self.people = np.random.default_rng(0).normal(0, 0.1, N_PEOPLE)
        self.groups = np.arange(N_PEOPLE) % FOLDS
        self.folds = range(FOLDS)
        self.strangers = ()
        self.late = False
        self.each = np.inf
        self.means = {}
        self.apart = set()  # two adapters that are no pair
        self.unfit = set()  # target models that no crossing may have
        self.asked = {}

    def families(self):
        return [[0, 1], [2, 3, 4], [5]]

    def family(self, numbers):
        return f"family of {numbers[0]}"

    def fused(self, *parts):
        return self.means.setdefault(tuple(sorted(parts)), 6 + len(self.means))

    def fusible(self, *parts):
        return not self.apart or not self.apart <= set(parts)

    def fits(self, crossing):
        return crossing.target not in self.unfit

    def knows(self, crossing):
        return any(key[0] == crossing for key in self.asked)

    def has_tried(self, target):
        return any(key[0].target == target for key in self.asked)

    def made(self, shots):
        return sum(key[2] == shots for key in self.asked)

    def room(self, shots):
        return self.made(shots) < self.each

    def may(self, crossing, pull, shots):
        felt = pull if shots else Pull(pull.centre, blend=pull.blend)
        return (crossing, felt, shots) in self.asked or self.room(shots)

    def null_name(self, arm, target):
        return f"{arm}, target model {target}"

    def quality(self, crossing, pull, shots):
        if not shots:
            pull = Pull(pull.centre, blend=pull.blend)
        key = crossing, pull, shots
        if key not in self.asked:
            self.asked[key] = self.people + self.worth(*key)
        return self.asked[key]

    def null_quality(self, arm, target, shots):
        return self.people + self.null(arm, target, shots)

    @property
    def crossings(self):
        return {key[0] for key in self.asked}


EVERYBODY = np.ones(N_PEOPLE, bool)


def plan(**settings):
    return Plan(**{"shots": SHOTS, "finalists": 3, **settings})


def prefers(**best):
    """Worth of a trial that falls with the distance of each knob from its best value."""

    def worth(crossing, pull, k):
        value = 1.0
        for name, wanted in best.items():
            at = getattr(pull if hasattr(pull, name) else crossing, name)
            wanted = wanted[k] if isinstance(wanted, dict) else wanted
            value -= 0.1 * abs(np.log(at / wanted)) if name == "temper" else 0.1 * abs(at - wanted)
        return value

    return worth


class TestCrossing:
    @pytest.mark.parametrize("best", range(6))
    def test_the_best_adapter_of_all_families_is_chosen(self, best):
        choice = choose(MadeUp(prefers(adapter=best)), plan(), EVERYBODY)
        assert choice.crossing == Crossing(best)

    def test_so_are_the_source_and_the_target_model(self):
        bench = MadeUp(prefers(adapter=3, source=2, target=1))
        choice = choose(bench, plan(sources=3, targets=4), EVERYBODY)
        assert choice.crossing == Crossing(3, 2, 1)

    def test_of_equally_good_ones_the_first_is_kept(self):
        bench = MadeUp()
        choice = choose(bench, plan(sources=3, targets=4, fuse=True), EVERYBODY)
        assert choice.crossing == Crossing(0, 0, 0)

    def test_a_family_that_needs_another_source_model_is_found_among_the_finalists(self):
        values = {(5, 1): 0.9, (0, 0): 0.7}

        def worth(crossing, *_):
            return values.get((crossing.adapter, crossing.source), 0.5)

        assert choose(MadeUp(worth), plan(sources=2), EVERYBODY).crossing == Crossing(5, 1)
        alone = choose(MadeUp(worth), plan(sources=2, finalists=1), EVERYBODY)
        assert alone.crossing == Crossing(0)

    def test_a_mean_of_the_best_of_some_families_is_chosen_where_it_is_better(self):
        def worth(crossing, *_):
            return {4: 0.6}.get(crossing.adapter, 0.9 if crossing.adapter >= 6 else 0.5)

        bench = MadeUp(worth)
        assert choose(bench, plan(fuse=True), EVERYBODY).crossing.adapter in bench.means.values()
        assert set(bench.means) == {(0, 4), (4, 5), (0, 5), (0, 4, 5)}
        assert choose(MadeUp(worth), plan(fuse=False), EVERYBODY).crossing == Crossing(4)

    def test_adapters_that_speak_of_different_rows_are_not_fused(self):
        bench = MadeUp()
        bench.apart = {0, 2}
        choose(bench, plan(fuse=True), EVERYBODY)
        assert set(bench.means) == {(0, 5), (2, 5)}

    def test_adapters_are_compared_at_the_temper_that_suits_them(self):
        """Adapter 4 states a precision that is far too small; at twice that it is the best."""

        def worth(crossing, pull, k):
            if crossing.adapter == 4 and k:
                return 0.9 if pull.temper >= 2 else 0.2
            return 0.6

        assert choose(MadeUp(worth), plan(), EVERYBODY).crossing == Crossing(4)


class TestPulls:
    def test_every_number_of_shots_has_the_temper_and_the_centre_that_are_best_for_it(self):
        tempers = dict(zip(SHOTS, (1.0, TEMPERS[-1], TEMPERS[2], TEMPERS[0]), strict=True))
        centres = dict(zip(SHOTS, (CENTRES[0], CENTRES[-1], CENTRES[2], CENTRES[3]), strict=True))
        bench = MadeUp(prefers(temper=tempers, centre=centres))
        pulls = choose(bench, plan(), EVERYBODY).pulls
        assert {k: pull.temper for k, pull in pulls.items()} == tempers
        assert {k: pull.centre for k, pull in pulls.items()} == centres

    def test_a_blend_is_chosen_where_it_may_be_tried(self):
        blends = dict(zip(SHOTS, (BLENDS[-1], BLENDS[2], BLENDS[1], BLENDS[0]), strict=True))
        bench = MadeUp(prefers(blend=blends))
        pulls = choose(bench, plan(blend=True), EVERYBODY).pulls
        assert {k: pull.blend for k, pull in pulls.items()} == blends
        without = choose(bench, plan(blend=False), EVERYBODY).pulls
        assert {pull.blend for pull in without.values()} == {0.0}

    @pytest.mark.parametrize("ridge", RIDGES)
    def test_the_ridge_is_one_for_all(self, ridge):
        pulls = choose(MadeUp(prefers(ridge=ridge)), plan(), EVERYBODY).pulls
        assert {pull.ridge for pull in pulls.values()} == {ridge}

    def test_a_difference_that_is_less_than_its_uncertainty_moves_nothing(self):
        """Another centre is better by a twentieth of a standard error, and then by ten of them."""
        noise = np.random.default_rng(1).normal(0, 1, N_PEOPLE)
        noise -= noise.mean()
        error = noise.std() / np.sqrt(N_PEOPLE)
        for gain, centre in ((0.05, 1.0), (10.0, 1.25)):
            there = 5 + noise + gain * error
            bench = MadeUp(lambda c, p, k, there=there: there if p.centre == 1.25 else 5.0)
            assert choose(bench, plan(shots=(0,)), EVERYBODY).pulls[0].centre == centre

    def test_where_one_number_of_shots_does_not_care_the_others_decide(self):
        bench = MadeUp(lambda c, p, k: 0.5 + 0.1 * (k != 2 and p.temper == TEMPERS[-1]))
        assert choose(bench, plan(), EVERYBODY).pulls[2].temper == TEMPERS[-1]

    def test_a_strength_that_is_given_is_kept_and_the_rest_compared_at_it(self):
        given = Strength((0, 2), (0.75, 1.25), (1.0, 7.0), 3.0, (0.0, 0.5))
        bench = MadeUp(lambda c, p, k: 0.9 if c.adapter == 3 and p.temper == 7.0 else 0.5)
        choice = choose(bench, plan(fixed=given), EVERYBODY)
        assert choice.crossing == Crossing(3)
        first, later = Pull(0.75, 1.0, 3.0, 0.0), Pull(1.25, 7.0, 3.0, 0.5)
        assert choice.pulls == {0: first, 1: first, 2: later, 5: later}

    def test_a_ridge_that_is_no_multiple_stays_as_it_is_beside_any_model(self):
        given = Strength(regularization=3.0)
        for absolute, ridge in ((True, 3.0), (False, 60.0)):
            choice = choose(MadeUp(), plan(fixed=given, absolute=absolute), EVERYBODY)
            assert choice.strength(20.0).regularization == ridge
            assert choice.pulls[5].regularization(20.0) == ridge

    def test_they_become_a_strength_with_the_ridge_of_the_target_model(self):
        choice = choose(MadeUp(prefers(ridge=1.0, blend=0.3)), plan(blend=True), EVERYBODY)
        strength = choice.strength(20.0)
        assert (strength.shots, strength.regularization) == (SHOTS, 20.0)
        assert strength.blend == (0.3,) * len(SHOTS)


class TestLimits:
    @pytest.mark.parametrize("trials", [1, 2, 3, 7, 11, 64])
    def test_no_more_crossings_are_compared_than_trials(self, trials):
        bench = MadeUp(prefers(adapter=4, source=1, target=1))
        wanted = plan(sources=3, targets=4, fuse=True, blend=True, trials=trials)
        choice = choose(bench, wanted, EVERYBODY)
        assert choice.crossing in bench.crossings
        whole = 6 + 3 * 2 + 4 + 3  # adapters, source models of the finalists, means, target models
        assert len(bench.crossings) == min(trials, whole)

    @pytest.mark.parametrize("each", [1, 2, 3, 4, 7, 20, 40, 200])
    def test_no_number_of_shots_has_more_trials_than_each_may_have(self, each):
        bench = MadeUp(prefers(adapter=4, source=1, temper=TEMPERS[0]))
        bench.each = each
        wanted = plan(sources=3, targets=4, fuse=True, blend=True)
        choice = choose(bench, wanted, EVERYBODY)
        outer_quality(bench, wanted)
        assert all((choice.crossing, choice.pulls[k], k) in bench.asked for k in SHOTS[1:])
        assert max(map(bench.made, SHOTS)) <= each
        if each >= 20:
            assert choice.crossing.adapter == 4

    def test_when_it_is_late_from_the_start_the_first_crossing_is_tuned(self):
        bench = MadeUp(prefers(adapter=4, temper=TEMPERS[0]))
        bench.late = True
        choice = choose(bench, plan(sources=3, targets=4, fuse=True), EVERYBODY)
        assert bench.crossings == {Crossing(0)} == {choice.crossing}
        assert choice.pulls[5].temper == TEMPERS[0]

    def test_when_it_becomes_late_nothing_new_is_tried(self):
        class Clock(MadeUp):
            def quality(self, crossing, pull, shots):
                self.late = self.late or crossing.adapter == 2
                return super().quality(crossing, pull, shots)

        bench = Clock(lambda c, p, k: 0.5 + 0.1 * (c.adapter in (2, 5)))
        assert choose(bench, plan(), EVERYBODY).crossing == Crossing(2)
        assert bench.crossings == {Crossing(0), Crossing(1), Crossing(2)}


class TestWithoutASource:
    ARMS = (
        NullArm("popularity", "all", 1.0, 1.0),
        NullArm("popularity", "anchors", 1.0, 1.0),
        NullArm("plain", "all", 1.0, 100.0),
        NullArm("mean", "all", NULL_TEMPERS[0], 0.0),
        NullArm("mean", "anchors", NULL_TEMPERS[-1], 1.0),
    )

    @pytest.mark.parametrize("best", ARMS, ids=str)
    def test_the_best_arm_is_found(self, best):
        bench = MadeUp(null=lambda arm, target, k: 0.5 + 0.1 * (arm == best))
        assert choose_null(bench, plan(), EVERYBODY).arms[5] == best

    def test_every_number_of_shots_has_its_own(self):
        wanted = {0: self.ARMS[1], 1: self.ARMS[2], 2: self.ARMS[3], 5: self.ARMS[4]}
        bench = MadeUp(null=lambda arm, target, k: 0.5 + 0.1 * (arm == wanted[k]))
        assert choose_null(bench, plan(), EVERYBODY).arms == wanted

    def test_popularity_is_left_out_where_it_may_not_be(self):
        bench = MadeUp(null=lambda arm, target, k: 0.5 + 0.1 * (arm.kind == "popularity"))
        assert choose_null(bench, plan(), EVERYBODY).arms[0].kind == "popularity"
        arms = choose_null(bench, plan(), EVERYBODY, popular=False).arms
        assert "popularity" not in {arm.kind for arm in arms.values()}

    def test_the_target_model_is_the_best_one_or_the_one_asked_for(self):
        bench = MadeUp(null=lambda arm, target, k: 0.5 + 0.1 * (target == 2))
        choose(bench, plan(targets=4), EVERYBODY)
        assert choose_null(bench, plan(targets=4), EVERYBODY).target == 2
        assert choose_null(bench, plan(targets=4), EVERYBODY, 1).target == 1

    @pytest.mark.parametrize("trials", [1, 64])
    def test_all_arms_are_compared_however_little_may_be_tried(self, trials):
        """The source must not win for want of a rival: 35 arms, whatever `trials` says."""
        asked = set()

        def null(arm, number, _):
            asked.add((arm, number))
            return 0.5 + 0.1 * (arm == self.ARMS[-1])

        found = choose_null(MadeUp(null=null), plan(trials=trials), EVERYBODY)
        assert len(asked) == 35
        assert found.arms[5] == self.ARMS[-1]

    def test_a_target_model_that_does_not_fit_is_not_tried(self):
        bench = MadeUp(lambda crossing, pull, k: 0.5 + 0.1 * crossing.target)
        bench.unfit = {2}
        assert choose(bench, plan(targets=3), EVERYBODY).crossing.target == 1
        assert not bench.has_tried(2)

    def test_rivals_have_the_target_models_that_the_source_was_tried_with(self):
        """The best one for them is number 2, which no crossing was measured with."""
        bench = MadeUp(null=lambda arm, target, k: 0.5 + 0.1 * target)
        bench.quality(Crossing(0, target=1), Pull(), 0)
        assert choose_null(bench, plan(targets=3), EVERYBODY).target == 1

    def test_they_become_a_fallback_with_the_ridge_of_the_target_model(self):
        bench = MadeUp(null=lambda arm, target, k: 0.5 + 0.1 * (arm == self.ARMS[2]))
        fallback = choose_null(bench, plan(shots=(0, 5)), EVERYBODY).fallback(3.0)
        assert fallback.shots == (0, 5)
        assert fallback.arms[1] == NullArm("plain", "all", 1.0, 300.0)


class Grudging(MadeUp):
    """One fold's people judge everything as they are told to, the others as they did."""

    def __init__(self, fold, seed, **made):
        super().__init__(**made)
        self.fold, self.seed = fold, seed

    def judged(self, people, *key):
        own = np.random.default_rng([self.seed, crc32(repr(key).encode())]).random(N_PEOPLE)
        return np.where(self.groups == self.fold, own, people)

    def quality(self, crossing, pull, shots):
        return self.judged(super().quality(crossing, pull, shots), crossing, pull, shots)

    def null_quality(self, arm, target, shots):
        return self.judged(super().null_quality(arm, target, shots), str(arm), target, shots)


class TestOuter:
    def choices(self, monkeypatch, bench, wanted):
        """Which way to cross was chosen without each fold, and what all that is measured as."""
        found = []

        def remembered(bench, plan, people):
            found.append((people, choose(bench, plan, people)))
            return found[-1][1]

        monkeypatch.setattr("coldstart.search.choose", remembered)
        return found, outer_quality(bench, wanted)

    @pytest.mark.parametrize("fold", range(FOLDS))
    def test_people_do_not_take_part_in_the_choice_that_is_measured_on_them(
        self, monkeypatch, fold
    ):
        """The canary: judgements of one fold's people are replaced by noise."""
        made = {"worth": prefers(adapter=3, temper=TEMPERS[-1], centre=CENTRES[0])}
        wanted = plan(sources=2, targets=2, fuse=True, blend=True)
        twins = [
            self.choices(monkeypatch, bench, wanted)[0][fold]
            for bench in (MadeUp(**made), Grudging(fold, 1, **made), Grudging(fold, 2, **made))
        ]
        for people, choice in twins:
            assert not people[np.arange(N_PEOPLE) % FOLDS == fold].any()
            assert people.sum() == N_PEOPLE - N_PEOPLE // FOLDS
            assert (choice.crossing, choice.pulls) == (twins[0][1].crossing, twins[0][1].pulls)

    def test_the_canary_sings_in_the_choices_of_other_folds(self, monkeypatch):
        made = {"worth": prefers(adapter=3, temper=TEMPERS[-1])}
        pulls = {
            str(self.choices(monkeypatch, Grudging(0, seed, **made), plan())[0][1][1].pulls)
            for seed in range(4)
        }
        assert len(pulls) > 1

    def test_quality_is_that_of_the_choice_made_without_each_person(self, monkeypatch):
        bench = Grudging(2, 5, worth=prefers(adapter=3, temper=TEMPERS[-1]))
        found, outer = self.choices(monkeypatch, bench, plan())
        for (place, k), (fold, (_, choice)) in product(enumerate(SHOTS), enumerate(found)):
            inside = bench.groups == fold
            expected = bench.quality(choice.crossing, choice.pulls[k], k)[inside]
            assert np.array_equal(outer.quality["auto"][place, inside], expected)

    def test_what_it_has_to_beat_is_one_arm_in_its_best_light(self, monkeypatch):
        """Chosen by everybody: no rival chosen without a fold is better on all of them."""
        bench = Grudging(2, 5, worth=prefers(adapter=3, temper=TEMPERS[-1]))
        _, outer = self.choices(monkeypatch, bench, plan())
        null = choose_null(bench, plan(), EVERYBODY)
        for place, k in enumerate(SHOTS):
            expected = bench.null_quality(null.arms[k], null.target, k)
            assert np.array_equal(outer.baseline[place], expected)
            for fold in range(FOLDS):
                other = choose_null(bench, plan(), bench.groups != fold)
                assert expected.mean() >= bench.null_quality(other.arms[k], 0, k).mean()

    def test_few_people_move_what_serves_less_than_what_it_is_compared_with(self):
        """An arm that is ahead by chance is a rival; the mean prior as it is serves."""
        home, kept, taken = NullArm("mean", "all", 1.0, 1.0), 0, 0
        for seed in range(10):
            bench = Grudging(0, seed)
            some = bench.groups == 0
            careful = choose_null(bench, plan(), some, careful=True).arms
            kept += list(careful.values()).count(home)
            taken += list(choose_null(bench, plan(), some).arms.values()).count(home)
        assert kept > 2 * taken

    def test_many_people_move_what_serves_as_well(self):
        best = NullArm("mean", "both", NULL_TEMPERS[1], 1.0)
        bench = MadeUp(null=lambda arm, target, k: 0.5 + 0.1 * (arm == best))
        assert choose_null(bench, plan(), EVERYBODY, careful=True).arms[5] == best

    def test_every_family_is_measured_beside_the_choice(self):
        bench = MadeUp(prefers(adapter=3))
        outer = outer_quality(bench, plan())
        assert list(outer.quality) == ["auto", "family of 0", "family of 2", "family of 5"]
        assert np.array_equal(outer.quality["auto"], outer.quality["family of 2"])
        expected = np.tile(bench.people + 0.8, (len(SHOTS), 1))  # that of adapter 1
        np.testing.assert_allclose(outer.quality["family of 0"], expected, rtol=1e-12)

    def test_families_for_which_there_was_no_time_are_left_out(self):
        bench = MadeUp(prefers(adapter=3))
        bench.late = True
        assert list(outer_quality(bench, plan()).quality) == ["auto", "family of 0"]

    def test_it_says_which_arm_without_a_source_it_was(self):
        best = NullArm("mean", "anchors", NULL_TEMPERS[1], 1.0)
        bench = MadeUp(null=lambda arm, target, k: 0.5 + 0.1 * (arm == best))
        outer = outer_quality(bench, plan(shots=(0, 2)))
        assert outer.baseline_names[1] == bench.null_name(best, 0)

    def test_arms_of_two_target_models_are_told_apart(self):
        best = NullArm("mean", "anchors", NULL_TEMPERS[1], 1.0)
        bench = MadeUp(null=lambda arm, target, k: 0.5 + 0.1 * (arm == best) + 0.1 * target)
        outer = outer_quality(bench, plan(shots=(0, 2), targets=2))
        assert outer.baseline_names[1] == bench.null_name(best, 1)

    def test_progress_is_told_fold_by_fold(self):
        ticks = []
        outer_quality(MadeUp(), plan(), lambda: ticks.append(1))
        assert len(ticks) == FOLDS


class Telling(MadeUp):
    """A bench in which a transfer gains 0.2 for the even people and loses as much for the others,
    and what was foretold tells which, but for the people of one fold; there it tells the opposite.
    """

    def __init__(self, odd_fold=None):
        super().__init__()
        self.odd_fold = odd_fold
        self.gain = 0.2 * (-1.0) ** (np.arange(N_PEOPLE) // FOLDS)

    def quality(self, crossing, pull, shots):
        return super().quality(crossing, pull, shots) + self.gain

    def null_quality(self, arm, target, shots):
        return self.people + 0.5

    def delta(self, crossing, pull, arm, shots):
        told = 50 * self.gain * (shots > 0)
        return np.where(self.groups == self.odd_fold, -told, told)

    def mixed_quality(self, crossing, pull, arm, gate, shots):
        weight = gate.weight(self.delta(crossing, pull, arm, shots), 0.0)
        return self.null_quality(arm, 0, shots) + weight * self.gain


class TestSoften:
    def test_what_tells_who_gains_is_followed(self):
        bench = Telling()
        gate, arms = soften(bench, plan(), choose(bench, plan(), EVERYBODY), EVERYBODY)
        assert gate.t > 0
        assert tuple(arms) == SHOTS
        assert "popularity" not in {arm.kind for arm in arms.values()}

    def test_people_who_are_not_asked_have_no_say(self):
        """The canary: what was foretold of one fold's people tells the opposite."""
        mask = np.arange(N_PEOPLE) % FOLDS != 1
        gates = {
            soften(bench, plan(), choose(bench, plan(), mask), mask)[0]
            for bench in (Telling(), Telling(1))
        }
        assert len(gates) == 1
        bench = Telling(1)
        bench.gain[mask] = 0.0
        assert soften(bench, plan(), choose(bench, plan(), EVERYBODY), EVERYBODY)[0].t == 0

    def test_outer_quality_is_that_of_the_mixed_rows_by_gates_fitted_without_each_person(self):
        bench, wanted = Telling(2), plan(soft=True)
        outer = outer_quality(bench, wanted)
        for (place, k), fold in product(enumerate(SHOTS), range(FOLDS)):
            inside = bench.groups == fold
            choice = choose(bench, wanted, ~inside)
            gate, arms = soften(bench, wanted, choice, ~inside)
            expected = bench.mixed_quality(choice.crossing, choice.pulls[k], arms[k], gate, k)
            assert np.array_equal(outer.quality["auto"][place, inside], expected[inside])
        hard = outer_quality(bench, plan())
        assert np.array_equal(outer.baseline, hard.baseline)
        assert np.array_equal(outer.quality["family of 0"], hard.quality["family of 0"])
        gained = np.nanmean(outer.quality["auto"] - hard.quality["auto"], axis=1)
        assert gained[1:].min() > 0.02  # of 0.1, less what the odd fold loses

    def test_where_nobody_has_anything_left_to_find_nothing_is_weighed(self):
        bench = Telling()
        bench.people = np.full(N_PEOPLE, np.nan)
        choice = choose(bench, plan(), EVERYBODY)
        assert soften(bench, plan(), choice, EVERYBODY)[0] == SoftGate(0.0, 0.0)


class TestStrangers:
    """Rows that are no anchors choose arms without a source beside them."""

    KNOBS = NullArm("mean", "all", NULL_TEMPERS[1], 0.0)

    def bench(self, *, gain=0.0, anchors=lambda arm: 0.0):
        """Strangers gain so much by their temper, and as much again without a ridge; anchors what
        a function says.
        """
        bench = MadeUp(null=lambda arm, target, k: 0.5 + anchors(arm))
        bench.strangers = (object(),)
        bench.strangers_quality = lambda arm, target, k: (
            0.5
            + gain * (arm.temper == self.KNOBS.temper and arm.whose == "all")
            + gain * (arm.of("all") == self.KNOBS)
            + bench.people
        )
        return bench

    def test_they_move_what_serves(self):
        bench = self.bench(gain=0.2)
        few = np.arange(N_PEOPLE) < 12
        assert choose_null(bench, plan(), few, careful=True).arms[5] == self.KNOBS
        assert choose_null(bench, plan(), ~EVERYBODY, careful=True).arms[5] == self.KNOBS

    def test_they_are_no_rivals(self):
        bench = self.bench(gain=0.2)
        assert choose_null(bench, plan(), EVERYBODY).arms[5] != self.KNOBS

    def test_what_they_choose_is_where_the_choice_of_tempers_starts(self):
        few = np.arange(N_PEOPLE) < 12
        assert choose(self.bench(gain=0.2), plan(), few).pulls[5].temper == self.KNOBS.temper
        assert choose(self.bench(), plan(), few).pulls[5].temper == 1.0

    def test_whose_mean_it_is_the_anchors_choose(self):
        bench = self.bench(gain=0.2, anchors=lambda arm: 0.1 * (arm.whose == "both"))
        assert choose_null(bench, plan(), EVERYBODY, careful=True).arms[5] == self.KNOBS.of("both")

    def test_unless_they_are_too_few(self):
        bench = self.bench(gain=0.2, anchors=lambda arm: 0.1 * (arm.whose == "both"))
        few = np.arange(N_PEOPLE) < LEAST_PEOPLE - 1
        assert choose_null(bench, plan(), few, careful=True).arms[5] == self.KNOBS


def test_numbers_of_shots_need_enough_people_with_something_left_to_find():
    folds = [SimpleNamespace(finders=lambda shots: 60 // (1 + shots))] * 2
    enough = 120 // LEAST_PEOPLE - 1  # at so many shots just enough of them have
    assert usable_shots(folds, (0, 1, 5, enough, enough + 5)) == (0, 1, 5, enough)
    assert usable_shots([], SHOTS) == (0,)


def test_people_without_truth_count_for_nothing():
    bench = MadeUp(prefers(adapter=3, temper=TEMPERS[-1]))
    known = replace(choose(bench, plan(), EVERYBODY))
    bench.asked.clear()
    bench.people[::3] = np.nan
    again = choose(bench, plan(), EVERYBODY)
    assert (again.crossing, again.pulls) == (known.crossing, known.pulls)


class TestCaution:
    def test_ten_people_who_differ_little_are_not_believed(self):
        """One of ten gains 0.1: as a mean this is 1.05 standard errors, and 5% of the quality."""
        home = np.random.default_rng(0).permutation(np.repeat([0.0, 0.4], 5))
        gain = np.where(np.arange(10) == 0, 0.1, 0.0)
        assert cautious(home + gain, home) < cautious(home, home) == home.mean()

    def test_a_thousand_are(self):
        home = np.tile([0.0, 0.4], 500)
        gain = np.where(np.arange(1000) % 10 == 0, 0.1, 0.0)
        assert cautious(home + gain, home) > home.mean()
