"""RidgeAdapter against dense normal equations, brute force, scikit-learn and a known map.

Where nothing else is said, the two sides are the same numbers computed in two ways, in float64:
they agree to 1e-8.
"""

import re
import tracemalloc
from itertools import product

import numpy as np
import pytest
import sklearn
from scipy.linalg import hadamard
from sklearn.linear_model import Ridge, RidgeCV

from coldstart.adapters import AnchorContext, RidgeAdapter, base, linear
from coldstart.adapters.linear import GCV_GRID
from coldstart.adapters.spread import shrunk
from coldstart.anchors import find_anchors
from coldstart.datasets import make_cross_domain
from coldstart.threads import resolve_threads

N, D_SOURCE, D = 35, 6, 4


def draw(n=N, seed=0, noise=0.5):
    rng = np.random.default_rng(seed)
    source = rng.normal(size=(n, D_SOURCE)) + rng.normal(size=D_SOURCE)
    weights = np.random.default_rng(9).normal(size=(D_SOURCE, D))
    return source, 1.0 + source @ weights + noise * rng.normal(size=(n, D))


def near(actual, expected, rtol=1e-8):
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=rtol)


def shifted(source, weight):
    """Source rows less their weighted mean, and that mean."""
    mean = np.average(source, axis=0, weights=weight)
    return source - mean, mean


class Dense:
    """The matrix-normal posterior, written as in a book: an explicit column of ones, no shortcuts.

    `noise` is the posterior covariance of the target rows, which are estimates; `worth` is how many
    anchors the prior on the residuals counts as.
    """

    def __init__(self, source, target, weight, *, rho, m0, n0, worth, noise=0.0):
        n, d = weight.sum(), target.shape[1]  # a weight counts anchors
        rows, self.mean = shifted(source, weight)
        design = np.hstack([np.ones((len(rows), 1)), rows])
        before = np.diag([n0, *[rho] * source.shape[1]])  # V0^-1
        w0 = np.vstack([m0, np.zeros((source.shape[1], d))])
        self.v = np.linalg.inv(before + design.T @ np.diag(weight) @ design)
        self.w = self.v @ (before @ w0 + design.T @ np.diag(weight) @ target)
        away, moved = target - design @ self.w, self.w - w0
        variance = np.trace(np.cov(target.T, bias=True, aweights=weight)) / d
        psi = away.T @ np.diag(weight) @ away + moved.T @ before @ moved + n * noise
        size = (variance + np.trace(psi)) / (n * d + 1)
        nu0 = d + 1 + worth
        self.psi = (worth * size * np.eye(d) + psi) / (nu0 + n - d - 1)

    def predict(self, source):
        """Means (m, d) and covariances (m, d, d)."""
        rows = np.hstack([np.ones((len(source), 1)), source - self.mean])
        uncertain = 1 + np.einsum("ni,ij,nj->n", rows, self.v, rows)
        return rows @ self.w, uncertain[:, None, None] * self.psi


def size(source, weight=None):
    """Mean diagonal of S'DS, the unit of the ridge."""
    weight = np.ones(len(source)) if weight is None else weight
    rows, _ = shifted(source, weight)
    return np.mean(weight @ rows**2)


class TestEquations:
    @pytest.mark.parametrize("n", [3, N, 200])
    @pytest.mark.parametrize("n0", [0.5, 64.0])
    def test_the_prediction_is_that_of_the_dense_normal_equations(self, n, n0):
        source, target = draw(n)
        weight, m0 = np.linspace(0.3, 2, n), np.array([1.0, -2.0, 0.5, 3.0])
        noise = 0.1 * np.eye(D) + 0.05
        context = AnchorContext(mean=m0, target_covariance=noise)
        adapter = RidgeAdapter(0.3, normalize=False, pseudo_anchors=n0)
        prior = adapter.fit(source, target, weight=weight, context=context).predict(draw(8, 1)[0])
        rho = 0.3 * size(source, weight)
        worth = adapter.shape_anchors_
        dense = Dense(source, target, weight, rho=rho, m0=m0, n0=n0, worth=worth, noise=noise)
        mean, covariance = dense.predict(draw(8, 1)[0])
        near(prior.mean, mean)
        near(np.linalg.inv(prior.matrices()), covariance)

    def test_normalised_rows_have_length_one(self):
        source, target = draw()
        lengths = np.linalg.norm(source, axis=1, keepdims=True)
        ours = RidgeAdapter(1.0, normalize=True).fit(source, target)
        theirs = RidgeAdapter(1.0, normalize=False).fit(source / lengths, target)
        near(ours.predict(7 * source).mean, theirs.predict(source / lengths).mean)

    def test_slopes_are_those_of_scikit_learn(self):
        source, target = draw()
        weight = np.linspace(0.3, 2, N)
        adapter = RidgeAdapter(0.5, normalize=False).fit(source, target, weight=weight)
        theirs = Ridge(alpha=0.5 * size(source, weight))
        theirs.fit(source, target, sample_weight=weight)
        near(adapter.coef_, theirs.coef_.T)

    def test_the_ridge_follows_the_scale_of_the_source(self):
        source, target = draw()
        ours = RidgeAdapter(0.5, normalize=False).fit(source, target).predict(source)
        scaled = RidgeAdapter(0.5, normalize=False).fit(1e3 * source, target).predict(1e3 * source)
        near(scaled.mean, ours.mean)
        near(scaled.matrices(), ours.matrices())

    def test_a_rotated_and_scaled_target_gets_the_rotated_and_scaled_prior(self):
        source, target = draw()
        rotation = 3 * np.linalg.qr(np.random.default_rng(2).normal(size=(D, D)))[0]
        ours = RidgeAdapter().fit(source, target).predict(source)
        turned = RidgeAdapter().fit(source, target @ rotation).predict(source)
        near(turned.mean, ours.mean @ rotation)
        covariance = np.linalg.inv(ours.matrices())
        near(np.linalg.inv(turned.matrices()), rotation.T @ covariance @ rotation)

    def test_more_ridge_means_smaller_slopes_and_a_wider_residual(self):
        source, target = draw()
        fits = [RidgeAdapter(r, normalize=False).fit(source, target) for r in (0.01, 0.1, 1, 10)]
        assert (np.diff([np.linalg.norm(fit.coef_) for fit in fits]) < 0).all()
        assert (np.diff([np.trace(fit.residual_covariance_) for fit in fits]) > 0).all()

    def test_a_row_far_from_the_anchors_is_less_certain(self):
        source, target = draw()
        adapter = RidgeAdapter().fit(source, target)
        near_by, far = adapter.predict(np.vstack([source.mean(axis=0), 10 * source[0]])).precision
        assert far < near_by


class PlainRidge:
    """The adapter as its docstring has it: whole arrays in float64, explicit residuals."""

    def __init__(self, source, target, weight, context, *, n0=64.0):
        source, target = (np.asarray(rows, np.float64) for rows in (source, target))
        d = target.shape[1]
        self.t, self.w, self.n = target, weight, weight.sum()
        other = context.other_factors
        self.metric = np.eye(d) if other is None else other.T @ other
        lengths = np.linalg.norm(source, axis=1, keepdims=True)
        self.sides = {False: source, True: source / np.where(lengths > 0, lengths, 1)}
        self.anchor_mean = np.average(target, axis=0, weights=weight)
        m0, n0 = (self.anchor_mean, 0) if context.mean is None else (context.mean, n0)
        self.intercept = (n0 * m0 + self.n * self.anchor_mean) / (n0 + self.n)
        self.normalize, self.ridge = min(product((False, True), GCV_GRID), key=self.gcv)
        s, coef, rho = self.solve(self.normalize, self.ridge)
        self.coef = coef
        residual, off = target - self.intercept - s @ coef, self.intercept - m0
        psi = residual.T @ (weight[:, None] * residual) + n0 * np.outer(off, off)
        psi += rho * coef.T @ coef
        if context.target_covariance is not None:
            psi += self.n * context.target_covariance
        variance = np.trace(np.cov(target.T, bias=True, aweights=weight)) / d
        free = self.n if n0 else max(self.n - 1, self.n / 2)
        size = (variance + np.trace(psi)) / (free * d + 1)
        self.residual_covariance, _ = shrunk(psi, free, [size * np.eye(d)])

    def solve(self, normalize, ridge):
        s, _ = shifted(self.sides[normalize], self.w)
        scatter = s.T @ (self.w[:, None] * s)
        rho = ridge * np.trace(scatter) / len(scatter)
        moment = s.T @ (self.w[:, None] * (self.t - self.anchor_mean))
        return s, np.linalg.solve(scatter + rho * np.eye(len(scatter)), moment), rho

    def gcv(self, setting):
        s, coef, rho = self.solve(*setting)
        away = self.t - self.anchor_mean - s @ coef
        error = np.sum((away.T @ (self.w[:, None] * away)) * self.metric)
        scatter = s.T @ (self.w[:, None] * s)
        freedom = 1 + np.trace(np.linalg.solve(scatter + rho * np.eye(len(scatter)), scatter))
        return self.n * error / (self.n - freedom) ** 2


CONTEXTS = {
    "nothing": AnchorContext(),
    "mean": AnchorContext(mean=np.array([5.0, -5.0, 0.0])),
    "metric": AnchorContext(other_factors=np.random.default_rng(4).normal(size=(50, 3))),
    "noise": AnchorContext(target_covariance=0.1 + np.eye(3)),
}


def draw_far(n, d_source=D_SOURCE, *, away=3.0, seed=0, dtype=np.float64):
    """Rows some way from the origin, and how often each counts, some of them never."""
    rng = np.random.default_rng(seed)
    source = rng.normal(size=(n, d_source)) * rng.uniform(0.1, 2, d_source) + away
    target = away + source @ rng.normal(size=(d_source, 3)) + rng.normal(size=(n, 3))
    weight = rng.uniform(0, 3, n) * (rng.random(n) < 0.8)
    return source.astype(dtype), target.astype(dtype), weight


class TestBlocks:
    @pytest.mark.parametrize("told", CONTEXTS)
    @pytest.mark.parametrize(("n", "d_source"), [(11, 17), (300, 1), (9001, 6)])
    def test_a_fit_is_that_on_whole_arrays(self, n, d_source, told):
        source, target, weight = draw_far(n, d_source)
        context = CONTEXTS[told]
        plain = PlainRidge(source, target, weight, context)
        adapter = RidgeAdapter().fit(source, target, weight=weight, context=context)
        assert (adapter.normalize_, adapter.ridge_) == (plain.normalize, plain.ridge)
        near(adapter.coef_, plain.coef)
        near(adapter.intercept_, plain.intercept)
        near(adapter.residual_covariance_, plain.residual_covariance)

    @pytest.mark.parametrize("away", [0.0, 3.0, 100.0])
    def test_single_precision_costs_its_rounding_errors(self, away):
        """Rows are rounded to 6e-8 of their size, up to 100 times their deviations here."""
        source, target, weight = draw_far(20_000, away=away, dtype=np.float32)
        wide = [rows.astype(np.float64) for rows in (source, target)]
        ours = RidgeAdapter(0.1, normalize=False).fit(source, target, weight=weight)
        exact = RidgeAdapter(0.1, normalize=False).fit(*wide, weight=weight)
        scale = np.abs(exact.coef_).max()
        np.testing.assert_allclose(ours.coef_, exact.coef_, rtol=0, atol=1e-6 * scale)
        scale = np.abs(exact.residual_covariance_).max()
        covariances = ours.residual_covariance_, exact.residual_covariance_
        np.testing.assert_allclose(*covariances, rtol=0, atol=1e-6 * scale)
        ours, exact = ours.predict(source[:50]), exact.predict(wide[0][:50])
        assert ours.mean.dtype == np.float32
        scale = np.abs(exact.mean).max()
        np.testing.assert_allclose(ours.mean, exact.mean, rtol=0, atol=2e-6 * scale)
        np.testing.assert_allclose(ours.precision, exact.precision, rtol=1e-6)

    @pytest.mark.parametrize("dtype", [np.float16, np.int32])
    def test_other_numbers_are_read_as_double_precision(self, dtype):
        source, target, _ = (array.astype(dtype) for array in draw_far(100))
        wide = [rows.astype(np.float64) for rows in (source, target)]
        ours, theirs = RidgeAdapter().fit(source, target), RidgeAdapter().fit(*wide)
        assert np.array_equal(ours.coef_, theirs.coef_)
        assert ours.predict(source).mean.dtype == np.float64

    def test_without_noise_a_residual_in_single_precision_is_still_a_covariance(self):
        rng = np.random.default_rng(0)
        source = (rng.normal(size=(30_000, 12)) * np.logspace(0, 3, 12)).astype(np.float32)
        target = (source @ rng.normal(size=(12, 9))).astype(np.float32)
        adapter = RidgeAdapter(1e-8, normalize=False).fit(source, target)
        assert np.linalg.eigvalsh(adapter.residual_covariance_).min() > 0
        assert np.isfinite(adapter.predict(source[:9]).matrices()).all()

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_no_number_of_threads_changes_a_bit(self, monkeypatch, dtype):
        source, target, weight = draw_far(30_000, dtype=dtype)
        fits = []
        for number in (1, 2, 3):
            monkeypatch.setattr("coldstart.threads.resolve_threads", lambda _, n=number: n)
            fits.append(RidgeAdapter().fit(source, target, weight=weight))
            fits[-1].prior = fits[-1].predict(source)
        for fit in fits[1:]:
            assert np.array_equal(fit.coef_, fits[0].coef_)
            assert np.array_equal(fit.residual_covariance_, fits[0].residual_covariance_)
            assert np.array_equal(fit.prior.mean, fits[0].prior.mean)
            assert np.array_equal(fit.prior.precision, fits[0].prior.precision)

    def test_a_prediction_is_that_on_whole_arrays(self):
        source, target, _ = draw_far(2 * base.BLOCK + 5)
        adapter = RidgeAdapter(0.3, normalize=True).fit(source, target)
        prior = adapter.predict(source)
        rows = source / np.linalg.norm(source, axis=1, keepdims=True) - adapter.source_mean_
        near(prior.mean, adapter.intercept_ + rows @ adapter.coef_)
        scatter = rows.T @ rows
        v = np.linalg.inv(scatter + 0.3 * np.trace(scatter) / len(scatter) * np.eye(D_SOURCE))
        near(1 / prior.precision, 1 + 1 / len(rows) + np.einsum("ni,ij,nj->n", rows, v, rows))

    def test_rows_in_column_order_and_every_other_row_will_do(self):
        source, target, _ = draw_far(9000)
        expected = RidgeAdapter().fit(source[::2].copy(), target[::2].copy())
        for way in (np.asfortranarray, np.ascontiguousarray):
            fit = RidgeAdapter().fit(way(source)[::2], way(target)[::2])
            near(fit.predict(way(source)).mean, expected.predict(source).mean)

    def test_beyond_the_inputs_fitting_takes_blocks_and_predicting_the_prior(self):
        source, target, weight = draw_far(300_000, 16, dtype=np.float32)
        RidgeAdapter().fit(source[:9], target[:9]).predict(source[:9])  # what is loaded at first
        tracemalloc.start()
        adapter = RidgeAdapter().fit(source, target, weight=weight)
        fitting = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        prior = adapter.predict(source)
        predicting = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        blocks = 4 * base.BLOCK * (16 + 3) * 4 * resolve_threads(0)  # a few float32 copies each
        assert fitting < blocks + 1e6
        assert predicting < prior.mean.nbytes + prior.precision.nbytes + blocks + 1e6


class TestIntercept:
    def test_it_lies_between_the_mean_of_all_rows_and_that_of_the_anchors(self):
        m0 = np.array([5.0, -5.0, 0.0, 2.0])
        for n in (2, 4, 64, 1000):
            source, target = draw(n)
            adapter = RidgeAdapter().fit(source, target, context=AnchorContext(mean=m0))
            expected = (64 * m0 + n * target.mean(axis=0)) / (64 + n)
            near(adapter.intercept_, expected, rtol=1e-12)

    def test_few_anchors_hardly_move_it_and_many_do(self):
        m0 = np.array([5.0, -5.0, 0.0, 2.0])
        shares = []
        for n in (2, 10_000):
            source, target = draw(n)
            adapter = RidgeAdapter().fit(source, target, context=AnchorContext(mean=m0))
            moved = np.linalg.norm(adapter.intercept_ - m0)
            shares.append(moved / np.linalg.norm(target.mean(axis=0) - m0))
        assert shares[0] < 0.04  # 2 / 66
        assert shares[1] > 0.99  # 10000 / 10064

    def test_without_a_mean_of_all_rows_it_is_that_of_the_anchors(self):
        source, target = draw()
        near(RidgeAdapter().fit(source, target).intercept_, target.mean(axis=0), rtol=1e-12)

    def test_it_is_the_prediction_at_the_mean_of_the_anchors_and_where_centring_leads(self):
        source, target = draw()
        adapter = RidgeAdapter(normalize=False).fit(source, target)
        prior = adapter.predict(source.mean(axis=0, keepdims=True))
        near(prior.mean[0], adapter.intercept_)
        near(adapter.predict(source).centre(0.0).mean, np.tile(adapter.intercept_, (N, 1)))


def left_out_errors(source, target, rho):
    """Squared errors (n,) of ridge regressions with free intercepts, each fitted without a row."""
    errors = []
    for row in range(len(source)):
        rest = np.arange(len(source)) != row
        fit = Ridge(alpha=rho).fit(source[rest], target[rest])
        errors.append(np.sum((fit.predict(source[row : row + 1]) - target[row]) ** 2))
    return np.array(errors)


class TestChoosingTheRidge:
    def balanced(self, seed=0):
        """Sources with equal leverages, where generalised cross-validation *is* leave-one-out."""
        rng = np.random.default_rng(seed)
        source = hadamard(16)[:, 1:6].astype(float)
        return source, source @ rng.normal(size=(5, 3)) + 2.0 * rng.normal(size=(16, 3))

    @pytest.mark.parametrize("seed", range(4))
    def test_it_has_the_least_leave_one_out_error_where_leverages_are_equal(self, seed):
        source, target = self.balanced(seed)
        chosen = RidgeAdapter(normalize=False).fit(source, target).ridge_
        unit = size(source)
        errors = [left_out_errors(source, target, ridge * unit).mean() for ridge in GCV_GRID]
        assert chosen == GCV_GRID[int(np.argmin(errors))]

    @pytest.mark.skipif(
        tuple(map(int, sklearn.__version__.split(".")[:2])) < (1, 8),
        reason="scikit-learn before 1.8 chooses another ridge here than leaving one out does",
    )
    @pytest.mark.parametrize("seed", range(4))
    def test_it_is_the_choice_of_scikit_learn_where_leverages_are_equal(self, seed):
        source, target = self.balanced(seed)
        chosen = RidgeAdapter(normalize=False).fit(source, target).ridge_
        theirs = RidgeCV(alphas=np.array(GCV_GRID) * size(source)).fit(source, target)
        near(chosen * size(source), theirs.alpha_, rtol=1e-12)

    @pytest.mark.parametrize("noise", [0.3, 3.0])
    def test_elsewhere_its_leave_one_out_error_is_within_a_tenth_of_the_least(self, noise):
        source, target = draw(20, noise=noise)
        chosen = RidgeAdapter(normalize=False).fit(source, target).ridge_
        errors = {r: left_out_errors(source, target, r * size(source)).mean() for r in GCV_GRID}
        assert errors[chosen] < 1.1 * min(errors.values())

    def test_noise_asks_for_more_of_it(self):
        ridges = [RidgeAdapter().fit(*draw(noise=noise)).ridge_ for noise in (0.01, 1, 10)]
        assert ridges == sorted(ridges)
        assert ridges[0] < ridges[-1]

    def test_errors_count_in_scores_where_the_other_side_is_known(self):
        source, target = draw(noise=3.0)
        other = np.random.default_rng(4).normal(size=(50, D)) * [10, 1, 0.1, 0.01]
        root = np.linalg.cholesky(other.T @ other)  # |error' root| is the size of errors of scores
        told = RidgeAdapter().fit(source, target, context=AnchorContext(other_factors=other))
        scores = RidgeAdapter().fit(source, target @ root)
        assert (told.ridge_, told.normalize_) == (scores.ridge_, scores.normalize_)
        assert told.ridge_ != RidgeAdapter().fit(source, target).ridge_

    def test_a_number_is_taken_as_it_is(self):
        assert RidgeAdapter(0.7).fit(*draw()).ridge_ == 0.7


class TestNormalising:
    def activity(self):
        """Directions of length one, and how active a row is."""
        rng = np.random.default_rng(3)
        rows = rng.normal(size=(150, D_SOURCE))
        directions = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return directions, rng.lognormal(0, 0.8, (150, 1)), rng.normal(size=(D_SOURCE, D))

    def test_it_is_chosen_where_only_the_direction_of_a_row_matters(self):
        directions, lengths, weights = self.activity()
        adapter = RidgeAdapter().fit(directions * lengths, directions @ weights)
        assert adapter.normalize_ is True

    def test_it_is_not_chosen_where_the_length_matters(self):
        directions, lengths, weights = self.activity()
        rows = directions * lengths
        assert RidgeAdapter().fit(rows, rows @ weights).normalize_ is False

    def test_it_is_chosen_on_some_of_many_anchors_and_fitted_on_all(self, monkeypatch):
        source, target, weight = draw_far(500)
        expected = RidgeAdapter().fit(source, target, weight=weight)
        monkeypatch.setattr(linear, "COMPARED", 100)
        some = RidgeAdapter().fit(source[::5], target[::5], weight=weight[::5])
        adapter = RidgeAdapter().fit(source, target, weight=weight)
        assert adapter.normalize_ == some.normalize_
        assert adapter.n_anchors_ == expected.n_anchors_
        decided = RidgeAdapter(normalize=adapter.normalize_).fit(source, target, weight=weight)
        assert adapter.ridge_ == decided.ridge_
        assert np.array_equal(adapter.coef_, decided.coef_)

    def test_where_these_count_for_nothing_it_is_chosen_on_all(self, monkeypatch):
        source, target, weight = draw_far(500)
        weight[::5] = 0
        expected = RidgeAdapter().fit(source, target, weight=weight)
        monkeypatch.setattr(linear, "COMPARED", 100)
        adapter = RidgeAdapter().fit(source, target, weight=weight)
        assert np.array_equal(adapter.coef_, expected.coef_)

    @pytest.mark.parametrize("normalize", [True, False])
    def test_it_can_be_decided_beforehand(self, normalize):
        assert RidgeAdapter(normalize=normalize).fit(*draw()).normalize_ is normalize


class TestCalibration:
    def errors(self, n):
        """Mean square (d, d) of errors on 100 new rows in each of 60 worlds, and as stated."""
        root = np.array([[1.0, 0, 0, 0], [0.8, 0.7, 0, 0], [0, 0.3, 1.2, 0], [0.1, 0, 0, 0.8]])
        made = stated = np.zeros((D, D))
        for seed in range(60):
            rng = np.random.default_rng(seed)
            weights = 0.4 * rng.normal(size=(D_SOURCE, D))
            source = rng.normal(size=(n + 100, D_SOURCE))
            target = 1 + source @ weights + rng.normal(size=(n + 100, D)) @ root
            context = AnchorContext(mean=np.ones(D))
            adapter = RidgeAdapter(normalize=False).fit(source[:n], target[:n], context=context)
            prior = adapter.predict(source[n:])
            away = target[n:] - prior.mean
            made = made + away.T @ away / 6000
            stated = stated + np.linalg.inv(prior.matrices()).sum(axis=0) / 6000
        return made, stated

    @pytest.mark.parametrize("n", [20, 400])
    def test_errors_are_as_large_as_stated(self, n):
        made, stated = self.errors(n)
        assert np.trace(made) == pytest.approx(np.trace(stated), rel=0.05)

    def test_errors_go_together_as_stated(self):
        """A covariance of 6000 rows is known to 0.03; the sphere in the prior adds up to 0.05."""
        made, stated = self.errors(400)
        np.testing.assert_allclose(made, stated, atol=0.12)

    def test_a_twentieth_of_people_lie_outside_an_ellipse_of_95_percent(self):
        source, target = draw(2500)
        prior = RidgeAdapter().fit(source[:500], target[:500]).predict(source[500:])
        away = target[500:] - prior.mean
        distance = np.einsum("ni,nij,nj->n", away, prior.matrices(), away)
        outside = np.mean(distance > 9.488)  # chi-squared with four degrees of freedom
        assert outside == pytest.approx(0.05, abs=0.02)  # four standard errors


class TestKnownMap:
    def anchors(self, noise):
        world = make_cross_domain(900, 40, 30, source_interactions=5, factors=6, noise=noise, rng=2)
        both = find_anchors(world.source.users, world.target.users)
        source, target = world.source_embeddings, world.target_embeddings
        return source[both.source], target[both.target], world.map

    def test_it_is_recovered_exactly_where_there_is_no_noise(self):
        source, target, known = self.anchors(noise=0.0)
        adapter = RidgeAdapter(1e-10, normalize=False).fit(source, target)
        near(adapter.coef_, known[1:], rtol=1e-6)
        near(adapter.intercept_ - adapter.source_mean_ @ adapter.coef_, known[0], rtol=1e-6)

    def test_it_is_recovered_up_to_noise_with_nothing_said(self):
        """The error of a slope is about noise / sqrt(n) = 0.5 / sqrt(720); five of those pass."""
        source, target, known = self.anchors(noise=0.5)
        adapter = RidgeAdapter().fit(source, target)
        assert adapter.normalize_ is False
        assert np.abs(adapter.coef_ - known[1:]).max() < 5 * 0.5 / np.sqrt(len(source))
        assert np.diag(adapter.residual_covariance_) == pytest.approx(0.25, rel=0.2)


class TestSettings:
    def test_what_is_open_is_spelled_out_for_held_out_people(self):
        settings = [option.get_params() for option in RidgeAdapter().candidates()]
        ridges = {setting["ridge"] for setting in settings}
        assert len(settings) == 2 * len(ridges)
        assert all(setting["normalize"] in (True, False) for setting in settings)

    def test_what_is_decided_stays_so(self):
        [only] = RidgeAdapter(0.2, normalize=True, pseudo_anchors=3.0).candidates()
        assert only.get_params() == {"ridge": 0.2, "normalize": True, "pseudo_anchors": 3.0}
        assert {option.ridge for option in RidgeAdapter(0.2).candidates()} == {0.2}

    def test_candidates_of_a_subclass_are_of_that_subclass(self):
        class Own(RidgeAdapter):
            pass

        assert {type(option) for option in Own().candidates()} == {Own}

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"ridge": 0.0}, 'ridge must be "gcv" or a positive number, got 0.0'),
            ({"ridge": -1.0}, 'ridge must be "gcv" or a positive number, got -1.0'),
            ({"ridge": np.nan}, 'ridge must be "gcv" or a positive number, got nan'),
            ({"ridge": "loo"}, "ridge must be \"gcv\" or a positive number, got 'loo'"),
            ({"normalize": "yes"}, "normalize must be True, False or \"auto\", got 'yes'"),
            ({"pseudo_anchors": -1.0}, "pseudo_anchors must not be negative, got -1.0"),
        ],
    )
    def test_others_are_refused_when_it_is_fitted(self, settings, message):
        adapter = RidgeAdapter(**settings)
        with pytest.raises(ValueError, match=re.escape(message)):
            adapter.fit(*draw())
