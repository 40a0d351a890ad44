"""Expectation-maximisation, against the evidence of the data computed without it."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.stats import multivariate_normal

from coldstart import refine_trials
from coldstart.adapters import MeanAdapter, RidgeAdapter
from coldstart.als import PriorALS
from coldstart.datasets import make_cross_domain
from coldstart.prior import Prior
from coldstart.refine import KnownRows, expect, maximise, refine, refinements
from coldstart.refine_choice import (
    LEVEL,
    Recipe,
    _crosswise,
    _detectable,
    choose_refinement,
    fit_recipe,
)
from coldstart.refine_trials import RefineTrials, hidden_in_turn
from coldstart.rows import solve_rows

N_USERS, N_ITEMS, D, D_SOURCE = 120, 17, 3, 4
PENALTY = 2.0  # of the map in the tests on the evidence


class ExactMap:
    """The exact M step for ``x ~ N(b + W's, Sigma)`` under the penalty ``rho tr(Sigma^-1 W'W)/2``.

    ``Sigma = ((X - b - SW)'(X - b - SW) + rho W'W) / n + mean posterior covariance``.
    """

    def __init__(self, *, covariances: bool = True) -> None:
        self.covariances = covariances

    def fit(self, source, target, *, weight=None, context=None):
        s, t = np.asarray(source, float), np.asarray(target, float)
        self.s0, t0 = s.mean(axis=0), t.mean(axis=0)
        s = s - self.s0
        self.w = np.linalg.solve(s.T @ s + PENALTY * np.eye(s.shape[1]), s.T @ (t - t0))
        self.b = t0
        left = t - t0 - s @ self.w
        self.sigma = (left.T @ left + PENALTY * self.w.T @ self.w) / len(s)
        if self.covariances:
            self.sigma = self.sigma + context.target_covariance
        return self

    def predict(self, source, *, context=None):
        mean = (np.asarray(source, float) - self.s0) @ self.w + self.b
        return Prior(mean, shared=np.linalg.inv(self.sigma), origin=self.b)


def evidence(log, alpha, items, adapter, source):
    """``sum_u log N(p_u | Y m_u, C_u^-1 + Y Sigma Y') - rho tr(Sigma^-1 W'W) / 2``, densely."""
    means = (source - adapter.s0) @ adapter.w + adapter.b
    total = -PENALTY / 2 * np.trace(np.linalg.solve(adapter.sigma, adapter.w.T @ adapter.w))
    y = items.astype(float)
    for row, mean in zip(log.toarray().astype(float), means, strict=True):
        noise = 1 / np.where(row > 0, alpha * row, 1.0)
        spread = np.diag(noise) + y @ adapter.sigma @ y.T
        total += multivariate_normal.logpdf((row > 0).astype(float), y @ mean, spread)
    return total


@pytest.fixture
def catalog():
    """Log with no empty row, source rows, and a plain model without a ridge on rows to come."""
    rng = np.random.default_rng(3)
    source = rng.normal(size=(N_USERS, D_SOURCE)).astype(np.float32)
    tastes = source @ rng.normal(size=(D_SOURCE, N_ITEMS)) + rng.normal(size=(N_USERS, N_ITEMS))
    log = sp.csr_matrix((tastes > 1.5) * rng.uniform(0.5, 2.0, tastes.shape), dtype=np.float32)
    log = log[np.diff(log.indptr) > 0]
    source = source[: log.shape[0]]
    model = PriorALS(D, alpha=3.0, regularization=1.0, solver="cholesky", rng=0)
    return log, source, model.fit(log, show_progress=False)


def em_evidences(catalog, adapter, sweeps):
    """Evidence after every M step: items frozen, no ridge, temper 1."""
    log, source, model = catalog
    known = KnownRows(np.arange(len(source)), source)
    items = model.item_factors
    rows = solve_rows(log, items, alpha=model.alpha, regularization=1.0)
    covariance = np.eye(D)
    found = []
    for _ in range(sweeps):
        adapter, _, _ = maximise(adapter, known, rows, covariance, model, log, items)
        found.append(evidence(log, model.alpha, items, adapter, source))
        rows, covariance = expect(model, log, items, known.prior(adapter), regularization=0.0)
    return np.array(found)


def test_with_the_exact_m_step_and_items_frozen_the_evidence_never_falls(catalog):
    found = em_evidences(catalog, ExactMap(), 25)
    # rows are float32, so the evidence (about -1e3) is flat to 1e-4 where EM has converged
    assert (np.diff(found) > -1e-4).all()
    assert found[-1] > found[0] + 1


def test_without_posterior_covariances_the_evidence_falls(catalog):
    right = em_evidences(catalog, ExactMap(), 25)
    wrong = em_evidences(catalog, ExactMap(covariances=False), 25)
    assert np.diff(wrong).min() < -1e-2
    assert wrong[-1] < right[-1] - 1


def test_the_e_step_is_the_posterior_of_a_dense_gaussian(catalog):
    log, source, model = catalog
    prior = Prior(source[:, :D].astype(float), 2.0, shared=np.diag([1.0, 2.0, 3.0]))
    rows, covariance = expect(model, log, model.item_factors, prior, regularization=0.7)
    y, expected, total = model.item_factors.astype(float), [], np.zeros((D, D))
    for row, mean in zip(log.toarray().astype(float), prior.mean, strict=True):
        c = np.where(row > 0, model.alpha * row, 1.0)
        pull = np.diag([2.0, 4.0, 6.0])
        inverse = np.linalg.inv((y.T * c) @ y + 0.7 * np.eye(D) + pull)
        expected.append(inverse @ ((y.T * c) @ (row > 0) + pull @ mean))
        total += inverse
    np.testing.assert_allclose(rows, expected, rtol=0, atol=1e-5)
    np.testing.assert_allclose(covariance, total / len(rows), rtol=0, atol=1e-6)


@pytest.fixture(scope="module")
def launch():
    """A sparse target, a third of whose rows the source does not know, and some without a row."""
    source, target = make_cross_domain(n_users=400, rng=1)
    log = target.user_items.astype(np.float32)
    keep = np.random.default_rng(0).random(log.nnz) < 0.4
    indptr = np.concatenate([[0], np.cumsum(keep)])[log.indptr]
    log = sp.csr_matrix((log.data[keep], log.indices[keep], indptr), log.shape)
    origin = PriorALS(8, rng=0).fit(source.user_items, show_progress=False)
    rows = source.users.rows(target.users.ids, missing="mask")
    known = np.flatnonzero(rows >= 0)
    known = known[known % 3 > 0]
    there = source.user_items[rows[known]]
    return log, KnownRows(known, origin.fold_in(there), there), PriorALS(8, rng=0)


@pytest.fixture
def two_folds(monkeypatch):
    """Hide interactions twice only, which is faster."""
    monkeypatch.setattr(refine_trials, "MOST_FOLDS", 2)


def test_no_sweep_leaves_the_items_as_they_are(launch):
    log, known, model = launch
    fitted = model.clone().fit(log, show_progress=False)
    refined = refine(fitted, log, known, RidgeAdapter(), sweeps=0)
    assert refined.items is fitted.item_factors
    assert refined.sweeps == 0


def test_a_temper_of_zero_without_sweeps_is_plain_als(launch):
    log, known, model = launch
    fitted = model.clone().fit(log, show_progress=False)
    refined = refine(fitted, log, known, MeanAdapter(), sweeps=0, temper=0.0)
    np.testing.assert_array_equal(refined.rows(log, known), fitted.fold_in(log))


def test_the_model_ends_with_one_exact_row_step(launch):
    log, known, model = launch
    fitted = model.clone().fit(log, show_progress=False)
    refined = refine(fitted, log, known, RidgeAdapter(), sweeps=2, temper=2.0)
    served = refined.model(log, known)
    again = served.fold_in(log, prior=refined.prior(known, log.shape[0]))
    np.testing.assert_array_equal(served.user_factors, again)
    assert not np.array_equal(served.item_factors, fitted.item_factors)


def test_rows_without_interactions_are_their_prior_mean_and_have_no_part_in_a_sweep(launch):
    log, known, model = launch
    more = sp.vstack([log, sp.csr_matrix((5, log.shape[1]), dtype=np.float32)]).tocsr()
    extra = KnownRows(
        np.append(known.rows, np.arange(log.shape[0], more.shape[0] - 1)),
        np.vstack([known.source, known.source[:4]]),
        sp.vstack([known.matrix, known.matrix[:4]]).tocsr(),
    )
    fitted = model.clone().fit(log, show_progress=False)
    settings = {"sweeps": 2, "temper": 2.0}
    few = refine(fitted, log, known, RidgeAdapter(), **settings)
    many = refine(fitted, more, extra, RidgeAdapter(), **settings)
    # sums of other lengths round differently in float32, and two sweeps pass that on
    np.testing.assert_allclose(few.items, many.items, rtol=0, atol=1e-3)
    rows, prior = many.rows(more, extra), many.prior(extra, more.shape[0])
    np.testing.assert_allclose(rows[-5:], prior.mean[-5:], rtol=1e-6, atol=0)
    np.testing.assert_allclose(rows[-1], many.mean, rtol=1e-6, atol=0)  # nobody knows it


def test_rows_that_the_source_does_not_know_spread_as_widely_as_all_rows(launch):
    log, known, model = launch
    fitted = model.clone().fit(log, show_progress=False)
    refined = refine(fitted, log, known, RidgeAdapter(), sweeps=1)
    prior = refined.prior(known, log.shape[0])
    unknown = np.setdiff1d(np.arange(log.shape[0]), known.rows)
    exposed = log[np.diff(log.indptr) > 0]
    # the precision of an unknown row fits the covariance of all: tr(L C) = d; rows under the
    # prior are a little narrower than those the width was learned on
    spread = np.cov(fitted.fold_in(exposed).T)
    pull = prior.matrices(slice(unknown[0], unknown[0] + 1))[0]
    assert 0.3 * refined.settings.factors < np.sum(pull * spread) < 3 * refined.settings.factors
    assert refined.width > 1


def test_strengths_of_a_front_door_are_the_prior_of_the_model(launch):
    log, known, model = launch
    fitted = model.clone().fit(log, show_progress=False)
    refined = refine(fitted, log, known, RidgeAdapter(), sweeps=1, temper=3.0)
    said, place = known.prior(refined.adapter), known.place(log.shape[0])
    everybody = said.pad(len(said) + 1, refined.mean).take(place)
    counts, mapped = np.diff(log.indptr), place < len(known)
    prior = refined.prior(known, log.shape[0])
    for rows, strength in ((mapped, refined.strength), (~mapped, refined.null)):
        mine = strength.apply(everybody.take(rows), counts[rows])
        np.testing.assert_allclose(mine.precision, prior.take(rows).precision, rtol=1e-12)
        np.testing.assert_allclose(mine.mean, prior.take(rows).mean, rtol=1e-6, atol=1e-9)


def test_the_inputs_are_not_changed_and_sweeps_are_those_of_the_path(launch):
    log, known, model = launch
    fitted = model.clone().fit(log, show_progress=False)
    before = fitted.item_factors.copy(), fitted.user_factors.copy(), known.source.copy()
    path = list(refinements(fitted, log, known, RidgeAdapter(), sweeps=2, temper=2.0))
    straight = refine(fitted, log, known, RidgeAdapter(), sweeps=1, temper=2.0)
    np.testing.assert_array_equal(path[1].items, straight.items)
    for old, new in zip(
        before, (fitted.item_factors, fitted.user_factors, known.source), strict=True
    ):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sweeps": -1}, "sweeps must be a whole number"),
        ({"sweeps": 1.5}, "sweeps must be a whole number"),
        ({"sweeps": 1, "temper": -1.0}, "temper must be finite and not negative"),
        ({"sweeps": 1, "temper": np.nan}, "temper must be finite and not negative"),
    ],
)
def test_settings_out_of_range_are_refused(launch, settings, message):
    log, known, model = launch
    with pytest.raises(ValueError, match=message):
        refine(model, log, known, RidgeAdapter(), **settings)


def test_known_rows_must_be_some_and_match():
    with pytest.raises(ValueError, match="nothing to refine"):
        KnownRows(np.array([], int), np.zeros((0, 3), np.float32))
    with pytest.raises(ValueError, match="2 numbers but source has 3 rows"):
        KnownRows(np.arange(2), np.zeros((3, 3), np.float32))


def test_interactions_are_hidden_in_turn_and_come_back_as_history(launch):
    log, _, _ = launch
    hidden = sp.csr_matrix(log.shape)
    for held, train in hidden_in_turn(log, np.random.default_rng(0)):
        history, truth = held.history(1), held.truth(1)
        assert abs(history - train[held.rows]).nnz == 0
        assert abs(history + truth - log[held.rows]).nnz == 0
        # binomial: 5 standard errors of a share of 0.2
        assert abs(1 - train.nnz / log.nnz - 0.2) < 5 * np.sqrt(0.16 / log.nnz)
        assert hidden.multiply(log - train).nnz == 0  # not hidden twice
        hidden = hidden + (log - train)


@pytest.mark.usefixtures("two_folds")
def test_a_source_that_helps_is_kept_and_one_that_says_nothing_is_left():
    source, target = make_cross_domain(n_users=800, affinity=4.0, source_interactions=60, rng=2)
    origin = PriorALS(8, iterations=4, rng=0).fit(source.user_items, show_progress=False)
    rows = source.users.rows(target.users.ids, missing="mask")
    shared = np.flatnonzero(rows >= 0)
    helpful = origin.fold_in(source.user_items[rows[shared]])
    noise = np.random.default_rng(1).normal(size=helpful.shape).astype(np.float32)
    kept, left = (
        choose_refinement(
            PriorALS(8, iterations=4, rng=0),
            target.user_items,
            KnownRows(shared, embeddings),
            RidgeAdapter(),
            sweeps=1,
            rng=np.random.default_rng(0),
        )
        for embeddings in (helpful, noise)
    )
    assert kept.keep
    assert kept.low > 0
    assert kept.recipe == kept.refined
    assert str(kept).startswith("keeps the refined model: mapped")
    assert not left.keep
    assert left.recipe == left.null
    assert not left.recipe.source
    assert str(left).startswith("drops the refined model: mean-prior (")
    for choice in (kept, left):
        gain = f"a gain of {100 * choice.detectable:.2f} is found with 80% probability"
        assert str(choice).endswith(gain)
        # of a normal distribution: 95% lie below 1.6449 standard errors, 80% below 0.8416
        error = (choice.high - choice.low) / 2 / 1.6449
        assert choice.detectable == pytest.approx((1.6449 + 0.8416) * error, rel=1e-4)


def test_a_gain_as_large_as_the_detectable_one_is_found_four_times_in_five():
    """One recipe of each kind, so that nothing is chosen."""
    rng = np.random.default_rng(0)
    recipes = Recipe(True, 1.0, 1.0, 1.0, 0), Recipe(False, 1.0, 1.0, 1.0, 0)
    none = np.zeros(200)

    def limits(gain):
        arms = rng.normal(gain, 1.0, 200), none
        return _crosswise(*({r: a} for r, a in zip(recipes, arms, strict=True)), rng)

    gain = np.mean([_detectable(*limits(0.0)[1:]) for _ in range(20)])
    found = [limits(gain)[1] > 0 for _ in range(400)]
    assert np.mean(found) == pytest.approx(0.8, abs=0.08)  # 4 binomial standard errors


@pytest.mark.usefixtures("two_folds")
def test_the_choice_follows_from_the_seed_and_fits_what_it_says(launch):
    log, known, model = launch[0], launch[1], PriorALS(8, iterations=3, rng=0)
    noise = np.random.default_rng(4).normal(size=(len(known) // 2, 2))
    told_else = KnownRows(known.rows[::2][: len(noise)], noise)
    one, two, other = (
        choose_refinement(model, log, rows, RidgeAdapter(), sweeps=1, rng=np.random.default_rng(5))
        for rows in (known, known, told_else)
    )
    assert one == two
    assert (one.null, one.model, one.plain) == (other.null, other.model, other.plain)
    assert one.refined != other.refined
    assert one.plain.temper == 0
    assert one.plain.sweeps == 0
    assert f"{one.people} people" in str(one)
    fitted = fit_recipe(model, log, known, RidgeAdapter(), one.refined)
    assert fitted.settings.alpha == one.refined.alpha
    assert fitted.settings.regularization == one.refined.regularization
    assert (fitted.temper, fitted.sweeps) == (one.refined.temper, one.refined.sweeps)


def test_recipes_chosen_by_luck_show_no_gain_crosswise():
    rng = np.random.default_rng(0)

    def arms(source):
        return {Recipe(source, a, 1.0, 1.0, 0): rng.normal(size=1000) for a in range(1, 61)}

    refined, null = arms(True), arms(False)
    best = max(people.mean() for people in refined.values())
    gain, low, high = _crosswise(refined, null, rng)
    assert best > 2 / np.sqrt(1000)  # what the same people would have shown, two standard errors
    assert low < 0 < high
    assert abs(gain) < 4 * np.sqrt(2 / 1000)


def test_a_source_that_adds_nothing_is_kept_as_rarely_as_stated():
    rng = np.random.default_rng(1)
    found = []
    for _ in range(150):
        refined, null = (
            {Recipe(source, a, 1.0, 1.0, 0): rng.normal(size=100) for a in range(1, 13)}
            for source in (True, False)
        )
        found.append(_crosswise(refined, null, rng))
    gains, low, high = np.array(found).T
    assert (low > 0).mean() <= LEVEL  # 2% where no two recipes have anything in common
    assert (high < 0).mean() <= LEVEL
    assert abs(gains.mean()) < 3 * gains.std() / np.sqrt(len(gains))


def test_a_source_that_adds_something_is_kept():
    rng = np.random.default_rng(2)
    people = rng.normal(size=200)
    null = {Recipe(False, a, 1.0, 1.0, 0): people + rng.normal(size=200) / 3 for a in range(1, 9)}
    refined = {replace(r, source=True): values + 0.2 for r, values in null.items()}
    gain, low, high = _crosswise(refined, null, rng)
    assert 0 < low < gain < high
    # the gain but for noise of a third between recipes, four standard errors
    assert abs(gain - 0.2) < 4 * np.sqrt(2 / 200) / 3


def test_what_is_popular_is_a_candidate_without_a_source():
    _, target = make_cross_domain(300, 61, 60, affinity=0.0, target_interactions=3, rng=0)
    log = target.user_items
    known = KnownRows(
        np.arange(log.shape[0]), np.random.default_rng(0).normal(size=(log.shape[0], 3))
    )
    model = PriorALS(8, iterations=3, rng=0)
    choice = choose_refinement(
        model, log, known, RidgeAdapter(), sweeps=1, rng=np.random.default_rng(0)
    )
    assert choice.null.popular  # taste has no part in this catalog
    assert choice.null == replace(choice.model, popular=True)
    assert not choice.keep
    assert choice.null.name.startswith("popularity before mean-prior (")
    trials = RefineTrials(model, hidden_in_turn(log, np.random.default_rng(0)), known, 1, int)
    (quality,) = [v for r, v in trials.search_untold().items() if r.popular]
    assert quality == pytest.approx(popular_by_hand(trials.folds), abs=1e-12)


def popular_by_hand(folds):
    """NDCG@10 of the list of what is most bought, ties by number; the mean over folds."""
    found = {}
    for held, train in folds:
        order = np.argsort(-np.asarray(train.sum(axis=0)).ravel(), kind="stable")
        truth = held.truth(1).toarray() > 0
        for row, hidden in zip(held.rows, truth, strict=True):
            seen = train[row].toarray().ravel() > 0
            hits = hidden[[i for i in order if not seen[i]][:10]]
            gains = 1 / np.log2(np.arange(10) + 2)
            found.setdefault(row, []).append(
                (hits @ gains[: len(hits)]) / gains[: hidden.sum()].sum()
            )
    return [np.mean(found[row]) for row in sorted(found)]


def test_adapters_are_given_the_covariance_of_all_source_rows(launch):
    log, known, model = launch
    seen = []

    class Looking(RidgeAdapter):
        def fit(self, source, target, *, weight=None, context=None):
            seen.append(context.source_covariance)
            return super().fit(source, target, weight=weight, context=context)

    covariance = np.eye(known.source.shape[1])
    fitted = model.clone().fit(log, show_progress=False)
    refine(fitted, log, replace(known, covariance=covariance), Looking(), sweeps=1)
    assert len(seen) == 2
    assert all(given is covariance for given in seen)


def test_too_few_people_to_choose_on_are_refused():
    log = sp.csr_matrix(np.eye(4, 6, dtype=np.float32))
    known = KnownRows(np.arange(4), np.eye(4, dtype=np.float32))
    with pytest.raises(ValueError, match="use refine=0"):
        choose_refinement(
            PriorALS(2), log, known, RidgeAdapter(), sweeps=1, rng=np.random.default_rng(0)
        )
