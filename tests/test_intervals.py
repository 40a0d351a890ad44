"""Intervals: the bootstrap as the oracle of the closed forms, coverage, what is undefined."""

import numpy as np
import pytest
from scipy.stats import bootstrap, ttest_1samp

from coldstart import intervals
from coldstart.intervals import MOST_RESAMPLED, interval, ratio_of_means, studentised_interval
from coldstart.statistics import bootstrap_interval


@pytest.fixture
def rng():
    return np.random.default_rng(6)


def metric_values(rng, n_people, n_columns=1, share=0.05):
    """Zero for most people, skewed for the others, as a ranking metric is."""
    hit = rng.random((n_people, n_columns)) < share
    return rng.beta(2, 3, size=(n_people, n_columns)) * hit


def both_arms(rng, n_people, n_columns=1, share=0.05):
    """Values of two arms that share their hits: 70% of those of the second, and as many more."""
    below = metric_values(rng, n_people, n_columns, share)
    kept = below * (rng.random(below.shape) < 0.7)
    return kept + metric_values(rng, n_people, n_columns, share), below


# --- interval and studentised_interval


def test_up_to_5_000_people_are_resampled_and_more_are_not(rng):
    values = metric_values(rng, MOST_RESAMPLED + 1)
    few = values[:-1]
    np.testing.assert_array_equal(
        interval(few, resamples=50, rng=1), bootstrap_interval(few, resamples=50, rng=1)
    )
    np.testing.assert_array_equal(interval(values), studentised_interval(values))


def test_without_skewness_it_is_that_of_student(rng):
    half = rng.normal(size=(20, 3))
    values = 0.3 + np.vstack([half, -half])
    low, high = studentised_interval(values, confidence=0.9)
    expected = ttest_1samp(values, 0).confidence_interval(0.9)
    np.testing.assert_allclose((low, high), (expected.low, expected.high), rtol=1e-9)


def test_at_5_000_people_it_agrees_with_the_bootstrap(rng):
    values = np.hstack([metric_values(rng, 5000, 2, share) for share in (0.4, 0.05, 0.01)])
    values[:, 1::2] -= metric_values(rng, 5000, 3)  # some are differences
    found = np.array(studentised_interval(values))
    expected = np.array(bootstrap_interval(values, resamples=10_000, rng=1))
    error = values.std(axis=0) / np.sqrt(5000)
    # quantiles of 10,000 resamples scatter by 0.027 standard errors; the skewness moves the
    # limits by up to 0.17 at a share of 0.01
    assert (np.abs(found - expected) < 0.1 * error).all()
    plain = values.mean(axis=0) + np.outer([-1.96, 1.96], error)
    assert (np.abs(plain - expected)[:, 4] > 0.13 * error[4]).all()


def test_it_covers_a_skewed_mean_and_misses_it_on_both_sides_alike(rng):
    samples, n_people, mean = 4000, 600, 0.05 * 0.4
    low, high = studentised_interval(metric_values(rng, n_people, samples))
    # 4 binomial standard errors of 4000 samples, 0.014 and 0.01; Student's: 0.05 and 0.01
    assert ((low <= mean) & (mean <= high)).mean() == pytest.approx(0.95, abs=0.014)
    assert (high < mean).mean() == pytest.approx(0.025, abs=0.01)
    assert (low > mean).mean() == pytest.approx(0.025, abs=0.01)


def test_it_moves_scales_and_turns_with_the_values_and_holds_their_mean(rng):
    values = metric_values(rng, 400, 3)
    values[:, 2] = 0.0
    values[7, 2] = 1.0  # as skewed as can be
    low, high = studentised_interval(values)
    assert (low < values.mean(axis=0)).all()
    assert (values.mean(axis=0) < high).all()
    moved = studentised_interval(7 - 3 * values)
    np.testing.assert_allclose(moved, (7 - 3 * high, 7 - 3 * low), rtol=1e-9)


def test_constants_and_what_is_not_finite_are_treated_as_by_the_bootstrap(rng):
    values = metric_values(rng, 300, 5, share=0.5)
    values[:, 1], values[3, 2], values[4, 3] = 0.1, np.nan, np.inf
    values[:, 4] = 0.0
    found = np.array(studentised_interval(values))
    expected = np.array(bootstrap_interval(values, rng=0))
    np.testing.assert_allclose(found[:, 1:], expected[:, 1:], rtol=1e-12)
    assert found[0, 0] < found[1, 0]
    for n_people in (0, 1):
        assert np.isnan(studentised_interval(values[:n_people])).all()


# --- ratio_of_means


def test_ratio_of_few_people_has_the_limits_of_scipy(rng):
    above, below = both_arms(rng, 80, share=0.4)
    ratio, low, high = ratio_of_means(above, below, resamples=20_000, rng=0)
    assert ratio[0] == pytest.approx(above.mean() / below.mean(), rel=1e-12)
    expected = bootstrap(
        (above[:, 0], below[:, 0]),
        lambda a, b, axis: a.mean(axis=axis) / b.mean(axis=axis),
        paired=True,
        vectorized=True,
        n_resamples=20_000,
        rng=1,
    ).confidence_interval
    width = expected.high - expected.low
    # quantiles of 20,000 resamples scatter by 0.005 widths, bias and tails double it
    assert low[0] == pytest.approx(expected.low, abs=0.05 * width)
    assert high[0] == pytest.approx(expected.high, abs=0.05 * width)


def test_ratio_of_5_000_people_is_the_same_resampled_or_in_closed_form(rng, monkeypatch):
    above, below = (
        np.hstack(columns)
        for columns in zip(*(both_arms(rng, 5000, 2, share) for share in (0.2, 0.02)), strict=True)
    )
    _, *resampled = ratio_of_means(above, below, resamples=10_000, rng=0)
    monkeypatch.setattr(intervals, "MOST_RESAMPLED", 4999)
    ratio, *closed = ratio_of_means(above, below)
    width = closed[1] - closed[0]
    # as above: quantiles of 10,000 resamples scatter by 0.007 widths
    assert (np.abs(np.subtract(resampled, closed)) < 0.05 * width).all()
    for limit in closed:
        edges = studentised_interval(above - limit * below)
        assert np.abs(edges).min(axis=0) == pytest.approx(0, abs=1e-9)
    assert ((closed[0] < ratio) & (ratio < closed[1])).all()


@pytest.mark.parametrize("most", [0, 5000], ids=["closed form", "resampled"])
def test_ratio_covers_the_true_one(rng, monkeypatch, most):
    monkeypatch.setattr(intervals, "MOST_RESAMPLED", most)
    samples = 1000
    above, below = both_arms(rng, 300, samples, share=0.2)
    _, low, high = ratio_of_means(above, below, resamples=500, rng=0)
    true = 0.7 + 1.0
    # 4 binomial standard errors of 1000 samples, 0.028 and 0.02
    assert ((low <= true) & (true <= high)).mean() == pytest.approx(0.95, abs=0.028)
    assert (high < true).mean() == pytest.approx(0.025, abs=0.02)
    assert (low > true).mean() == pytest.approx(0.025, abs=0.02)


@pytest.mark.parametrize("most", [0, 5000], ids=["closed form", "resampled"])
def test_ratio_is_undefined_where_the_mean_below_may_be_zero(rng, monkeypatch, most):
    monkeypatch.setattr(intervals, "MOST_RESAMPLED", most)
    below = np.column_stack([rng.normal(0.01, 1.0, size=60), np.zeros(60), np.full(60, 2.0)])
    ratio, low, high = ratio_of_means(np.ones((60, 3)), below, rng=0)
    np.testing.assert_allclose(ratio, [1 / below[:, 0].mean(), np.nan, 0.5], rtol=1e-12)
    np.testing.assert_allclose(low, [np.nan, np.nan, 0.5], rtol=1e-12)
    np.testing.assert_allclose(high, [np.nan, np.nan, 0.5], rtol=1e-12)


def test_ratio_has_limits_where_some_resamples_have_nothing_below(rng):
    """Three of six people have anything: 1 in 64 resamples has none of them, of any ratio."""
    above = np.array([2.0, 1.0, 3.0, 0.0, 0.0, 0.0])[:, None]
    below = np.array([1.0, 1.0, 1.0, 0.0, 0.0, 0.0])[:, None]
    ratio, low, high = ratio_of_means(above, below, rng=rng)
    assert ratio[0] == pytest.approx(2.0, rel=1e-12)
    assert 1.0 <= low[0] < 2.0 < high[0]


@pytest.mark.parametrize("most", [0, 5000], ids=["closed form", "resampled"])
def test_ratio_of_identical_arms_is_one_and_knows_no_signs_nor_units(rng, monkeypatch, most):
    monkeypatch.setattr(intervals, "MOST_RESAMPLED", most)
    above, below = both_arms(rng, 90, 2, share=0.5)
    np.testing.assert_allclose(ratio_of_means(below, below, rng=0), 1.0, rtol=1e-9)
    expected = ratio_of_means(above, below, rng=0)
    np.testing.assert_allclose(ratio_of_means(-above, -below, rng=0), expected, rtol=1e-9)
    scaled = ratio_of_means(above, 10 * below, rng=0)
    np.testing.assert_allclose(scaled, np.array(expected) / 10, rtol=1e-9)


def test_ratio_of_what_is_not_finite_is_nan_and_leaves_the_others_alone(rng):
    above, below = both_arms(rng, 90, 3, share=0.5)
    expected = np.array(ratio_of_means(above[:, [2]], below[:, [2]], rng=0))
    above[3, 0], below[4, 1] = np.inf, np.nan
    found = np.array(ratio_of_means(above, below, rng=0))
    assert np.isnan(found[:, :2]).all()
    np.testing.assert_allclose(found[:, [2]], expected, rtol=1e-12)
    assert np.isnan(ratio_of_means(above[:0], below[:0])).all()
    assert np.isnan(ratio_of_means(above[:1, [2]] + 1, below[:1, [2]] + 1)[1:]).all()


# --- all


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: interval([1.0]), r"shape \(people, columns\), got shape \(1,\)"),
        (lambda: studentised_interval([[1.0]], confidence=95), "between 0 and 1, got 95"),
        (lambda: ratio_of_means([[1.0]], [[1.0, 2.0]]), r"above has shape \(1, 1\) but below"),
    ],
)
def test_wrong_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
