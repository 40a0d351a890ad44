"""Held-out people choose what serves them best, and what they choose is what serves them."""

import json
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from coldstart.als import PriorALS
from coldstart.heldout import HeldOut
from coldstart.metrics import ndcg
from coldstart.prior import Prior
from coldstart.strength import CENTRES, MEAN_TEMPERS, TEMPERS, Fold, Strength, search

D, N_ITEMS, N_PEOPLE = 5, 70, 60
SHOTS = (0, 1, 2, 5)


def people(n=N_PEOPLE, seed=0):
    """Tastes (n, d) around a mean that is not zero."""
    return np.array([1.0, 0, 0, 0, -1.0]) + np.random.default_rng(seed).normal(size=(n, D))


def make_fold(priors, tastes, *, seed=1, regularization=1.0, taken=12, n_items=N_ITEMS):
    """People who took the items they like best; `priors` say what candidates believe of them."""
    rng = np.random.default_rng(seed)
    items = rng.normal(size=(n_items, D)).astype(np.float32)
    liking = 2 * tastes @ items.T + rng.gumbel(size=(len(tastes), n_items))
    columns = np.sort(np.argsort(-liking, axis=1)[:, :taken], axis=1)
    indptr = np.arange(0, columns.size + 1, taken)
    ones = np.ones(columns.size, np.float32)
    matrix = sp.csr_matrix((ones, columns.ravel(), indptr), liking.shape)
    rank = np.concatenate([rng.permutation(taken) for _ in tastes])
    model = PriorALS(factors=D, regularization=regularization, alpha=4.0)
    model.item_factors = items
    none = np.zeros(len(tastes), np.int64)
    held = HeldOut(np.arange(len(tastes)), matrix, rank, none)
    means = {"all": tastes.mean(axis=0), "anchors": tastes.mean(axis=0) + 0.1}
    popularity = np.asarray(matrix.sum(axis=0), np.float32).ravel()
    return Fold(model, held, priors, means, popularity)


def true_prior(tastes, precision=20.0):
    return Prior(tastes, precision, origin=tastes.mean(axis=0))


def strangers_prior(tastes, precision=20.0):
    """What would be true of other people."""
    return Prior(people(len(tastes), 77), precision, origin=tastes.mean(axis=0))


def manual(fold, prior, strength, shots, n=10):
    """NDCG (n_people,) of rows folded in by the model itself and sorted by numpy."""
    history = fold.held.history(shots)
    model = fold.model.clone()
    model.item_factors = fold.model.item_factors
    model.user_regularization_ = strength.regularization
    knobs = (np.asarray(knob)[0] for knob in (strength.centre, strength.temper))
    centre, temper = knobs
    rows = model.fold_in(history, prior=prior.centre(centre).temper(temper))
    scores = rows @ model.item_factors.T
    scores[history.nonzero()] = -np.inf
    columns = np.argsort(-scores, axis=1, kind="stable")[:, :n]
    truth = fold.held.truth(shots).toarray() > 0
    hits = np.take_along_axis(truth, columns, axis=1)
    return ndcg(hits, truth.sum(axis=1))


class TestStrength:
    def test_a_row_uses_the_last_entry_that_is_at_most_its_count(self):
        strength = Strength((0, 1, 5), (0.5, 1.0, 1.5), (1.0, 2.0, 3.0))
        centre, temper = strength.knobs(np.array([0, 1, 2, 4, 5, 1000]))
        assert centre.tolist() == [0.5, 1.0, 1.0, 1.0, 1.5, 1.5]
        assert temper.tolist() == [1.0, 2.0, 2.0, 2.0, 3.0, 3.0]

    def test_it_moves_means_and_multiplies_precisions_row_by_row(self):
        prior = Prior(np.arange(6.0).reshape(3, 2), [1.0, 2.0, 3.0], origin=[1.0, 1.0])
        strength = Strength((0, 2), (0.0, 0.5), (7.0, 10.0))
        pulled = strength.apply(prior, np.array([2, 0, 9]))
        assert pulled.mean.tolist() == [[0.5, 1.0], [1.0, 1.0], [2.5, 3.0]]
        assert pulled.precision.tolist() == [10.0, 14.0, 30.0]

    def test_as_it_comes_it_leaves_a_prior_as_it_is(self):
        prior = true_prior(people(8))
        pulled = Strength().apply(prior, np.arange(8))
        np.testing.assert_allclose(pulled.mean, prior.mean, rtol=1e-14)
        assert np.array_equal(pulled.matrices(), prior.matrices())

    def test_it_survives_json_even_when_made_of_numpy_numbers(self):
        shots, knobs = np.array([0, 3]), np.array([0.25, 1.5], np.float32)
        strength = Strength(shots, knobs, [np.float32(2), 0], np.float32(5))
        assert strength == Strength((0, 3), (0.25, 1.5), (2.0, 0.0), 5.0)
        assert Strength.from_json(json.loads(json.dumps(strength.to_json()))) == strength

    @pytest.mark.parametrize(
        ("parts", "message"),
        [
            (((0, 1), (1.0,), (1.0, 1.0)), "shots, centre and temper must have the same length"),
            (((), (), ()), "shots must be ascending and begin with 0"),
            (((1,), (1.0,), (1.0,)), "shots must be ascending and begin with 0"),
            (((0, 2, 1), (1.0,) * 3, (1.0,) * 3), "shots must be ascending and begin with 0"),
            (((0, 0), (1.0,) * 2, (1.0,) * 2), "shots must be ascending and begin with 0"),
            (((0,), (np.nan,), (1.0,)), "centre must be finite, got"),
            (((0,), (1.0,), (-1.0,)), "temper must be finite and not negative, got"),
            (((0,), (1.0,), (np.inf,)), "temper must be finite and not negative, got"),
            (((0,), (1.0,), (1.0,), -2.0), "regularization must be finite and not negative, got"),
        ],
    )
    def test_what_makes_no_sense_is_refused(self, parts, message):
        with pytest.raises(ValueError, match=message):
            Strength(*parts)


class TestRanker:
    @pytest.mark.parametrize("shots", [0, 3])
    def test_rows_are_those_of_the_model_under_the_pulled_prior(self, shots):
        """To 1e-12: two lists that differ would differ by 0.01 at least."""
        tastes = people()
        fold = make_fold([], tastes)
        strength = Strength((0,), (0.75,), (3.0,), 0.5)
        prior = true_prior(tastes)
        ours = fold.ranker("ndcg", 10, 1).of_prior(prior, strength, shots)
        np.testing.assert_allclose(ours, manual(fold, prior, strength, shots), rtol=1e-12)

    def test_popularity_gives_everybody_one_list_without_what_they_had(self):
        fold = make_fold([], people())
        quality = fold.ranker("recall", 5, 1).of_popularity(2)
        best = np.argsort(-fold.popularity, kind="stable")
        history, truth = (part.toarray() > 0 for part in (fold.held.history(2), fold.held.truth(2)))
        expected = [
            np.mean(truth[row, [j for j in best if not history[row, j]][:5]]) * 5 / truth[row].sum()
            for row in range(N_PEOPLE)
        ]
        np.testing.assert_allclose(quality, expected, rtol=1e-12)


@pytest.fixture(scope="module")
def found():
    tastes = people()
    fold = make_fold([strangers_prior(tastes), true_prior(tastes)], tastes)
    return fold, search([fold], shots=SHOTS, num_threads=1)


class TestSearch:
    def test_the_adapter_that_knows_is_chosen(self, found):
        assert found[1].adapter == 1

    def test_whoever_is_right_is_followed_far_and_firmly(self, found):
        strength = found[1].strength
        assert min(strength.centre) >= 1
        assert min(strength.temper[1:]) >= 2

    def test_whoever_is_wrong_is_not_followed(self):
        tastes = people()
        result = search([make_fold([strangers_prior(tastes)], tastes)], shots=SHOTS)
        assert result.strength.centre[0] == 0

    def test_where_interactions_say_more_than_the_prior_it_is_held_loosely(self):
        """Everybody has 40 items; what is believed of them is true of others, and said firmly."""
        tastes = people()
        fold = make_fold([strangers_prior(tastes, 1000.0)], tastes, taken=40)
        strength = search([fold], shots=(0, 20)).strength
        assert strength.temper[1] == TEMPERS[0]

    def test_numbers_of_shots_are_those_asked_for_and_every_choice_is_of_its_grid(self, found):
        strength = found[1].strength
        assert strength.shots == found[1].shots == SHOTS
        assert set(strength.centre) <= set(CENTRES)
        assert set(strength.temper[1:]) <= set(TEMPERS)
        assert strength.temper[0] == 1  # has no effect there

    def test_the_quality_it_tells_is_that_of_what_it_chose(self, found):
        fold, result = found
        for place, k in enumerate(SHOTS):
            s = result.strength
            chosen = Strength((0,), (s.centre[place],), (s.temper[place],), s.regularization)
            expected = manual(fold, fold.priors[1], chosen, k)
            np.testing.assert_allclose(result.quality[place], expected, rtol=1e-12)

    def test_people_of_several_folds_stand_one_after_the_other(self):
        folds = []
        for seed in (3, 4):
            tastes = people(20 + seed, seed)
            folds.append(make_fold([true_prior(tastes)], tastes, seed=seed))
        result = search(folds, shots=(0, 2))
        assert result.quality.shape == result.baseline.shape == (2, 23 + 24)
        alone = folds[1].ranker("ndcg", 10, 1).of_popularity(0)
        if result.baseline_names[0] == "popularity":
            assert np.array_equal(result.baseline[0][23:], alone)

    def test_progress_is_told(self):
        ticks = []
        tastes = people(15)
        search([make_fold([true_prior(tastes)], tastes)], tick=lambda: ticks.append(1))
        assert len(ticks) > len(CENTRES) + len(TEMPERS)

    @pytest.mark.parametrize("num_threads", [2, 3])
    def test_the_number_of_threads_does_not_matter(self, found, num_threads):
        again = search([found[0]], shots=SHOTS, num_threads=num_threads)
        assert again.strength == found[1].strength
        assert np.array_equal(again.quality, found[1].quality)


class TestFewPeople:
    def test_shots_that_leave_too_few_with_truth_have_no_strength_of_their_own(self):
        tastes = people(30)
        fold = make_fold([true_prior(tastes)], tastes, taken=4)
        assert search([fold], shots=(0, 3, 4)).strength.shots == (0, 3)

    def test_a_list_for_somebody_with_nothing_at_all_always_has_one(self):
        tastes = people(3)
        result = search([make_fold([true_prior(tastes)], tastes)], shots=SHOTS)
        assert result.strength.shots == (0,)
        assert result.quality.shape == (1, 3)

    def test_people_without_truth_count_for_nothing(self):
        tastes = people(40)
        fold = make_fold([true_prior(tastes)], tastes)
        kept = sp.vstack([fold.held.matrix[:25], sp.csr_matrix((15, N_ITEMS), dtype=np.float32)])
        rank = fold.held.rank[: kept.nnz]
        held = HeldOut(fold.held.rows, kept.tocsr(), rank, fold.held.dropped)
        result = search([replace(fold, held=held)], shots=(0, 1))
        assert np.isnan(result.quality[:, 25:]).all()
        assert np.isfinite(result.quality[:, :25]).all()


class TestWithoutASource:
    def test_the_baseline_is_the_best_of_popularity_plain_als_and_means(self, found):
        fold, result = found
        for place, k in enumerate(SHOTS):
            arms = [fold.ranker("ndcg", 10, 1).of_popularity(k)]
            for mean in fold.means.values():
                flat = fold.priors[1].centre(0.0, mean)
                for temper in MEAN_TEMPERS if k else (1.0,):
                    strength = Strength((0,), (1.0,), (temper,), fold.model.regularization)
                    arms.append(manual(fold, flat, strength, k))
            best = max(np.nanmean(arm) for arm in arms)
            assert np.nanmean(result.baseline[place]) == pytest.approx(best, rel=1e-12)

    def test_it_says_which_it_was(self, found):
        for name in found[1].baseline_names:
            assert name in ("popularity", "plain ALS") or name.startswith("mean of a")

    def test_rows_that_no_source_knows_get_the_best_temper_of_the_mean(self, found):
        fold, result = found
        flat = fold.priors[1].centre(0.0, fold.means["all"])
        for k, temper in list(zip(SHOTS, result.null.temper, strict=True))[1:]:
            means = {
                kappa: manual(
                    fold, flat, Strength((0,), (1.0,), (kappa,), result.strength.regularization), k
                ).mean()
                for kappa in MEAN_TEMPERS
                if kappa or result.strength.regularization
            }
            assert means[temper] == pytest.approx(max(means.values()), rel=1e-12)
        assert result.null.centre == (1.0,) * len(SHOTS)
        assert result.null.temper[0] == 1.0

    def test_without_a_ridge_something_of_the_mean_always_holds_a_row(self, monkeypatch):
        """Fewer items than factors: plain ALS without a ridge would have no solution."""
        tastes = people(30)
        prior = true_prior(tastes)
        fold = make_fold([prior], tastes, taken=3, n_items=D - 1)
        monkeypatch.setattr("coldstart.strength.RIDGES", (0.0,))
        result = search([fold], shots=(0, 1))
        assert result.strength.regularization == 0
        assert result.null.temper[1] > 0
