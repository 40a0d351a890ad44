"""Held-out anchors: nothing of their target rows is in anything that is fitted, and they choose."""

import numpy as np
import pytest

from coldstart import transfer, tuning
from coldstart.adapters import AutoAdapter, RidgeAdapter
from coldstart.als import PriorALS
from coldstart.anchors import find_anchors
from coldstart.datasets import make_cross_domain
from coldstart.interactions import Interactions
from coldstart.trials import Crossing

D = 5


@pytest.fixture(scope="module")
def world():
    return make_cross_domain(
        130, 45, 38, source_interactions=9, target_interactions=7, factors=4, rng=3
    )


@pytest.fixture(scope="module")
def model():
    return PriorALS(factors=D, regularization=2.0, alpha=5.0, iterations=4, rng=0, num_threads=1)


@pytest.fixture(scope="module")
def source(world):
    settings = PriorALS(factors=7, iterations=4, rng=1, num_threads=1)
    return transfer.source_space(world.source, settings, show_progress=False)


@pytest.fixture(scope="module")
def anchors(world):
    return find_anchors(world.source.users, world.target.users)


def assert_same_bits(ours, theirs):
    assert ours.dtype == theirs.dtype
    assert np.array_equal(ours, theirs)


def found_of(world_target, source, model, adapter=None, seed=0):
    """What is found for a target log."""
    adapter = adapter or RidgeAdapter()
    models = tuning.Models([lambda: source], [model])
    return tuning.find(
        adapter,
        models,
        source,
        world_target,
        find_anchors(source.ids, world_target.users),
        fixed=None,
        rng=np.random.default_rng(seed),
        num_threads=1,
        show_progress=False,
    )


def folds_of(*args, **settings):
    return found_of(*args, **settings).bench.folds


def poisoned(log, rows):
    """The log with rows of these people replaced: all weights, and an item that only they have."""
    rng = np.random.default_rng(9)
    n_items = len(log.items)
    dense = np.hstack([log.user_items.toarray(), np.zeros((len(log.users), 1))])
    dense[rows] = rng.uniform(50, 100, (len(rows), n_items + 1))
    dense[rows, : n_items // 2] *= rng.random((len(rows), n_items // 2)) < 0.5
    return Interactions.from_csr(dense, log.users, [*log.items, "poison"])


class TestHoldingOut:
    def test_each_eligible_person_is_held_out_once_at_most(self, world, source, model):
        folds = folds_of(world.target, source, model)
        rows = np.concatenate([fold.held.rows for fold in folds])
        assert len(folds) == tuning.FOLDS
        assert len(set(rows.tolist())) == len(rows)
        target_counts = np.diff(world.target.user_items.indptr)[rows]
        source_rows = source.ids.rows(world.target.users.ids[rows])
        assert target_counts.min() >= tuning.ACTIVE
        assert source.counts[source_rows].min() >= tuning.ACTIVE

    def test_where_few_are_active_two_target_interactions_are_enough(
        self, monkeypatch, world, source, model
    ):
        monkeypatch.setattr(tuning, "ACTIVE", 25)
        folds = folds_of(world.target, source, model)
        rows = np.concatenate([fold.held.rows for fold in folds])
        assert np.diff(world.target.user_items.indptr)[rows].min() >= 2
        assert len(rows) > 40

    def test_too_few_to_hold_any_out_is_nobody_to_ask(self, world, source, model, anchors):
        few = anchors.take(slice(tuning.FEWEST - 1))
        found = tuning.find(
            RidgeAdapter(),
            tuning.Models([lambda: source], [model]),
            source,
            world.target,
            few,
            fixed=None,
            rng=np.random.default_rng(0),
            num_threads=1,
            show_progress=False,
        )
        assert found is None

    def test_the_prior_of_a_held_out_person_is_what_the_rest_says_of_them(
        self, world, source, model
    ):
        """The fold, put together by hand from a log without these people."""
        adapter = RidgeAdapter(3.0, normalize=False)
        fold = folds_of(world.target, source, model, adapter)[1]
        keep = np.ones(len(world.target.users), bool)
        keep[fold.held.rows] = False
        rest = world.target.keep_users(keep)
        fitted = model.clone().fit(rest.user_items, show_progress=False)
        space = transfer.target_space(fitted, rest)
        expected = transfer.fit_adapter(
            adapter, source, space, find_anchors(source.ids, rest.users)
        )
        asked = source.ids.rows(world.target.users.ids[fold.held.rows])
        prior = fold.prior(Crossing(), adapter, source)
        assert_same_bits(prior.mean, transfer.predict(expected, source, asked).mean)
        assert_same_bits(fold.target(0).nulls.mean[0], space.moments[0])
        counts = np.bincount(rest.user_items.indices, minlength=len(rest.items))
        assert fold.popularity["all"].tolist() == counts.tolist()

    def test_nothing_of_their_target_rows_is_in_anything_that_is_fitted(self, world, source, model):
        """The canary: rows of the held-out people are poisoned, and not a bit changes."""
        log, adapter = world.target, RidgeAdapter(1.0)
        ours = folds_of(log, source, model, adapter)[0]
        theirs = folds_of(poisoned(log, ours.held.rows), source, model, adapter)[0]
        assert_same_bits(ours.held.rows, theirs.held.rows)
        assert theirs.held.dropped.tolist() == [1] * len(theirs.held)  # the poison arrived
        assert theirs.held.matrix.data.min() >= 50
        models = [fold.target(0).model for fold in (ours, theirs)]
        assert_same_bits(models[0].user_factors, models[1].user_factors)
        assert_same_bits(models[0].item_factors, models[1].item_factors)
        for whose in ("all", "anchors"):
            assert_same_bits(ours.popularity[whose], theirs.popularity[whose])
        priors = [fold.prior(Crossing(), adapter, source) for fold in (ours, theirs)]
        nulls = [fold.target(0).nulls for fold in (ours, theirs)]
        maps = [fold.row_map(source) for fold in (ours, theirs)]
        for one, other in (priors, nulls):
            for part in ("mean", "precision", "shared", "origin"):
                assert_same_bits(getattr(one, part), getattr(other, part))
        assert_same_bits(maps[0].rows, maps[1].rows)
        assert_same_bits(maps[0].columns, maps[1].columns)

    def test_the_canary_sings_where_somebody_else_is_poisoned(self, world, source, model):
        adapter = RidgeAdapter(1.0)
        ours, next_ones = folds_of(world.target, source, model, adapter)[:2]
        log = poisoned(world.target, next_ones.held.rows)
        theirs = folds_of(log, source, model, adapter)[0]
        assert_same_bits(ours.held.rows, theirs.held.rows)
        priors = [fold.prior(Crossing(), adapter, source) for fold in (ours, theirs)]
        assert not np.allclose(priors[0].mean, priors[1].mean, rtol=0.1)


class TestChoosing:
    def test_the_same_seed_finds_the_same(self, world, source, model):
        one, other = (
            found_of(world.target, source, model, AutoAdapter(trials=6)) for _ in range(2)
        )
        assert one.choice == other.choice
        assert one.null() == other.null()
        assert np.array_equal(one.outer.baseline, other.outer.baseline, equal_nan=True)

    def test_without_a_second_to_spend_the_first_way_is_taken(self, world, source, model):
        found = found_of(world.target, source, model, AutoAdapter(budget=0.0))
        assert found.choice.crossing.adapter == 0
        assert np.isfinite(np.nanmean(found.outer.quality["auto"]))

    def test_no_more_ways_are_compared_than_asked_for(self, world, source, model):
        """One choice for everybody and one for each fold, two trials each."""
        found = found_of(world.target, source, model, AutoAdapter(trials=2))
        families = len(found.bench.families())
        assert len(found.bench._seen) <= 2 + families
