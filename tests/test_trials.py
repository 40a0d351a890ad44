"""Folds lack the target rows of their people in everything, and a bench measures what is served."""

from itertools import product

import numpy as np
import pytest

from coldstart import transfer
from coldstart.adapters import FusedAdapter, MeanAdapter, RidgeAdapter
from coldstart.als import PriorALS
from coldstart.anchors import find_anchors
from coldstart.datasets import make_cross_domain
from coldstart.evidence import SoftGate
from coldstart.interactions import Interactions
from coldstart.metrics import ndcg
from coldstart.rowmap import RowMap, blended, spread_of
from coldstart.serving import Belief, solve_believed, trust_of
from coldstart.strength import Fallback, NullArm, Strength
from coldstart.targets.prior_als import PriorALSTarget
from coldstart.trials import Bench, Crossing, Fold, Pull

D = 5
OPTIONS = [
    RidgeAdapter(0.3, normalize=True),
    RidgeAdapter(3.0, normalize=False),
    MeanAdapter(),
]


@pytest.fixture(scope="module")
def world():
    return make_cross_domain(
        130, 45, 38, source_interactions=9, target_interactions=7, factors=4, rng=3
    )


def model(**settings):
    given = {"regularization": 2.0, "alpha": 5.0, "iterations": 4, "rng": 0, "num_threads": 1}
    return PriorALS(**{"factors": D, **given, **settings})


MODELS = [PriorALSTarget(one, "users") for one in (model(), model(factors=7, regularization=8.0))]


@pytest.fixture(scope="module")
def source(world):
    return transfer.source_space(world.source, model(factors=7), show_progress=False)


def make_folds(log, source, count=3):
    """Every anchor is held out once."""
    anchors = find_anchors(source.ids, log.users)
    parts = np.array_split(np.random.default_rng(0).permutation(len(anchors)), count)
    return [
        Fold(log, anchors, anchors.target[np.sort(part)], MODELS, np.random.default_rng(place))
        for place, part in enumerate(parts)
    ]


def make_bench(log, source, **settings):
    return Bench(make_folds(log, source), OPTIONS, [lambda: source], num_threads=1, **settings)


@pytest.fixture(scope="module")
def bench(world, source):
    return make_bench(world.target, source)


def assert_same_bits(ours, theirs):
    assert ours.dtype == theirs.dtype
    assert np.array_equal(ours, theirs)


def poisoned(log, rows):
    """The log with rows of these people replaced: all weights, and an item that only they have."""
    rng = np.random.default_rng(9)
    n_items = len(log.items)
    dense = np.hstack([log.user_items.toarray(), np.zeros((len(log.users), 1))])
    dense[rows] = rng.uniform(50, 100, (len(rows), n_items + 1))
    dense[rows, : n_items // 2] *= rng.random((len(rows), n_items // 2)) < 0.5
    return Interactions.from_csr(dense, log.users, [*log.items, "poison"])


class TestFold:
    def test_the_training_log_is_without_the_people_and_otherwise_the_same(self, world, bench):
        for fold in bench.folds:
            keep = np.ones(len(world.target.users), bool)
            keep[fold.held.rows] = False
            rest = world.target.keep_users(keep)
            assert fold.train.users == rest.users
            assert (fold.train.user_items != rest.user_items).nnz == 0
            assert not set(fold.train.users) & {*world.target.users.ids[fold.held.rows]}

    def test_anchors_of_a_fold_are_the_others_at_their_places_in_its_log(
        self, world, source, bench
    ):
        for fold in bench.folds:
            expected = find_anchors(source.ids, fold.train.users)
            assert_same_bits(fold.anchors.source, expected.source)
            assert_same_bits(fold.anchors.target, expected.target)
            named = world.target.users.ids[fold.held.rows]
            assert source.ids.ids[fold.people].tolist() == named.tolist()

    @pytest.mark.parametrize("number", [0, 1])
    def test_the_prior_of_a_held_out_person_is_what_the_rest_says_of_them(
        self, world, source, bench, number
    ):
        """Put together by hand from a log without these people."""
        fold, adapter = bench.folds[1], OPTIONS[1]
        keep = np.ones(len(world.target.users), bool)
        keep[fold.held.rows] = False
        rest = world.target.keep_users(keep)
        space = transfer.target_space(MODELS[number].fit(rest.user_items), rest)
        anchors = find_anchors(source.ids, rest.users)
        expected = transfer.fit_adapter(adapter, source, space, anchors)
        asked = source.ids.rows(world.target.users.ids[fold.held.rows])
        prior = fold.prior(Crossing(1, 0, number), adapter, source)
        assert_same_bits(prior.mean, transfer.predict(expected, source, asked).mean)
        nulls = transfer.null_priors(space, anchors.target)
        assert_same_bits(fold.target(number).nulls.mean, nulls.mean)
        popular = np.bincount(rest.user_items.indices, minlength=len(rest.items))
        assert fold.popularity["all"].tolist() == popular.tolist()
        among = np.asarray(rest.user_items[anchors.target].astype(bool).sum(axis=0)).ravel()
        assert fold.popularity["anchors"].tolist() == among.tolist()

    def parts(self, fold, source):
        """Everything that is fitted in a fold."""
        yield fold.people
        for number in range(len(MODELS)):
            trained = fold.target(number)
            yield from (trained.trained.rows, trained.columns)
            yield from (
                trained.space.rows,
                trained.trained.loss.gram,
                trained.spread,
                trained.nulls.mean,
            )
            yield trained.nulls.shared
            for place, adapter in enumerate(OPTIONS):
                prior = fold.prior(Crossing(place, 0, number), adapter, source)
                yield from (prior.mean, prior.precision, prior.shared, prior.origin)
        yield from fold.popularity.values()
        added = fold.row_map(source)
        yield from (added.rows, added.columns, added.spread)

    def test_nothing_of_their_target_rows_is_in_anything_that_is_fitted(self, world, source, bench):
        """The canary: rows of the held-out people are poisoned, and not a bit changes."""
        ours = bench.folds[0]
        log = poisoned(world.target, ours.held.rows)
        theirs = make_folds(log, source)[0]
        assert_same_bits(ours.held.rows, theirs.held.rows)
        assert theirs.held.dropped.tolist() == [1] * len(theirs.held)  # the poison arrived
        assert theirs.held.matrix.data.min() >= 50
        parts = [list(self.parts(fold, source)) for fold in (ours, theirs)]
        assert len(parts[0]) > 40
        for mine, other in zip(*parts, strict=True):
            assert_same_bits(mine, other)

    def test_the_canary_sings_where_somebody_else_is_poisoned(self, world, source, bench):
        ours, others = bench.folds[:2]
        theirs = make_folds(poisoned(world.target, others.held.rows), source)[0]
        assert_same_bits(ours.held.rows, theirs.held.rows)
        said = [fold.prior(Crossing(0), OPTIONS[0], source).mean for fold in (ours, theirs)]
        assert not np.allclose(*said, rtol=0.1)

    def test_a_row_map_needs_the_interactions_of_the_source(self, world, source):
        bare = transfer.Space(source.ids, source.rows)
        with pytest.raises(ValueError, match="a row map needs the interactions of the source"):
            make_folds(world.target, source)[0].row_map(bare)


def listed(fold, scores, shots, n=10):
    """NDCG (n_people,) of dense scores sorted by numpy, without what was given back."""
    scores = scores.astype(np.float64)
    scores[fold.held.history(shots).nonzero()] = -np.inf
    columns = np.argsort(-scores, axis=1, kind="stable")[:, :n]
    truth = fold.held.truth(shots).toarray() > 0
    return ndcg(np.take_along_axis(truth, columns, axis=1), truth.sum(axis=1))


def folded(fold, number, prior, ridge, shots):
    """Rows by the model itself."""
    twin = MODELS[number].model.clone()
    twin.item_factors = fold.target(number).columns
    twin.user_regularization_ = ridge * twin.regularization
    return twin.fold_in(fold.held.history(shots), prior=prior)


class TestQuality:
    """To 1e-12: two lists that differ would differ by 0.001 at least."""

    @pytest.mark.parametrize(("shots", "target"), [*product([0, 3], [0, 1])])
    def test_it_is_that_of_rows_solved_by_the_model_under_the_pulled_prior(
        self, bench, source, shots, target
    ):
        crossing, pull = Crossing(1, 0, target), Pull(0.75, 3.0, 0.5)
        expected = []
        for fold in bench.folds:
            prior = fold.prior(crossing, OPTIONS[1], source).centre(0.75).temper(3.0)
            rows = folded(fold, target, prior, 0.5, shots)
            expected.append(listed(fold, rows @ fold.target(target).columns.T, shots))
        ours = bench.quality(crossing, pull, shots)
        np.testing.assert_allclose(ours, np.concatenate(expected), rtol=1e-12)

    @pytest.mark.parametrize("shots", [0, 3])
    def test_a_blend_adds_the_scores_of_the_row_map(self, bench, source, shots):
        crossing, pull = Crossing(0), Pull(1.0, 2.0, 1.0, 0.6)
        expected = []
        for fold in bench.folds:
            prior = fold.prior(crossing, OPTIONS[0], source).temper(2.0)
            rows = folded(fold, 0, prior, 1.0, shots)
            known = source.matrix[fold.anchors.source], fold.train.user_items[fold.anchors.target]
            fitted = RowMap.fit(*known)
            said = fitted.predict(source.matrix[fold.people]) @ fitted.columns.T
            scores = rows @ fold.target(0).columns.T
            added = 0.6 * scores.std(axis=1) / said.std(axis=1)
            expected.append(listed(fold, scores + added[:, None] * said, shots))
        ours = bench.quality(crossing, pull, shots)
        np.testing.assert_allclose(ours, np.concatenate(expected), rtol=1e-12)

    @pytest.mark.parametrize(("shots", "whose"), [*product([0, 3], ["all", "anchors"])])
    def test_popularity_is_one_list_for_everybody(self, bench, shots, whose):
        expected = [
            listed(fold, np.tile(fold.popularity[whose], (len(fold.held), 1)), shots)
            for fold in bench.folds
        ]
        ours = bench.null_quality(NullArm("popularity", whose, 1.0, 1.0), 0, shots)
        np.testing.assert_allclose(ours, np.concatenate(expected), rtol=1e-12)

    @pytest.mark.parametrize(
        ("arm", "target"),
        [
            *product([NullArm("plain", "all", 1.0, 10.0)], [0, 1]),
            *product([NullArm("mean", "anchors", 0.3, 0.0)], [0, 1]),
        ],
    )
    def test_arms_without_a_source_are_folded_in_by_the_model(self, bench, arm, target):
        expected = []
        for fold in bench.folds:
            trained = fold.target(target)
            prior = None
            if arm.kind == "mean":
                prior = trained.nulls.take([1]).temper(arm.temper)
            rows = folded(fold, target, prior, arm.regularization, 2)
            expected.append(listed(fold, rows @ trained.columns.T, 2))
        ours = bench.null_quality(arm, target, 2)
        np.testing.assert_allclose(ours, np.concatenate(expected), rtol=1e-12)

    def test_arms_without_a_source_are_named_with_the_ridge_of_their_target_model(self, bench):
        arm = NullArm("plain", "all", 1.0, 10.0)
        assert bench.null_name(arm, 0) == "no prior, ridge 20"
        assert bench.null_name(arm, 1) == "no prior, ridge 80"

    def test_a_mean_of_adapters_is_what_it_is_when_fitted_on_the_same_anchors(self, bench, source):
        number = bench.fused(1, 0)
        assert number == bench.fused(0, 1) == len(OPTIONS)
        assert isinstance(bench.adapters[number], FusedAdapter)
        ours = bench.quality(Crossing(number), Pull(temper=2.0), 2)
        expected = []
        for fold in bench.folds:
            space = fold.target(0).space
            mean = transfer.fit_adapter(FusedAdapter(OPTIONS[:2]), source, space, fold.anchors)
            prior = transfer.predict(mean, source, fold.people).temper(2.0)
            rows = folded(fold, 0, prior, 1.0, 2)
            expected.append(listed(fold, rows @ fold.target(0).columns.T, 2))
        np.testing.assert_allclose(ours, np.concatenate(expected), rtol=1e-12)

    def test_people_with_nothing_left_to_find_have_none(self, bench):
        quality = bench.quality(Crossing(0), Pull(), 7)
        left = [np.diff(fold.held.truth(7).indptr) > 0 for fold in bench.folds]
        assert 0 < np.sum(~np.isnan(quality)) < len(bench.groups)
        assert np.array_equal(~np.isnan(quality), np.concatenate(left))
        assert [fold.finders(7) for fold in bench.folds] == [each.sum() for each in left]


class TestStrangersQuality:
    def test_it_is_that_of_a_bench_of_their_folds(self, world, source):
        ours, *others = make_folds(world.target, source)
        both = Bench([ours], OPTIONS, [lambda: source], strangers=others, num_threads=1)
        alone = Bench(others, OPTIONS, [lambda: source], num_threads=1)
        arm = NullArm("mean", "all", 3.0, 0.0)
        expected = alone.null_quality(arm, 1, 2)
        assert np.array_equal(both.strangers_quality(arm, 1, 2), expected, equal_nan=True)
        assert len(both.null_quality(arm, 1, 2)) == len(ours.held)

    def test_without_any_it_is_of_nobody(self, bench):
        assert bench.strangers_quality(NullArm(), 0, 1).shape == (0,)


class TestMixedQuality:
    """What is measured is what `serving` makes of the same people."""

    PULL, GATE = Pull(0.75, 3.0, 0.5, 0.6), SoftGate(0.7, 0.4)
    ARM = NullArm("mean", "anchors", 0.3, 1.0)

    def served(self, fold, source, shots, arm):
        """Rows, and how far they are trusted to the source, by a belief that is open to all."""
        trained = fold.target(0)
        ridge, n = trained.regularization, len(fold.held)
        nulls = Fallback(
            (0,), (NullArm(arm.kind, arm.whose, arm.temper, arm.regularization * ridge),)
        )
        strength = Strength((0,), (0.75,), (3.0,), 0.5 * ridge)
        prior = fold.prior(Crossing(1), OPTIONS[1], source)
        belief = Belief(
            prior.pad(n + 1),
            np.append(np.ones(n, bool), False),
            trained.nulls,
            strength,
            (True,),
            nulls,
            nulls,
            self.GATE,
        )
        given = np.arange(n), fold.held.history(shots), trained.trained.loss
        return (solve(belief, *given, num_threads=1) for solve in (solve_believed, trust_of))

    @pytest.mark.parametrize("shots", [0, 3])
    @pytest.mark.parametrize("arm", [ARM, NullArm("plain", "all", 1.0, 10.0)])
    def test_it_is_that_of_the_rows_that_are_served(self, bench, source, shots, arm):
        expected = []
        for fold in bench.folds:
            rows, trust = self.served(fold, source, shots, arm)
            added, columns = fold.row_map(source), fold.target(0).columns
            wide = blended(rows, spread_of(columns), added.rows, added.spread, 0.6 * trust)
            expected.append(listed(fold, wide @ np.hstack([columns, added.columns]).T, shots))
        ours = bench.mixed_quality(Crossing(1), self.PULL, arm, self.GATE, shots)
        np.testing.assert_allclose(ours, np.concatenate(expected), rtol=1e-12)

    def test_at_full_weight_it_is_that_of_the_transfer_and_at_none_that_of_the_arm(self, bench):
        whole, none = (SoftGate(0.0, logit) for logit in (800.0, -800.0))
        asked = Crossing(1), self.PULL, self.ARM
        ours = [bench.mixed_quality(*asked, gate, 3) for gate in (whole, none)]
        theirs = bench.quality(*asked[:2], 3), bench.null_quality(self.ARM, 0, 3)
        for one, other in zip(ours, theirs, strict=True):
            assert np.array_equal(one, other, equal_nan=True)

    def test_of_people_to_whom_nothing_is_given_back_nothing_was_foretold(self, bench):
        assert not bench.delta(Crossing(1), self.PULL, self.ARM, 0).any()
        given = bench.delta(Crossing(1), self.PULL, self.ARM, 3)
        assert given.all()
        assert np.isfinite(given).all()

    def test_what_is_held_back_of_them_is_not_in_what_was_foretold(self, world, source, bench):
        """The canary: all but the first three interactions of the people are taken away."""
        fold = bench.folds[0]
        shown = fold.held.history(3)
        rest = world.target.user_items.tolil()
        rest[fold.held.rows] = shown
        log = Interactions.from_csr(rest.tocsr(), world.target.users, world.target.items)
        theirs = make_bench(log, source)
        assert np.array_equal(theirs.folds[0].held.rows, fold.held.rows)
        three = theirs.folds[0].held.history(3)
        assert (three != shown).nnz == 0
        mine = bench.groups == 0
        asked = Crossing(1), self.PULL, self.ARM, 3
        assert_same_bits(bench.delta(*asked)[mine], theirs.delta(*asked)[mine])

    def test_it_is_measured_once(self, world, source):
        ticks = []
        bench = make_bench(world.target, source, tick=lambda: ticks.append(1))
        asked = Crossing(1), self.PULL, self.ARM, self.GATE, 1
        assert bench.mixed_quality(*asked) is bench.mixed_quality(*asked)
        assert len(ticks) == 1


class TestBench:
    def test_people_stand_fold_by_fold(self, bench):
        assert len(bench.groups) == sum(len(fold.held) for fold in bench.folds)
        assert np.bincount(bench.groups).tolist() == [len(fold.held) for fold in bench.folds]
        assert (np.diff(bench.groups) >= 0).all()

    def test_families_are_the_classes_of_the_adapters_it_came_with(self, bench):
        bench.fused(0, 2)
        assert bench.families() == [[0, 1], [2]]
        assert [bench.family(numbers) for numbers in bench.families()] == [
            "RidgeAdapter",
            "MeanAdapter",
        ]

    def test_a_trial_is_measured_once(self, world, source):
        ticks = []
        bench = make_bench(world.target, source, tick=lambda: ticks.append(1))
        assert not bench.knows(Crossing(0))
        first = bench.quality(Crossing(0), Pull(), 1)
        assert bench.quality(Crossing(0), Pull(), 1) is first
        assert (len(ticks), bench.knows(Crossing(0))) == (1, True)
        arm = NullArm("mean", "all", 1.0, 1.0)
        assert bench.null_quality(arm, 0, 1) is bench.null_quality(arm, 0, 1)
        assert len(ticks) == 2

    def test_a_temper_of_zero_matters_without_interactions_too(self, bench):
        """Nothing pulls then: rows are zero, as they are served, and lists those of all ties."""
        crossing = Crossing(0)
        nothing = bench.quality(crossing, Pull(temper=0.0), 0)
        for number, fold in enumerate(bench.folds):
            zeros = np.zeros((len(fold.held), fold.train.shape[1]), np.float32)
            ranked = fold.held.rank_all(zeros.__getitem__, 0)
            measured = nothing[bench.groups == number]
            np.testing.assert_array_equal(measured, ndcg(ranked.hits, ranked.relevant))

    def test_without_interactions_neither_temper_nor_ridge_matters(self, bench):
        loose = bench.quality(Crossing(0), Pull(1.25, 0.1, 0.0), 0)
        assert loose is bench.quality(Crossing(0), Pull(1.25, 10.0, 1.0), 0)

    def test_the_number_of_threads_does_not_matter(self, world, source, bench):
        twin = make_bench(world.target, source)
        twin.num_threads = 3
        pull = Pull(0.75, 3.0, 1.0, 0.3)
        ours, theirs = (each.quality(Crossing(1), pull, 2) for each in (twin, bench))
        assert np.array_equal(ours, theirs, equal_nan=True)

    def test_a_source_model_is_fitted_when_it_is_first_asked_for(self, world, source):
        made = []
        bench = Bench(
            make_folds(world.target, source),
            OPTIONS,
            [lambda: source, lambda: made.append(1) or source],
            num_threads=1,
        )
        bench.quality(Crossing(0), Pull(), 1)
        assert made == []
        for shots in (1, 2):
            bench.quality(Crossing(0, 1), Pull(), shots)
        assert made == [1]

    @pytest.mark.parametrize(("budget", "late"), [(0.0, True), (np.inf, False)])
    def test_it_is_late_when_the_budget_is_spent(self, world, source, budget, late):
        assert make_bench(world.target, source, budget=budget).late == late

    def test_there_is_room_for_so_many_trials_of_transfers_at_each_number_of_shots(
        self, world, source
    ):
        bench = make_bench(world.target, source, each=2)
        first, second, third = (Pull(temper=temper) for temper in (1.0, 3.0, 10.0))
        bench.quality(Crossing(), first, 2)
        bench.null_quality(NullArm("plain", "all", 1.0, 1.0), 0, 2)  # counts for nothing
        bench.quality(Crossing(), first, 2)  # nor does what is known
        assert bench.room(2)
        bench.quality(Crossing(1), second, 2)
        assert not bench.room(2)
        assert bench.room(0)
        assert bench.may(Crossing(), first, 2)
        assert not bench.may(Crossing(), third, 2)
        bench.quality(Crossing(), first, 0)
        bench.quality(Crossing(1), first, 0)
        assert bench.may(Crossing(), third, 0)  # no temper matters without interactions

    def test_every_trial_is_told_with_its_setting_its_mean_and_whether_it_was_chosen(
        self, world, source
    ):
        bench = make_bench(world.target, source)
        pulls = {0: Pull(0.5, temper=7.0), 2: Pull(temper=3.0)}
        tried = [(Crossing(1), pulls[0], 0), (Crossing(1), pulls[2], 2), (Crossing(2), Pull(), 2)]
        quality = [np.nanmean(bench.quality(*one)) for one in tried]
        bench.null_quality(NullArm("plain", "all", 1.0, 1.0), 0, 2)
        told = bench.trials(Crossing(1), pulls)
        assert [trial["shots"] for trial in told] == [0, 2, 2]
        assert [trial["quality"] for trial in told] == pytest.approx(quality, rel=1e-12)
        assert [trial["chosen"] for trial in told] == [True, True, False]
        assert told[1]["setting"] == {
            "adapter": repr(OPTIONS[1]),
            "source_model": 0,
            "target_model": 0,
            "centre": 1.0,
            "temper": 3.0,
            "ridge": 1.0,
            "blend": 0.0,
        }

    def test_a_trial_without_anybody_who_has_anything_to_find_has_no_quality(self, world, source):
        bench = make_bench(world.target, source)
        bench.quality(Crossing(), Pull(), 1000)
        (told,) = bench.trials(Crossing(), {1000: Pull()})
        assert np.isnan(told["quality"])

    def test_what_is_measured_may_be_another_metric_of_another_length(self, world, source):
        short = make_bench(world.target, source, metric_name="hit_rate", n=3)
        quality = short.quality(Crossing(0), Pull(), 0)
        assert set(quality) <= {0.0, 1.0}


def test_the_spread_of_a_target_model_is_that_of_its_columns(bench):
    trained = bench.folds[0].target(0)
    columns = trained.columns
    assert_same_bits(trained.spread, spread_of(columns))
    np.testing.assert_allclose(
        trained.trained.loss.gram, columns.T.astype(np.float64) @ columns, rtol=1e-6
    )
