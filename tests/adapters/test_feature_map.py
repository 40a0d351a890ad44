"""FeatureMap against scikit-learn's Ridge, whichever of its three ways leads to the solution.

Factorised equations agree with it to 1e-8. Conjugate gradients leave 1e-8 of the right-hand side,
and with the condition of these problems (below 1e4) less than 1e-6 of the solution.
"""

import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.linear_model import Ridge

from coldstart.adapters import feature_map
from coldstart.adapters.feature_map import FeatureMap, rows_told

N, P, D = 60, 35, 3
WAYS = {"few features": (P, 1e-8), "few rows": (N + 1, 1e-8), "conjugate gradients": (0, 1e-6)}


def draw(n=N, p=P, seed=0):
    """Features of which a fifth is not zero, and two outputs that follow from them, one that does
    not.
    """
    rng = np.random.default_rng(seed)
    features = rng.uniform(0.5, 2, size=(n, p)) * (rng.random((n, p)) < 0.2)
    target = 2.0 + features @ rng.normal(size=(p, D)) * [1, 1, 0] + rng.normal(size=(n, D))
    return features, target, rng.uniform(0.2, 3, n)


def theirs(features, target, weight, ridge):
    """The same ridge of scikit-learn, whose unit is that of F'DF."""
    mean = np.average(features, axis=0, weights=weight)
    length = np.average(np.sum((features - mean) ** 2, axis=1), weights=weight)
    return Ridge(alpha=ridge * length, tol=1e-12).fit(features, target, sample_weight=weight)


@pytest.fixture(params=WAYS)
def way(request, monkeypatch):
    """One of the ways, and its tolerance."""
    limit, tolerance = WAYS[request.param]
    monkeypatch.setattr(feature_map, "DIRECT", limit)
    shape = (N, P) if request.param != "few rows" else (N, 2 * P)
    return shape, tolerance


@pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix])
@pytest.mark.parametrize("ridge", [0.1, 1.0, 30.0])
def test_it_is_the_ridge_of_scikit_learn(way, form, ridge):
    shape, tolerance = way
    features, target, weight = draw(*shape)
    ours = FeatureMap.of(form(features), target, weight, ridge=ridge)
    expected = theirs(features, target, weight, ridge)
    np.testing.assert_allclose(ours.coef, expected.coef_.T, rtol=0, atol=tolerance)
    new = draw(9, shape[1], seed=1)[0]
    np.testing.assert_allclose(ours.predict(form(new)), expected.predict(new), atol=10 * tolerance)


def test_single_precision_features_and_targets_are_fitted_in_double_precision(way):
    shape, tolerance = way
    singles = [array.astype(np.float32) for array in draw(*shape)[:2]]
    doubles = [array.astype(np.float64) for array in singles]
    ours = FeatureMap.of(*singles, np.ones(N), ridge=1.0)
    expected = FeatureMap.of(*doubles, np.ones(N), ridge=1.0)
    np.testing.assert_allclose(ours.coef, expected.coef, rtol=0, atol=tolerance)


def test_a_weight_counts_rows(way):
    shape, tolerance = way
    features, target, _ = draw(*shape)
    weight = np.ones(N)
    weight[3] = 2
    twice = [np.concatenate([array, array[3:4]]) for array in (features, target, np.ones(N))]
    ours = FeatureMap.of(features, target, weight, ridge=1.0)
    expected = FeatureMap.of(*twice, ridge=1.0)
    np.testing.assert_allclose(ours.coef, expected.coef, rtol=0, atol=tolerance)
    np.testing.assert_allclose(ours.intercept, expected.intercept, rtol=1e-12)


def test_the_ridge_follows_the_scale_of_the_features(way):
    shape, tolerance = way
    features, target, weight = draw(*shape)
    ours = FeatureMap.of(features, target, weight, ridge=1.0)
    larger = FeatureMap.of(100 * features, target, weight, ridge=1.0)
    np.testing.assert_allclose(100 * larger.coef, ours.coef, rtol=0, atol=tolerance)


def test_the_intercept_counts_rows_at_the_origin():
    features, target, weight = draw()
    origin = np.array([5.0, -5.0, 0.0])
    ours = FeatureMap.of(features, target, weight, ridge=1.0, origin=origin, pseudo_rows=64.0)
    mean, n = np.average(target, axis=0, weights=weight), weight.sum()
    np.testing.assert_allclose(ours.intercept, (64 * origin + n * mean) / (64 + n), rtol=1e-12)
    middle = np.average(features, axis=0, weights=weight)[None]
    np.testing.assert_allclose(ours.predict(middle)[0], ours.intercept, rtol=1e-12)


def test_a_feature_that_no_row_has_has_no_say(way):
    shape, _ = way
    features, target, weight = draw(*shape)
    features[:, 4] = 0
    ours = FeatureMap.of(sp.csr_matrix(features), target, weight, ridge=1.0)
    assert not ours.coef[4].any()


@pytest.mark.parametrize("value", [0.0, 2.0])
def test_features_that_are_all_alike_leave_the_mean(way, value):
    shape, _ = way
    _, target, weight = draw(*shape)
    ours = FeatureMap.of(np.full(shape, value), target, weight, ridge=1.0)
    mean = np.average(target, axis=0, weights=weight)
    np.testing.assert_allclose(ours.predict(np.full((2, shape[1]), value)), [mean, mean], rtol=1e-8)


def test_no_dense_copy_of_sparse_features_is_made():
    n, p, words = 20_000, 50_000, 10
    rng = np.random.default_rng(0)
    parts = np.ones(n * words, np.float32), rng.integers(p, size=n * words)
    features = sp.csr_matrix((*parts, np.arange(0, n * words + 1, words)), shape=(n, p))
    target = rng.normal(size=(n, D))
    tracemalloc.start()
    fitted = FeatureMap.of(features, target, np.ones(n), ridge=1.0)
    fitted.predict(features)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    vectors = 10 * 8 * (n + p) * D  # those of conjugate gradients
    copies = 4 * features.nnz * (8 + 4)
    assert peak < vectors + copies < 8 * n * p / 100


def test_rows_of_zeros_are_told_apart_even_where_zeros_are_stored():
    rows = sp.csr_matrix(np.array([[0, 2.0], [3.0, 0], [0, 0]]))
    rows.data[0] = 0
    assert rows_told(rows).tolist() == rows_told(rows.toarray()).tolist() == [False, True, False]
