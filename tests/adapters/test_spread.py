"""The covariance of residuals against densities of SciPy, known draws and brute force.

Where nothing else is said, the two sides are the same numbers computed in two ways, in float64:
they agree to 1e-8.
"""

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.stats import invwishart, multivariate_normal

from coldstart.adapters import AnchorContext
from coldstart.adapters.base import sphere
from coldstart.adapters.spread import (
    WORTH,
    Spread,
    activity,
    evenly,
    out_of_fold,
    shapes,
    shrunk,
)

N, D, D_SOURCE = 50, 3, 5


def near(actual, expected, rtol=1e-8):
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=rtol)


def draw(n=N, d=D, seed=0, sizes=1.0):
    return np.random.default_rng(seed).normal(size=(n, d)) * sizes


def log_evidence(residuals, worth, shape):
    """log p(r) = log p(r | Psi) + log p(Psi) - log p(Psi | r), which holds at any Psi."""
    n, d = residuals.shape
    scatter, psi = residuals.T @ residuals, np.eye(d) + 0.3
    likelihood = multivariate_normal(np.zeros(d), psi).logpdf(residuals).sum()
    before = invwishart(worth + d + 1, worth * shape).logpdf(psi)
    after = invwishart(worth + d + 1 + n, worth * shape + scatter).logpdf(psi)
    return likelihood + before - after


class TestShrinking:
    @pytest.mark.parametrize("sizes", [1.0, [3.0, 1.0, 0.2]])
    def test_worth_and_shape_have_the_largest_evidence(self, sizes):
        residuals = draw(20, sizes=sizes)
        tilted = 0.5 * np.eye(D) + 0.4
        options = [(k, shape) for shape in (np.eye(D), tilted) for k in WORTH]
        values = [log_evidence(residuals, *option) for option in options]
        worth, shape = options[int(np.argmax(values))]
        scatter = residuals.T @ residuals
        covariance, found = shrunk(scatter, len(residuals), [np.eye(D), tilted])
        assert found == worth
        near(covariance, (worth * shape + scatter) / (worth + len(residuals)))

    def test_the_covariance_is_the_mean_of_the_inverse_wishart_posterior(self):
        residuals = draw(20, sizes=[3.0, 1.0, 0.2])
        scatter = residuals.T @ residuals
        covariance, worth = shrunk(scatter, 20, [2 * np.eye(D)])
        near(covariance, invwishart(worth + D + 1 + 20, worth * 2 * np.eye(D) + scatter).mean())

    def test_a_sphere_is_told_from_residuals_that_are_one(self):
        residuals = draw(40, 30)
        assert shrunk(residuals.T @ residuals, 40, [np.eye(30)])[1] > 5 * 40

    def test_many_anchors_keep_the_shape_they_show(self):
        sizes = np.array([3.0, 1.0, 0.2])
        residuals = draw(5000, sizes=sizes)
        covariance, worth = shrunk(residuals.T @ residuals, 5000, [np.eye(D)])
        assert worth < 20
        near(covariance, np.diag(sizes**2), rtol=0.2)  # a variance is known to 2%, 10 of those

    @pytest.mark.parametrize("n", [10, 60])
    def test_of_two_shapes_the_one_that_drew_the_residuals_is_taken(self, n):
        sizes = np.geomspace(3, 0.3, 12)
        shape = np.diag(sizes**2)
        ball = sphere(shape)
        residuals = draw(n, 12, sizes=sizes)
        scatter = residuals.T @ residuals
        both = shrunk(scatter, n, [ball, shape])
        assert np.array_equal(both[0], shrunk(scatter, n, [shape])[0])
        ours = [both[1] * part + scatter for part in (ball, shape)]
        assert np.allclose(both[0] * (both[1] + n), ours[1])

    def test_a_turned_scatter_gives_the_turned_covariance(self):
        residuals = draw(8, sizes=[3.0, 1.0, 0.2])
        turn = np.linalg.qr(draw(D, seed=4))[0]
        ours = shrunk(residuals.T @ residuals, 8, [np.eye(D)])
        turned = shrunk(turn.T @ residuals.T @ residuals @ turn, 8, [np.eye(D)])
        assert ours[1] == turned[1]
        near(turned[0], turn.T @ ours[0] @ turn)


class TestShapes:
    def test_without_a_covariance_of_all_rows_there_is_a_sphere(self):
        for context in (None, AnchorContext(), AnchorContext(covariance=np.zeros((D, D)))):
            [ball] = shapes(0.3, D, context)
            assert np.array_equal(ball, 0.3 * np.eye(D))

    def test_that_of_all_rows_has_the_variance_asked_for_and_an_inverse(self):
        context = AnchorContext(covariance=np.diag([8.0, 1.0, 0.0]))
        _, shape = shapes(0.3, D, context)
        assert np.trace(shape) == pytest.approx(0.9)
        near(shape, 0.99 * 0.1 * np.diag([8.0, 1.0, 0.0]) + 0.01 * 0.3 * np.eye(D))


class TestActivity:
    def test_it_counts_interactions_and_is_one_at_least(self):
        rows = sp.csr_matrix(np.array([[1, 0, 2], [0, 0, 0], [0, 3, 0]]))
        context = AnchorContext(source_rows=rows)
        assert activity(np.ones((3, 2)), context).tolist() == [2, 1, 1]

    def test_without_them_it_is_one_and_the_squared_length(self):
        assert activity(np.array([[3.0, 4.0], [0.0, 0.0]]), None).tolist() == [26, 1]

    def test_residuals_that_grow_with_it_are_found_to(self):
        """A slope of 0.7 from 4000 anchors is known to 0.03; five of those pass."""
        rng = np.random.default_rng(0)
        source = rng.normal(size=(4000, D_SOURCE)) * rng.lognormal(1, 1, (4000, 1))
        grown = activity(source, None) ** 0.35
        spread = Spread.of(grown[:, None] * rng.normal(size=(4000, D)), np.ones(4000), source, None)
        assert spread.slope == pytest.approx(0.7, abs=0.15)
        scale = spread.scale(source, None)
        assert np.corrcoef(np.log(scale), np.log(grown))[0, 1] > 0.95

    def test_where_all_rows_are_as_active_it_changes_nothing(self):
        source = np.ones((N, 2))
        spread = Spread.of(draw(), np.ones(N), source, None)
        assert spread.slope == 0
        assert np.array_equal(spread.scale(source, None), np.ones(N))

    def test_beyond_the_anchors_it_is_that_of_the_nearest(self):
        spread = Spread(np.eye(2), slope=5.0, level=1.0, reach=(-0.5, 2.0))
        scale = spread.scale(np.array([[1e6, 0.0], [0.0, 0.0]]), None)
        near(scale, np.exp([5.0 * 2.0, 5.0 * -0.5]))

    def test_it_holds_for_the_most_and_the_least_active(self):
        """Means of 300 chi2(8) have an error of 0.23, the slope adds as much again."""
        rng = np.random.default_rng(0)
        source = rng.normal(size=(3000, 4)) * rng.lognormal(0, 1.5, (3000, 1))
        active = activity(source, None)
        off = rng.normal(size=(3000, 8)) * np.sqrt(active)[:, None]
        spread = Spread.of(off, np.ones(3000), source, None)
        size = np.einsum("ij,jk,ik->i", off, np.linalg.inv(spread.covariance), off)
        size /= spread.scale(source, None)
        order = np.argsort(active)
        assert abs(size[order[:300]].mean() - 8) < 1.2
        assert abs(size[order[-300:]].mean() - 8) < 1.2


class TestPrior:
    def test_covariances_are_the_scale_times_the_leverage_times_the_covariance(self):
        source, covariance = draw(6, 2), np.eye(D) + 0.2
        spread = Spread(covariance, slope=0.4, level=0.1)
        leverage = np.linspace(0, 1, 6)
        prior = spread.prior(draw(6), source, None, origin=np.zeros(D), leverage=leverage)
        size = spread.scale(source, None) * (1 + leverage)
        near(np.linalg.inv(prior.matrices()), size[:, None, None] * covariance)

    def test_the_noise_of_the_target_rows_is_added(self):
        noise = 0.1 * np.eye(D) + 0.05
        told = Spread.of(
            draw(), np.ones(N), np.ones((N, 1)), AnchorContext(target_covariance=noise)
        )
        plain = Spread.of(draw(), np.ones(N), np.ones((N, 1)), None)
        near(told.covariance, plain.covariance + noise)

    @pytest.mark.parametrize("n", [2, 5, 40])
    def test_few_residuals_or_none_at_all_leave_a_proper_covariance(self, n):
        for residuals in (draw(n, 30), np.zeros((n, 30))):
            spread = Spread.of(residuals, np.ones(n), draw(n, 4), None)
            assert np.linalg.eigvalsh(spread.covariance).min() > 0


class TestOutOfFold:
    def anchors(self):
        return draw(N, D_SOURCE), draw(N, D, seed=1), np.ones(N)

    def test_no_map_has_seen_the_row_it_predicts(self):
        source, target, weight = self.anchors()
        seen = []

        def predict(train, test):
            seen.append((train, test))
            return np.tile(target[train].mean(axis=0), (test.sum(), 1))

        residuals = out_of_fold(source, target, weight, predict)
        assert len(seen) == 5
        assert np.array_equal(np.sum([test for _, test in seen], axis=0), np.ones(N))
        for train, test in seen:
            assert not (train & test).any()
            near(residuals[test], target[test] - target[train].mean(axis=0))

    def test_equal_anchors_are_left_out_together(self):
        source, target, weight = (np.concatenate([part, part]) for part in self.anchors())
        tests = []
        out_of_fold(source, target, weight, lambda train, test: tests.append(test) or 0.0)
        for test in tests:
            assert np.array_equal(test[:N], test[N:])

    def test_anchors_without_weight_have_no_residual_and_are_in_no_map(self):
        source, target, weight = self.anchors()
        weight[:6] = 0
        trains = []
        residuals = out_of_fold(source, target, weight, lambda a, b: trains.append(a) or 0.0)
        assert not residuals[:6].any()
        assert not np.any([train[:6] for train in trains])

    @pytest.mark.parametrize("n", [2, 3])
    def test_so_few_that_folds_would_be_empty_are_measured_from_their_mean(self, n):
        source, target, weight = (part[:n] for part in self.anchors())
        weight = weight * 2
        residuals = out_of_fold(source, target, weight, lambda train, test: 1 / 0)
        near(residuals, target - target.mean(axis=0))


class TestSomeOfManyAnchors:
    @pytest.mark.parametrize(
        ("n", "most", "taken"), [(9, 10, 9), (10, 10, 10), (11, 10, 6), (95, 10, 10)]
    )
    def test_they_are_evenly_spaced_and_not_more_than_asked_for(self, n, most, taken):
        assert len(np.arange(n)[evenly(np.ones(n), most)]) == taken

    def test_all_are_taken_where_those_would_count_for_nothing(self):
        weight = np.ones(20)
        weight[::2] = 0
        assert evenly(weight, 10) == slice(None)
