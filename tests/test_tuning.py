"""Who is held out, what may be tried on them, and that they choose the same every time."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from coldstart import transfer, tuning
from coldstart.adapters import AutoAdapter, KernelAdapter, MeanAdapter, RidgeAdapter
from coldstart.als import PriorALS
from coldstart.anchors import Anchors, find_anchors
from coldstart.datasets import make_cross_domain
from coldstart.factors import Factors
from coldstart.interactions import Interactions
from coldstart.strength import Strength
from coldstart.targets import prior_als
from coldstart.targets.prior_als import PriorALSTarget
from coldstart.trials import Crossing

D = 5
TWO = [RidgeAdapter(1.0, normalize=True), RidgeAdapter(10.0, normalize=True)]
QUICK = {"people": 60, "shots": (0, 2), "fuse": False, "blend": False, "models": False}


def model(**settings):
    given = {"regularization": 2.0, "alpha": 5.0, "iterations": 3, "rng": 0, "num_threads": 1}
    return PriorALS(**{"factors": D, **given, **settings})


@pytest.fixture(scope="module")
def world():
    return make_cross_domain(
        160, 45, 38, source_interactions=9, target_interactions=7, factors=4, rng=3
    )


@pytest.fixture(scope="module")
def source(world):
    return transfer.source_space(world.source, model(), show_progress=False)


def models_of(adapter, world, *, tune_source=True, source=None):
    return tuning.models_of(
        adapter,
        PriorALSTarget(model(), "users"),
        PriorALSTarget(model(), "users"),
        source or world.source,
        tune_source=tune_source,
        show_progress=False,
    )


def find(adapter, world, source, *, seed=0, fixed=None, anchors=None, **limits):
    return tuning.find(
        adapter,
        models_of(adapter, world),
        source,
        world.target,
        anchors or find_anchors(source.ids, world.target.users),
        fixed=fixed,
        rng=np.random.default_rng(seed),
        num_threads=1,
        show_progress=False,
        limits=tuning.Limits(**limits),
    )


class TestModels:
    def test_the_first_ones_are_those_that_were_given(self, world, source):
        models = models_of(AutoAdapter(), world)
        assert models.targets[0].model.get_params() == model().get_params()
        assert np.array_equal(models.sources[0]().rows, source.rows)

    def test_others_have_some_settings_multiplied(self, world):
        models = models_of(AutoAdapter(), world)
        for made, factors in zip(models.targets[1:], prior_als.VARIANTS, strict=True):
            expected = model().get_params()
            for name, factor in factors.items():
                expected[name] *= factor
            assert made.model.get_params() == expected
            assert isinstance(made.model.factors, int)
        assert len(models.sources) == 1 + len(tuning.SOURCE_SETTINGS)
        assert not np.allclose(models.sources[1]().rows, models.sources[0]().rows, rtol=0.1)

    @pytest.mark.parametrize("adapter", [RidgeAdapter(), AutoAdapter(models=False)])
    def test_there_are_no_others_where_they_are_not_to_be_tuned(self, world, adapter):
        models = models_of(adapter, world)
        assert (len(models.sources), len(models.targets)) == (1, 1)

    def test_a_source_that_the_caller_modelled_is_left_as_it_is(self, world):
        assert len(models_of(AutoAdapter(), world, tune_source=False).sources) == 1
        factors = Factors.from_arrays(np.eye(4, 3), np.ones((6, 3)))
        assert len(models_of(AutoAdapter(), world, source=factors).sources) == 1


class TestHeldOut:
    def people(self, found):
        return np.concatenate([fold.held.rows for fold in found.bench.folds])

    def test_every_eligible_anchor_is_held_out_once(self, world, source):
        found = find(TWO[0], world, source, fixed=Strength(regularization=1.0))
        rows = self.people(found)
        target = np.diff(world.target.user_items.indptr)
        anchors = find_anchors(source.ids, world.target.users)
        eligible = (target[anchors.target] >= tuning.ACTIVE) & (
            source.counts[anchors.source] >= tuning.ACTIVE
        )
        assert len(found.bench.folds) == tuning.FOLDS
        assert sorted(rows) == sorted(anchors.target[eligible])
        assert found.people == len(rows) < len(anchors)

    def test_of_many_only_so_many_as_may_be(self, world, source):
        adapter = AutoAdapter(TWO, **{**QUICK, "people": 23})
        found = find(adapter, world, source, fixed=Strength(regularization=1.0))
        assert len(set(self.people(found))) == found.people == 23
        sizes = [len(fold.held) for fold in found.bench.folds]
        assert max(sizes) - min(sizes) <= 1

    def test_where_few_are_active_two_target_interactions_are_enough(
        self, monkeypatch, world, source
    ):
        monkeypatch.setattr(tuning, "ACTIVE", 25)
        rows = self.people(find(TWO[0], world, source, fixed=Strength(regularization=1.0)))
        counts = np.diff(world.target.user_items.indptr)[rows]
        assert counts.min() >= 2
        assert (counts < 5).any()

    def test_too_few_to_hold_any_out_is_nobody_to_ask(self, world, source):
        anchors = find_anchors(source.ids, world.target.users)
        few = anchors.take(slice(tuning.FEWEST - 1))
        assert find(TWO[0], world, source, anchors=few) is None

    def test_ready_factors_need_no_interactions_of_the_source(self, world, source):
        bare = transfer.Space(source.ids, source.rows)
        found = find(AutoAdapter(TWO, **{**QUICK, "blend": True}), world, bare)
        assert found.people > 0
        assert not found.plan.blend


class TestStrangers:
    """Rows that are no anchors help to choose arms without a source where anchors are few."""

    def rows(self, found):
        return np.concatenate([fold.held.rows for fold in found.bench.strangers])

    def found(self, world, source, count):
        anchors = find_anchors(source.ids, world.target.users).take(slice(count))
        return anchors, find(TWO[0], world, source, anchors=anchors)

    def test_each_is_asked_once_and_none_is_an_anchor(self, world, source):
        anchors, found = self.found(world, source, 30)
        rows = self.rows(found)
        active = np.diff(world.target.user_items.indptr) >= tuning.ACTIVE
        assert sorted(rows) == sorted(np.setdiff1d(np.flatnonzero(active), anchors.target))
        assert len(found.bench.strangers) == tuning.FOLDS

    def test_a_fold_lacks_its_strangers_and_no_anchor(self, world, source):
        anchors, found = self.found(world, source, 30)
        for fold in found.bench.strangers:
            gone = world.target.users.ids[fold.held.rows]
            assert not np.isin(gone, fold.train.users.ids).any()
            assert len(fold.anchors) == len(anchors)
            assert len(fold.people) == 0

    def test_of_many_only_some_and_in_fewer_folds(self, monkeypatch, world, source):
        monkeypatch.setattr(tuning, "STRANGERS", 20)
        _, found = self.found(world, source, 30)
        assert len(set(self.rows(found))) == 20
        assert len(found.bench.strangers) == 2  # a fifth of them is fewer than 20

    def test_many_anchors_need_none(self, monkeypatch, world, source):
        monkeypatch.setattr(tuning, "FEW", 20)
        _, found = self.found(world, source, 60)
        assert not found.bench.strangers

    def test_those_who_hold_out_fewer_are_asked_no_others(self, world, source):
        anchors = find_anchors(source.ids, world.target.users)
        adapter = AutoAdapter(TWO, **{**QUICK, "people": 40})
        found = find(adapter, world, source, anchors=anchors)
        assert found.people == 40
        assert not found.bench.strangers

    def test_with_too_few_anchors_they_choose_alone(self, world, source):
        anchors = find_anchors(source.ids, world.target.users).take(slice(3))
        models = models_of(TWO[0], world)
        home = self.home(AutoAdapter(TWO), models, world.target, anchors)
        assert home.null_shots == tuple(home.null(0).arms) == tuple(home.tempers) == (0, 1, 2, 5)
        assert {arm.whose for arm in home.null(0).arms.values()} == {"all"}

    def test_they_choose_by_the_metric_and_at_the_shots_that_were_asked_for(self, world, source):
        anchors = find_anchors(source.ids, world.target.users).take(slice(3))
        adapter = AutoAdapter(TWO, metric="hit_rate", n=3, shots=(0, 3))
        home = self.home(adapter, models_of(TWO[0], world), world.target, anchors)
        assert home.null_shots == (0, 3)
        quality = home.bench.strangers_quality(home.null(0).arms[3], 0, 3)
        assert set(quality[~np.isnan(quality)]) == {0.0, 1.0}

    def home(self, adapter, models, target, anchors):
        rng = np.random.default_rng(0)
        return tuning.find_home(adapter, models, target, anchors, rng=rng, num_threads=1)

    def test_nearly_nobody_is_not_asked(self, monkeypatch, world):
        monkeypatch.setattr(tuning, "ACTIVE", 10**6)
        anchors = Anchors(np.zeros(0, np.int64), np.zeros(0, np.int64))
        models = models_of(TWO[0], world)
        assert self.home(TWO[0], models, world.target, anchors) is None


def poisoned(log, rows):
    """The log with rows of these people replaced: all weights, and an item that only they have."""
    rng = np.random.default_rng(9)
    n_items = len(log.items)
    dense = np.hstack([log.user_items.toarray(), np.zeros((len(log.users), 1))])
    dense[rows] = rng.uniform(50, 100, (len(rows), n_items + 1))
    dense[rows, : n_items // 2] *= rng.random((len(rows), n_items // 2)) < 0.5
    return Interactions.from_csr(dense, log.users, [*log.items, "poison"])


class TestNothingLeaks:
    def folds(self, target, source):
        models = tuning.Models([lambda: source], [PriorALSTarget(model(), "users")])
        found = tuning.find(
            TWO[0],
            models,
            source,
            target,
            find_anchors(source.ids, target.users),
            fixed=Strength(regularization=1.0),
            rng=np.random.default_rng(0),
            num_threads=1,
            show_progress=False,
        )
        return found.bench.folds

    def assert_same(self, ours, theirs):
        for one, other in zip(ours, theirs, strict=True):
            assert one.dtype == other.dtype
            assert np.array_equal(one, other)

    def fitted(self, fold, source):
        prior = fold.prior(Crossing(), TWO[0], source)
        trained, nulls, added = fold.target(0).trained, fold.target(0).nulls, fold.row_map(source)
        yield from (trained.rows, trained.columns, added.rows, added.columns)
        yield from fold.popularity.values()
        for said in (prior, nulls):
            yield from (said.mean, said.precision, said.shared, said.origin)

    def test_poisoned_rows_of_held_out_people_change_not_a_bit_of_what_is_fitted(
        self, world, source
    ):
        """The canary, through the whole search: who is held out stays the same too."""
        ours = self.folds(world.target, source)[0]
        theirs = self.folds(poisoned(world.target, ours.held.rows), source)[0]
        assert np.array_equal(ours.held.rows, theirs.held.rows)
        assert theirs.held.dropped.tolist() == [1] * len(theirs.held)  # the poison arrived
        assert theirs.held.matrix.data.min() >= 50
        self.assert_same(self.fitted(ours, source), self.fitted(theirs, source))

    def test_the_canary_sings_where_somebody_else_is_poisoned(self, world, source):
        ours, others = self.folds(world.target, source)[:2]
        theirs = self.folds(poisoned(world.target, others.held.rows), source)[0]
        assert np.array_equal(ours.held.rows, theirs.held.rows)
        said = [fold.prior(Crossing(), TWO[0], source).mean for fold in (ours, theirs)]
        assert not np.allclose(*said, rtol=0.1)


@pytest.fixture(scope="module")
def found(world, source):
    return find(AutoAdapter(TWO, **QUICK), world, source)


class TestFound:
    def test_what_is_chosen_is_unfitted_and_decided(self, found):
        assert found.adapter.ridge in (1.0, 10.0)
        assert not hasattr(found.adapter, "weights_")
        assert found.metric == "ndcg@10"

    def test_numbers_of_shots_are_those_asked_for_and_none(self, found):
        assert found.plan.shots == tuple(found.choice.pulls) == (0, 2)
        assert found.outer.quality["auto"].shape == (2, found.people)

    def test_the_same_generator_chooses_the_same(self, world, source, found):
        again = find(AutoAdapter(TWO, **QUICK), world, source)
        assert (again.choice.crossing, again.choice.pulls) == (
            found.choice.crossing,
            found.choice.pulls,
        )
        for ours, theirs in (
            (again.outer.baseline, found.outer.baseline),
            (again.outer.quality["auto"], found.outer.quality["auto"]),
        ):
            assert np.array_equal(ours, theirs, equal_nan=True)
        assert again.outer.baseline_names == found.outer.baseline_names

    def test_another_generator_holds_out_others(self, world, source, found):
        other = find(AutoAdapter(TWO, **QUICK), world, source, seed=1)
        rows = [each.bench.folds[0].held.rows for each in (other, found)]
        assert not np.array_equal(*rows)

    def test_the_metric_and_the_length_are_those_of_the_adapter(self, world, source):
        adapter = AutoAdapter(TWO, **QUICK, metric="hit_rate", n=3)
        found = find(adapter, world, source, fixed=Strength(regularization=1.0))
        assert found.metric == "hit_rate@3"
        quality = found.outer.quality["auto"]
        assert set(quality[~np.isnan(quality)]) <= {0.0, 1.0}

    def test_arms_without_a_source_have_every_number_of_shots(self, found):
        for null in (found.null(), found.null(0), found.null(popular=False)):
            assert tuple(null.arms) == (0, 2)

    def test_without_any_time_the_first_adapter_is_tuned(self, world, source):
        options = [*TWO, MeanAdapter(), KernelAdapter("linear")]
        adapter = AutoAdapter(options, budget=0.0, people=60, shots=(0, 2))
        found = find(adapter, world, source)
        assert (found.choice.crossing.adapter, found.choice.crossing.source) == (0, 0)
        assert found.choice.crossing.target == found.null().target == 0
        assert list(found.outer.quality) == ["auto", "RidgeAdapter"]
        assert np.isfinite(np.nanmean(found.outer.quality["auto"], axis=1)).all()

    @pytest.mark.parametrize("trials", [1, 2])
    def test_one_choice_compares_no_more_crossings_than_trials(self, world, source, trials):
        """Choices without a fold may look at others, but here there is one order to look in."""
        options = [*TWO, MeanAdapter()]
        adapter = AutoAdapter(options, **{**QUICK, "models": True}, trials=trials)
        found = find(adapter, world, source, fixed=Strength(regularization=1.0))
        known = [
            number
            for number in range(len(options))
            if found.bench.knows(replace(found.choice.crossing, adapter=number))
        ]
        assert known == list(range(trials))


class TestLimits:
    def test_no_more_settings_are_tried_than_there_may_be_trials(self, world, source):
        adapter = AutoAdapter([*TWO, MeanAdapter()], **QUICK)
        for trials in (1, 4):
            found = find(adapter, world, source, trials=trials)
            told = found.trials()
            counts = [sum(trial["shots"] == k for trial in told) for k in QUICK["shots"]]
            assert 0 < min(counts) <= max(counts) <= trials
            chosen = [trial["shots"] for trial in told if trial["chosen"]]
            assert chosen == list(QUICK["shots"])

    def test_the_smaller_of_two_budgets_holds(self, world, source):
        for own, given, late in ((None, 0.0, True), (1e6, 0.0, True), (0.0, 1e6, True)):
            adapter = AutoAdapter(TWO, budget=own, **QUICK)
            assert find(adapter, world, source, seconds=given).bench.late == late
        lone = find(TWO[0], world, source, fixed=Strength(regularization=1.0))
        assert not lone.bench.late


class TestDefaults:
    """All adapters, models, means and blends."""

    def test_the_same_seed_finds_the_same(self, world, source):
        one, other = (find(AutoAdapter(trials=6), world, source) for _ in range(2))
        assert (one.choice.crossing, one.choice.pulls) == (
            other.choice.crossing,
            other.choice.pulls,
        )
        assert (one.null().target, one.null().arms) == (other.null().target, other.null().arms)
        assert np.array_equal(one.outer.baseline, other.outer.baseline, equal_nan=True)

    def test_all_choices_together_compare_hardly_more_than_one(self, world, source):
        """One for everybody and one for each fold, two trials each."""
        bench = find(AutoAdapter(trials=2), world, source).bench
        assert len(bench._seen) <= 2 + len(bench.families())


def test_a_lone_adapter_has_no_models_no_means_and_no_blend(world, source):
    plan = find(TWO[0], world, source, fixed=Strength(regularization=1.0)).plan
    assert (plan.sources, plan.targets, plan.finalists) == (1, 1, 1)
    assert not any([plan.fuse, plan.blend])


def test_models_and_means_and_blends_are_tried_where_everything_is_to_be_chosen(world, source):
    """A smaller world, for the whole of the default."""
    adapter = AutoAdapter([TWO[0], MeanAdapter()], people=30, shots=(0,))
    found = find(adapter, world, source)
    assert (found.plan.sources, found.plan.targets) == (3, 4)
    assert found.plan.fuse
    assert found.plan.blend
    knows = partial(replace, found.choice.crossing)
    assert sum(found.bench.knows(knows(target=number)) for number in range(4)) == 4
