"""RegressorAdapter against the regressors of scikit-learn that it wraps."""

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesRegressor, GradientBoostingRegressor
from sklearn.linear_model import LinearRegression, RidgeCV
from sklearn.neighbors import KNeighborsRegressor
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from coldstart.adapters import AnchorContext, RegressorAdapter, RidgeAdapter
from coldstart.adapters.base import folds_of
from coldstart.adapters.regressor import ALPHAS
from coldstart.adapters.spread import Spread

N, D_SOURCE, D = 80, 6, 4


def draw(n=N, seed=0, noise=0.3):
    rng = np.random.default_rng(seed)
    source = rng.normal(size=(n, D_SOURCE)) + 0.5
    weights = np.random.default_rng(9).normal(size=(D_SOURCE, D))
    return source, np.tanh(source @ weights) + noise * rng.normal(size=(n, D))


def near(actual, expected, rtol=1e-9):
    """The same numbers computed in two ways, in float64."""
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=rtol)


def unit(rows):
    """Root mean square of what rows are off their mean."""
    return np.sqrt(np.mean((rows - rows.mean(axis=0)) ** 2))


def trees():
    return ExtraTreesRegressor(10, min_samples_leaf=3)


class TestWrapping:
    def test_the_default_is_the_ridge_of_scikit_learn_with_the_null_mean_as_intercept(self):
        (source, target), new = draw(), draw(9, 1)[0]
        m0 = np.arange(4.0)
        adapter = RegressorAdapter().fit(source, target, context=AnchorContext(mean=m0))
        units = unit(source), unit(target)
        theirs = RidgeCV(ALPHAS).fit(source / units[0], target / units[1])
        b = (64 * m0 + N * target.mean(axis=0)) / (64 + N)
        prior = adapter.predict(new)
        near(prior.mean, b + units[1] * theirs.predict(new / units[0]) - target.mean(axis=0))
        near(prior.origin, b)

    def test_the_unit_of_either_side_does_not_matter(self):
        (source, target), new = draw(), draw(9, 1)[0]
        ours = RegressorAdapter().fit(source, target).predict(new)
        small = RegressorAdapter().fit(1e-4 * source, 1e3 * target).predict(1e-4 * new)
        near(small.mean, 1e3 * ours.mean, rtol=1e-6)

    def test_weights_reach_a_regressor_that_takes_them(self):
        (source, target), new = draw(), draw(9, 1)[0]
        weight = np.linspace(0.2, 3, N)
        adapter = RegressorAdapter(LinearRegression()).fit(source, target, weight=weight)
        theirs = LinearRegression().fit(source, target, sample_weight=weight)
        near(adapter.predict(new).mean, theirs.predict(new))

    @pytest.mark.parametrize("model", [KNeighborsRegressor(3), make_pipeline(LinearRegression())])
    def test_weights_meet_a_clear_error_where_it_takes_none(self, model):
        source, target = draw()
        name = type(model).__name__
        message = f"{name} takes no sample_weight: pass weights of 0 and 1 only"
        with pytest.raises(ValueError, match=message):
            RegressorAdapter(model).fit(source, target, weight=np.full(N, 2.0))
        weight = np.arange(N) % 3 > 0
        some = RegressorAdapter(model).fit(source, target, weight=weight).predict(source)
        fewer = RegressorAdapter(model).fit(source[weight], target[weight]).predict(source)
        assert np.array_equal(some.mean, fewer.mean)
        near(some.matrices(), fewer.matrices())

    def test_a_target_of_one_column_may_come_from_a_regressor_of_one(self):
        source, target = draw()
        adapter = RegressorAdapter(GradientBoostingRegressor(n_estimators=5))
        assert adapter.fit(source, target[:, :1]).predict(source).mean.shape == (N, 1)

    def test_the_regressor_itself_stays_as_it_was(self):
        regressor = trees()
        adapter = RegressorAdapter(regressor).fit(*draw())
        assert not hasattr(regressor, "estimators_")
        assert regressor.random_state is None
        assert adapter.get_params()["regressor"] is regressor

    @pytest.mark.parametrize("wrong", [RidgeCV, "ridge", StandardScaler()])
    def test_what_is_no_regressor_is_refused(self, wrong):
        with pytest.raises(TypeError, match=r"must be a regressor of scikit-learn, .* got"):
            RegressorAdapter(wrong).fit(*draw())


class TestRepeating:
    @pytest.mark.parametrize(
        "model", [trees(), make_pipeline(StandardScaler(), trees())], ids=["plain", "nested"]
    )
    def test_neither_chance_nor_the_order_of_the_anchors_changes_a_bit(self, model):
        source, target = draw()
        order = np.random.default_rng(1).permutation(N)
        ours = RegressorAdapter(model).fit(source, target).predict(source)
        again = RegressorAdapter(model).fit(source[order], target[order]).predict(source)
        assert np.array_equal(ours.mean, again.mean)
        near(ours.matrices(), again.matrices())
        other = RegressorAdapter(model, rng=1).fit(source, target).predict(source)
        assert not np.allclose(ours.mean, other.mean)

    def test_an_anchor_of_weight_two_is_two_even_for_trees(self):
        source, target = draw()
        weight = np.ones(N)
        weight[5] = 2
        twice = [np.concatenate([array, array[5:6]]) for array in (source, target)]
        ours = RegressorAdapter(trees()).fit(source, target, weight=weight).predict(source)
        near(RegressorAdapter(trees()).fit(*twice).predict(source).mean, ours.mean)


class TestNetwork:
    """EMCDR: one hidden layer of tanh units, from source to target embeddings."""

    def network(self):
        return MLPRegressor(
            hidden_layer_sizes=(2 * D_SOURCE,),
            activation="tanh",
            learning_rate_init=0.02,
            tol=1e-3,
            max_iter=1000,
        )

    def test_it_learns_a_bent_map_that_no_straight_one_can(self):
        source, target = draw(500, noise=0.05)
        new, truth = draw(300, 1, noise=0.0)
        errors = [
            np.mean((adapter.fit(source, target).predict(new).mean - truth) ** 2)
            for adapter in (RegressorAdapter(self.network()), RidgeAdapter())
        ]
        assert errors[0] < 0.3 * errors[1]

    def test_its_network_is_that_of_scikit_learn(self):
        (source, target), new = draw(), draw(9, 1)[0]
        order = np.lexsort(source.T[::-1])  # anchors sorted by their first column, then the next
        mean = target.mean(axis=0)
        theirs = self.network().set_params(random_state=0)
        units = unit(source), unit(target)
        theirs.fit(source[order] / units[0], (target[order] - mean) / units[1])
        ours = RegressorAdapter(self.network()).fit(source, target).predict(new)
        near(
            ours.mean, mean + units[1] * theirs.predict(new / units[0]), rtol=1e-4
        )  # rounding, grown in the descent


class TestUncertainty:
    def test_residuals_are_those_of_folds_that_the_regressor_has_not_seen(self):
        source, target = draw()
        folds = folds_of(source, target, np.ones(N), 5)
        residuals = np.empty((N, D))
        for fold in range(5):
            test = folds == fold
            model = LinearRegression().fit(source[~test], target[~test])
            residuals[test] = target[test] - model.predict(source[test])
        expected = Spread.of(residuals, np.ones(N), source, None)
        adapter = RegressorAdapter(LinearRegression()).fit(source, target)
        near(adapter.spread_.covariance, expected.covariance)

    @pytest.mark.parametrize("model", [None, KNeighborsRegressor(1), trees()])
    def test_errors_are_as_large_as_stated(self, model):
        """KNeighborsRegressor(1) has no residuals on its own anchors at all."""
        source, target = draw(2400)
        prior = RegressorAdapter(model).fit(source[:400], target[:400]).predict(source[400:])
        made = np.sum((target[400:] - prior.mean) ** 2, axis=1).mean()
        stated = np.linalg.inv(prior.matrices()).trace(axis1=1, axis2=2).mean()
        assert made == pytest.approx(stated, rel=0.15)
