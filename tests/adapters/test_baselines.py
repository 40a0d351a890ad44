"""MeanAdapter is the Gaussian of all target rows, wherever it learns of them."""

import numpy as np
import pytest
from scipy.stats import chi2

from coldstart.adapters import AnchorContext, MeanAdapter
from coldstart.adapters.spread import shrunk

N, D_SOURCE, D = 30, 5, 3


@pytest.fixture
def source():
    return np.random.default_rng(0).normal(size=(N, D_SOURCE))


@pytest.fixture
def target():
    rng = np.random.default_rng(1)
    return rng.normal(size=(N, D)) @ rng.normal(size=(D, D)) + rng.normal(size=D)


def test_everybody_gets_the_mean_of_the_target_rows(source, target):
    prior = MeanAdapter().fit(source, target).predict(source[:7])
    np.testing.assert_allclose(prior.mean, np.tile(target.mean(axis=0), (7, 1)), rtol=1e-12)


def around_their_mean(own, count):
    """Covariance of another row, from the biased one of `count` rows."""
    scatter, free = count * own, count - 1
    ball = np.trace(scatter) / free / D * np.eye(D)
    return (1 + 1 / count) * shrunk(scatter, free, [ball])[0]


def test_the_covariance_is_that_of_another_row(source, target):
    adapter = MeanAdapter().fit(source, target)
    expected = around_their_mean(np.cov(target.T, bias=True), N)
    np.testing.assert_allclose(adapter.covariance_, expected, rtol=1e-12)
    precision = adapter.predict(source[:1]).matrices()[0]
    np.testing.assert_allclose(np.linalg.inv(precision), expected, rtol=1e-10)


def test_weights_move_mean_and_covariance(source, target):
    weight = np.linspace(0.2, 3, N)
    adapter = MeanAdapter().fit(source, target, weight=weight)
    mean = np.average(target, axis=0, weights=weight)
    own = np.cov(target.T, bias=True, aweights=weight)
    count = weight.sum()
    np.testing.assert_allclose(adapter.mean_, mean, rtol=1e-12)
    np.testing.assert_allclose(adapter.covariance_, around_their_mean(own, count), rtol=1e-12)


def test_moments_of_all_rows_come_before_those_of_the_anchors(source, target):
    context = AnchorContext(mean=np.arange(3.0), covariance=np.diag([1.0, 2.0, 6.0]))
    adapter = MeanAdapter().fit(source, target, context=context)
    assert np.array_equal(adapter.mean_, np.arange(3.0))
    expected = (N * np.diag([1.0, 2.0, 6.0]) + 3 * np.eye(3)) / (N + 1)
    np.testing.assert_allclose(adapter.covariance_, expected, rtol=1e-12)


def test_the_source_says_nothing(source, target):
    adapter = MeanAdapter().fit(source, target)
    ours, strangers = adapter.predict(source), adapter.predict(100 + source)
    assert np.array_equal(ours.mean, strangers.mean)
    assert np.array_equal(ours.matrices(), strangers.matrices())


def test_there_is_nothing_to_centre(source, target):
    prior = MeanAdapter().fit(source, target).predict(source[:4])
    assert np.array_equal(prior.centre(0.0).mean, prior.mean)


def test_around_a_single_row_lies_a_sphere(source, target):
    """Its own distance to the mean, and as much for what the mean itself may be off."""
    adapter = MeanAdapter().fit(source[:1], target[:1])
    np.testing.assert_allclose(adapter.covariance_, 2 * np.eye(D), rtol=1e-12)


@pytest.mark.parametrize("width", [20, 64])
@pytest.mark.parametrize("count", [30, 300, 3000])
def test_other_rows_lie_in_its_ellipsoids_as_often_as_stated(width, count):
    rng = np.random.default_rng(count)
    covered = []
    for _ in range(10):
        rows, others = rng.normal(3.0, 2.0, (count, width)), rng.normal(3.0, 2.0, (5000, width))
        prior = MeanAdapter().fit(np.zeros((count, 1)), rows).predict(np.zeros((1, 1)))
        away = others - prior.mean
        distance = np.einsum("ij,jk,ik->i", away, prior.matrices()[0], away)
        covered.append([np.mean(distance < chi2.ppf(p, width)) for p in (0.5, 0.8, 0.95)])
    np.testing.assert_allclose(np.mean(covered, axis=0), [0.5, 0.8, 0.95], atol=0.03)


def test_without_rows_and_without_a_mean_it_says_what_it_needs():
    message = "MeanAdapter needs target rows, or a context with the mean of all target rows"
    with pytest.raises(ValueError, match=message):
        MeanAdapter().fit(np.empty((0, D_SOURCE)), np.empty((0, D)))


def test_around_a_known_mean_rows_spread_as_widely_as_they_do():
    context = AnchorContext(mean=np.zeros(D))
    rng = np.random.default_rng(0)
    for count in (1, 2, 10):
        sizes = [
            np.trace(
                MeanAdapter()
                .fit(np.zeros((count, 1)), rng.normal(0.0, 2.0, (count, D)), context=context)
                .covariance_
            )
            / D
            for _ in range(400)
        ]
        assert 3.6 < np.mean(sizes) < 4.4  # of 4, with a standard error of 0.2 at most


def test_weights_of_hardly_more_than_one_row_are_no_division_by_nearly_nothing(target):
    size = {
        total: np.trace(
            MeanAdapter().fit(np.zeros((N, 1)), target, weight=np.full(N, total / N)).covariance_
        )
        for total in (0.9, 1.0001, 1.1)
    }
    assert max(size.values()) < 1.5 * min(size.values())
