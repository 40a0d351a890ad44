"""CanonicalAdapter against dense regressions, scikit-learn's canonical correlations and known maps.

Where nothing else is said, the two sides are the same numbers computed in two ways, in float64:
they agree to 1e-8.
"""

import re

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.linalg import sqrtm
from scipy.optimize import minimize_scalar
from sklearn.cross_decomposition import CCA

from coldstart.adapters import AnchorContext, CanonicalAdapter, RidgeAdapter, canonical
from coldstart.adapters.canonical import kept

N, D_SOURCE, D = 90, 6, 4


def near(actual, expected, rtol=1e-8):
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=rtol)


def draw(n=N, *, noise=1.0, seed=0, rank=2, widths=(D_SOURCE, D)):
    """A map of low rank, an intercept and noise."""
    rng, known = np.random.default_rng(seed), np.random.default_rng(9)
    d_source, d = widths
    source = rng.normal(size=(n, d_source)) * np.linspace(2, 0.5, d_source) + 1.0
    weights = known.normal(size=(d_source, rank)) @ known.normal(size=(rank, d))
    return source, 1.0 + source @ weights + noise * rng.normal(size=(n, d))


def plain(ridge=0.1, **settings):
    return CanonicalAdapter(ridge, **{"normalize": False, "components": 10**6, **settings})


class Dense:
    """The four steps as the docstring has them, on whole arrays and in all c directions."""

    def __init__(self, source, target, weight, *, ridge, axes, metric):
        n, self.mean = weight.sum(), np.average(source, axis=0, weights=weight)
        s = (source - self.mean) @ axes
        t = target - np.average(target, axis=0, weights=weight)
        scatter = s.T @ (weight[:, None] * s)
        a = scatter + ridge * np.trace(scatter) / len(scatter) * np.eye(len(scatter))
        w = np.linalg.solve(a, s.T @ (weight[:, None] * t))
        root = np.real(sqrtm(metric))
        explained = root @ w.T @ a @ w @ root  # V e^2 V'
        values, vectors = np.linalg.eigh(explained)
        v = vectors[:, ::-1]
        total = np.diag(v.T @ root @ t.T @ (weight[:, None] * t) @ root @ v)
        self.squared = values[::-1] / total
        f = np.trace(np.linalg.solve(a, scatter)) / n
        self.shares = kept(self.squared, f)
        shrink = root @ v @ np.diag(self.shares) @ v.T @ np.linalg.inv(root)
        self.slopes = axes @ w @ shrink


class TestEquations:
    @pytest.mark.parametrize("components", [2, D_SOURCE])
    @pytest.mark.parametrize("told", [False, True])
    def test_the_map_is_that_of_the_four_steps_written_out(self, components, told):
        source, target = draw()
        weight = np.linspace(0.3, 2, N)
        other = np.random.default_rng(4).normal(size=(30, D)) * [3, 1, 1, 0.3]
        known = np.cov(np.random.default_rng(5).normal(size=(D_SOURCE, 40)))
        context = AnchorContext(other_factors=other, source_covariance=known) if told else None
        adapter = plain(components=components)
        adapter.fit(source, target, weight=weight, context=context)
        spread = known if told else np.cov(source.T, aweights=weight)
        axes = np.linalg.eigh(spread)[1][:, -components:]
        metric = other.T @ other if told else np.eye(D)
        dense = Dense(source, target, weight, ridge=0.1, axes=axes, metric=metric)
        k = min(components, D)
        near(adapter.correlations_**2, dense.squared[:k])
        near(adapter.shrinkage_, dense.shares[:k])
        near(adapter.map_.coef, dense.slopes, rtol=1e-7)

    def test_where_every_correlation_is_high_it_is_the_ridge_map(self):
        source, target = draw(3000, noise=1e-6, rank=D)
        ours = plain(1e-9).fit(source, target)
        near(ours.shrinkage_, np.ones(D))
        near(ours.map_.coef, RidgeAdapter(1e-9, normalize=False).fit(source, target).coef_)

    def test_a_rank_is_the_best_approximation_of_that_rank_to_what_is_fitted(self):
        """Eckart and Young: with shares of 1 the fitted rows of rank r are the leading r of all."""
        source, target = draw(4000, noise=1e-5, rank=D)
        adapter = plain(1e-9, rank=2).fit(source, target)
        rows, truth = source - source.mean(axis=0), target - target.mean(axis=0)
        fitted = rows @ np.linalg.lstsq(rows, truth)[0]
        u, e, v = np.linalg.svd(fitted, full_matrices=False)
        near(rows @ adapter.map_.coef, (u[:, :2] * e[:2]) @ v[:2], rtol=1e-5)
        assert adapter.rank_ == 2

    def test_whitened_it_has_the_canonical_correlations_of_scikit_learn(self):
        """The target's covariance is shrunk by a share of one in a thousand."""
        source, target = draw(4000)
        context = AnchorContext(covariance=np.cov(target.T))
        adapter = plain(1e-9, whiten=True).fit(source, target, context=context)
        theirs = CCA(n_components=3, scale=True, max_iter=5000, tol=1e-12).fit(source, target)
        pairs = zip(*(part.T for part in theirs.transform(source, target)), strict=True)
        expected = [np.corrcoef(x, y)[0, 1] for x, y in pairs]
        np.testing.assert_allclose(adapter.correlations_[:3], expected, rtol=0, atol=0.01)


class TestShrinking:
    @pytest.mark.parametrize("squared", [0.05, 0.3, 0.9])
    @pytest.mark.parametrize("f", [0.02, 0.2])
    def test_the_share_has_the_least_generalised_cross_validation_error(self, squared, f):
        """Of one direction: what is left of 1 over the squared share of freedom that is left."""

        def error(g):
            return ((1 - g) ** 2 * squared + 1 - squared) / (1 - g * f) ** 2

        least = minimize_scalar(error, bounds=(0, 1), method="bounded", options={"xatol": 1e-12})
        near(kept(np.array([squared]), f), max(least.x, 0.0), rtol=1e-5)

    def test_a_correlation_below_the_noise_is_dropped(self):
        assert kept(np.array([0.3, 0.2, 0.1, 0.0]), 0.2)[1:].tolist() == [0, 0, 0]
        assert kept(np.array([1.0]), 0.2).tolist() == [1]

    def test_directions_without_a_signal_are_told_by_many_anchors(self):
        source, target = draw(3000, rank=2)
        shares = plain("gcv").fit(source, target).shrinkage_
        assert shares[:2].min() > 0.99
        assert shares[2:].max() < 0.7

    def test_where_source_and_target_have_nothing_in_common_little_is_left(self):
        rng = np.random.default_rng(0)
        source, target = rng.normal(size=(60, 20)), rng.normal(size=(60, 10))
        ours, theirs = plain(0.1).fit(source, target), RidgeAdapter(0.1, normalize=False)
        slopes = theirs.fit(source, target).coef_
        assert np.linalg.norm(ours.map_.coef) < 0.5 * np.linalg.norm(slopes)


class TestFewAnchors:
    @pytest.mark.parametrize(("n", "components"), [(4, 1), (30, 3), (400, 10), (2000, 20)])
    def test_components_follow_the_number_of_anchors(self, n, components):
        source, target = draw(n, widths=(20, 5))
        assert CanonicalAdapter().fit(source, target).components_ == components

    def test_they_are_weighed_like_anchors(self):
        source, target = draw(100, widths=(20, 5))
        weight = np.full(100, 4.0)
        assert CanonicalAdapter().fit(source, target, weight=weight).components_ == 10

    def gains(self, n):
        """Share of the error of the mean that maps remove on new rows, over 10 draws.

        A few directions carry most of the variance of the source and all that the target shares.
        """
        ours, anchors_alone, theirs = [], [], []
        for seed in range(10):
            rng, known = np.random.default_rng(seed), np.random.default_rng(1)
            turn = np.linalg.qr(known.normal(size=(40, 40)))[0]
            source = (rng.normal(size=(n + 400, 40)) * np.geomspace(3, 0.7, 40)) @ turn
            target = source @ turn.T[:, :3] @ known.normal(size=(3, 20))
            target = target + 8 * rng.normal(size=target.shape)
            context = AnchorContext(mean=np.zeros(20), source_covariance=np.cov(source.T))
            none = AnchorContext(mean=np.zeros(20))
            for found, adapter, told in (
                (ours, CanonicalAdapter(normalize=False), context),
                (anchors_alone, CanonicalAdapter(normalize=False), none),
                (theirs, RidgeAdapter(normalize=False), context),
            ):
                prior = adapter.fit(source[:n], target[:n], context=told).predict(source[n:])
                left = np.sum((target[n:] - prior.mean) ** 2)
                found.append(1 - left / np.sum(target[n:] ** 2))
        return np.mean(ours), np.mean(anchors_alone), np.mean(theirs)

    def test_the_directions_of_all_source_rows_beat_those_of_the_anchors_and_a_plain_ridge(self):
        ours, anchors_alone, theirs = self.gains(30)
        assert ours > anchors_alone + 0.01
        assert ours > theirs + 0.02
        assert ours > 0

    def test_with_many_anchors_nothing_is_lost(self):
        ours, _, theirs = self.gains(3000)
        assert ours > theirs - 0.005


class TestUncertainty:
    @pytest.mark.parametrize(("n", "worlds"), [(30, 50), (300, 10), (3000, 2)])
    def test_ellipsoids_hold_the_people_they_say(self, n, worlds):
        """5000 people in all, counted to 0.007; within 0.03. All directions are read here: what is
        left of a map beyond them is no sphere, and 30 anchors do not show its shape.
        """
        inside = []
        for seed in range(worlds):
            source, target = draw(n + 5000 // worlds, noise=3.0, seed=seed, widths=(3, D))
            prior = CanonicalAdapter(normalize=False).fit(source[:n], target[:n])
            prior = prior.predict(source[n:])
            away = target[n:] - prior.mean
            distance = np.einsum("ni,nij,nj->n", away, prior.matrices(), away)
            inside.append(distance[:, None] <= [3.357, 5.989, 9.488])  # chi-squared, four
        shares = np.concatenate(inside).mean(axis=0)
        np.testing.assert_allclose(shares, [0.5, 0.8, 0.95], rtol=0, atol=0.03)

    def test_of_many_anchors_some_are_checked_and_all_are_fitted(self, monkeypatch):
        source, target = draw(500)
        rows = sp.random(500, 30, density=0.2, format="csr", random_state=1)
        told, some = (AnchorContext(source_rows=part) for part in (rows, rows[::5]))
        every = plain().fit(source, target, context=told)
        monkeypatch.setattr(canonical, "CHECKED", 100)
        adapter = plain().fit(source, target, context=told)
        fifth = plain().fit(source[::5], target[::5], context=some)
        assert np.array_equal(adapter.map_.coef, every.map_.coef)
        assert np.array_equal(adapter.spread_.covariance, fifth.spread_.covariance)

    def test_a_turned_target_gets_the_turned_prior(self):
        source, target = draw()
        turn = np.linalg.qr(np.random.default_rng(2).normal(size=(D, D)))[0]
        ours = CanonicalAdapter().fit(source, target).predict(source)
        turned = CanonicalAdapter().fit(source, target @ turn).predict(source)
        near(turned.mean, ours.mean @ turn)
        near(turned.matrices(), turn.T @ ours.matrices() @ turn, rtol=1e-7)


class TestIntercept:
    def test_it_lies_between_the_mean_of_all_rows_and_that_of_the_anchors(self):
        source, target = draw()
        context = AnchorContext(mean=np.array([5.0, -5.0, 0.0, 2.0]))
        adapter = CanonicalAdapter().fit(source, target, context=context)
        expected = (64 * context.mean + N * target.mean(axis=0)) / (64 + N)
        near(adapter.map_.intercept, expected)
        near(adapter.predict(source).centre(0.0).mean, np.tile(expected, (N, 1)))


class TestSettings:
    def test_what_is_open_is_spelled_out_for_held_out_people(self):
        options = CanonicalAdapter(rank=3).candidates()
        assert len(options) == 6
        assert {option.rank for option in options} == {3}
        assert {option.normalize for option in options} == {True, False}

    def test_what_is_decided_stays_so(self):
        [only] = CanonicalAdapter(0.4, normalize=False, components=7).candidates()
        assert (only.ridge, only.normalize, only.components) == (0.4, False, 7)

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"ridge": -1.0}, 'ridge must be "gcv" or a positive number, got -1.0'),
            ({"components": 0}, 'components must be "auto" or an integer from 1 on, got 0'),
            ({"components": 2.5}, 'components must be "auto" or an integer from 1 on, got 2.5'),
            ({"rank": "all"}, "rank must be \"auto\" or an integer from 1 on, got 'all'"),
            ({"normalize": "yes"}, "normalize must be True, False or \"auto\", got 'yes'"),
            ({"pseudo_anchors": -1.0}, "pseudo_anchors must not be negative, got -1.0"),
        ],
    )
    def test_others_are_refused_when_it_is_fitted(self, settings, message):
        with pytest.raises(ValueError, match=re.escape(message)):
            CanonicalAdapter(**settings).fit(*draw())
