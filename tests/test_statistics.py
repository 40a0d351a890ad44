"""Statistics: scipy, enumeration and hand calculation as oracles, coverage on skewed data."""

import tracemalloc
from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import bootstrap, permutation_test, skew

from coldstart.statistics import bootstrap_interval, holm, resampled_means, sign_flip_p


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def gains(rng, n_people, n_columns=1):
    """What differences of a ranking metric look like: most are zero, the others skewed."""
    sizes = rng.beta(2, 3, size=(n_people, n_columns)) - 0.3
    return sizes * (rng.random((n_people, n_columns)) < 0.4)


# --- bootstrap_interval


@pytest.mark.parametrize("n_people", [12, 30, 300])
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_interval_equals_bca_of_scipy_on_the_same_resamples(rng, n_people, confidence):
    values = np.column_stack(
        [
            rng.exponential(size=n_people),
            -rng.lognormal(sigma=1.5, size=n_people),
            np.arange(n_people) % 4 == 0,  # many resamples tie with the mean
        ]
    )
    interval = bootstrap_interval(values, confidence=confidence, resamples=3000, rng=1)
    means = resampled_means(values, 3000, np.random.default_rng(1))
    expected = bootstrap(
        (values,),
        np.mean,
        confidence_level=confidence,
        n_resamples=0,
        bootstrap_result=SimpleNamespace(bootstrap_distribution=means.T),
        method="BCa",
    ).confidence_interval
    # 1e-3 standard errors: scipy takes means that differ by rounding alone for different
    tolerance = 1e-3 * values.std(axis=0) / np.sqrt(n_people)
    assert (np.abs(np.subtract(interval, expected)) <= tolerance).all()


def test_resampled_means_scatter_like_the_mean_and_skew_like_it(rng):
    values = rng.exponential(size=(25, 2))
    means = resampled_means(values, 40_000, rng)
    standard_error = values.std(axis=0) / np.sqrt(25)
    # 4 standard errors of the mean, the spread and the skewness of 40,000 nearly normal numbers
    np.testing.assert_array_less(
        abs(means.mean(axis=0) - values.mean(axis=0)) / standard_error, 0.02
    )
    np.testing.assert_allclose(means.std(axis=0) / standard_error, 1.0, atol=0.017)
    np.testing.assert_allclose(skew(means), skew(values) / np.sqrt(25), atol=0.055)


def test_interval_of_skewed_values_covers_the_mean_and_misses_it_on_both_sides_alike(rng):
    samples, n_people, mean = 2000, 100, 0.15 * 0.4
    hit = rng.random((n_people, samples)) < 0.15
    values = rng.beta(2, 3, size=(n_people, samples)) * hit  # mean of beta(2, 3): 0.4
    low, high = bootstrap_interval(values, resamples=1000, rng=3)
    # 4 binomial standard errors of 2000 samples, 0.02 and 0.014; the normal interval: 0.065, 0.01
    assert ((low <= mean) & (mean <= high)).mean() == pytest.approx(0.95, abs=0.02)
    assert (high < mean).mean() == pytest.approx(0.025, abs=0.014)
    assert (low > mean).mean() == pytest.approx(0.025, abs=0.014)


def test_interval_narrows_with_confidence_and_contains_the_mean(rng):
    values = gains(rng, 80, 3)
    wide = bootstrap_interval(values, confidence=0.99, rng=0)
    narrow = bootstrap_interval(values, confidence=0.5, rng=0)
    mean = values.mean(axis=0)
    limits = [wide[0], narrow[0], mean, narrow[1], wide[1]]
    assert (np.diff(limits, axis=0) > 0).all()


def test_interval_moves_and_scales_with_the_values(rng):
    values = gains(rng, 50, 2)
    low, high = bootstrap_interval(values, rng=0)
    shifted = bootstrap_interval(3 * values + 7, rng=0)
    np.testing.assert_allclose(shifted, (3 * low + 7, 3 * high + 7), rtol=1e-12)
    mirrored_low, _ = bootstrap_interval(-values, rng=0)
    np.testing.assert_allclose(mirrored_low, -high, rtol=1e-9)


def test_interval_takes_means_that_differ_by_rounding_alone_for_ties(rng):
    whole = rng.integers(4, size=(8, 60)).astype(float)  # their sums are exact, those of tenths not
    exact = bootstrap_interval(whole, confidence=0.6, rng=0)
    np.testing.assert_allclose(
        bootstrap_interval(0.1 * whole, confidence=0.6, rng=0), 0.1 * np.array(exact), rtol=1e-12
    )


def test_a_column_is_treated_as_if_it_were_alone(rng):
    values = gains(rng, 40, 3)
    low, high = bootstrap_interval(values, rng=0)
    alone_low, alone_high = bootstrap_interval(values[:, [1]], rng=0)
    np.testing.assert_allclose([alone_low[0], alone_high[0]], [low[1], high[1]], rtol=1e-12)


def test_interval_of_a_constant_column_is_its_mean(rng):
    values = np.column_stack([gains(rng, 30), np.full(30, 0.1), np.zeros(30)])
    low, high = bootstrap_interval(values, rng=0)
    np.testing.assert_allclose(low[1:], [0.1, 0.0], rtol=1e-12)
    np.testing.assert_array_equal(high[1:], low[1:])
    assert low[0] < high[0]


def test_interval_of_a_column_that_is_not_finite_is_nan_and_leaves_the_others_alone(rng):
    values = gains(rng, 30, 3)
    expected = bootstrap_interval(values[:, [2]], rng=0)
    values[4, 0], values[5, 1] = np.nan, np.inf
    limits = np.array(bootstrap_interval(values, rng=0))
    assert np.isnan(limits[:, :2]).all()
    np.testing.assert_allclose(limits[:, [2]], expected, rtol=1e-12)


@pytest.mark.parametrize("n_people", [0, 1])
def test_interval_of_fewer_than_two_people_is_nan(n_people):
    assert np.isnan(bootstrap_interval(np.ones((n_people, 3)))).all()


def test_interval_of_100_000_people_fits_into_little_memory(rng):
    values = gains(rng, 100_000)
    tracemalloc.start()
    low, high = bootstrap_interval(values, resamples=200, rng=0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 40e6  # bytes; the weights of all resamples at once would be 160e6
    half_width = 1.96 * values.std() / np.sqrt(len(values))
    # half of that: 200 resamples place a limit to about 0.1 of it
    assert low[0] == pytest.approx(values.mean() - half_width, abs=half_width / 2)
    assert high[0] == pytest.approx(values.mean() + half_width, abs=half_width / 2)


# --- sign_flip_p


def test_p_equals_that_of_all_sign_vectors(rng):
    differences = rng.normal(0.4, 1.0, size=(9, 4))
    signs = np.array(list(product([-1, 1], repeat=9)))
    reached = np.abs(differences.sum(axis=0))
    exact = (np.abs(signs @ differences) >= reached - 1e-12).mean(axis=0)
    p = sign_flip_p(differences, resamples=40_000, rng=1)
    np.testing.assert_allclose(p, exact, atol=0.01)  # 4 standard errors of 40,000 draws at p = 0.5


def test_p_equals_that_of_scipy(rng):
    differences = rng.normal(0.4, 1.0, size=(9, 4))
    exact = permutation_test(
        (differences,), np.mean, permutation_type="samples", axis=0, n_resamples=np.inf
    ).pvalue
    p = sign_flip_p(differences, resamples=40_000, rng=1)
    np.testing.assert_allclose(p, exact, atol=0.01)  # 4 standard errors of 40,000 draws at p = 0.5


def test_p_takes_means_that_differ_by_rounding_alone_for_ties(rng):
    whole = rng.integers(-3, 4, size=(8, 60))  # their sums are exact, those of tenths not
    np.testing.assert_array_equal(sign_flip_p(0.1 * whole, rng=0), sign_flip_p(whole, rng=0))


def test_p_is_uniform_where_nothing_differs(rng):
    differences = rng.exponential(size=(60, 2000)) * rng.choice([-1, 1], size=(60, 2000))
    p = sign_flip_p(differences, resamples=499, rng=1)
    for level in (0.05, 0.2, 0.5):
        assert (p <= level).mean() == pytest.approx(level, abs=0.045)  # 4 standard errors at 0.5


def test_p_is_never_zero_and_ignores_direction_and_scale(rng):
    differences = 1.0 + 0.1 * rng.standard_normal((50, 2))
    np.testing.assert_array_equal(sign_flip_p(differences, resamples=99, rng=0), 1 / 100)
    weak = gains(rng, 50, 2)
    expected = sign_flip_p(weak, rng=0)
    np.testing.assert_array_equal(sign_flip_p(-4 * weak, rng=0), expected)


def test_p_of_zeros_is_one_and_of_what_is_not_finite_nan():
    differences = np.zeros((5, 3))
    differences[2, 1], differences[3, 2] = np.nan, np.inf
    np.testing.assert_array_equal(sign_flip_p(differences, rng=0), [1.0, np.nan, np.nan])
    assert np.isnan(sign_flip_p(np.empty((0, 2)))).all()


# --- holm


def test_holm_equals_the_calculation_by_hand():
    # sorted: 0.01 x 4, 0.015 x 3 = 0.045, 0.04 x 2, 0.05 x 1 raised to the 0.08 before it
    adjusted = holm([0.05, 0.01, np.nan, 0.04, 0.015])
    np.testing.assert_allclose(adjusted, [0.08, 0.04, np.nan, 0.08, 0.045], rtol=1e-12)


def test_holm_stops_at_one_and_keeps_what_is_alone_or_missing():
    assert holm([0.7, 0.9]).tolist() == [1.0, 1.0]
    assert holm([0.3]).tolist() == [0.3]
    assert holm([]).tolist() == []
    assert np.isnan(holm([np.nan, np.nan])).all()


# --- all


@pytest.mark.parametrize("function", [bootstrap_interval, sign_flip_p])
def test_the_same_seed_gives_the_same_numbers_and_inputs_are_left_alone(function, rng):
    values = gains(rng, 40, 2)
    values.flags.writeable = False
    first, again = function(values, rng=9), function(values, rng=np.random.default_rng(9))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, function(values, rng=10))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bootstrap_interval([1.0, 2.0]), r"shape \(people, columns\), got shape \(2,\)"),
        (lambda: bootstrap_interval([[1.0]], confidence=95), "between 0 and 1, got 95"),
        (lambda: bootstrap_interval([[1.0]], resamples=0), "resamples must be at least 1, got 0"),
        (lambda: sign_flip_p([1.0, 2.0]), r"shape \(people, columns\), got shape \(2,\)"),
        (lambda: sign_flip_p([[1.0]], resamples=0), "resamples must be at least 1, got 0"),
        (lambda: holm([[0.1]]), r"p must have shape \(tests,\), got \(1, 1\)"),
        (lambda: holm([0.1, np.nan, 1.5]), "p values must lie between 0 and 1, got 1.5"),
    ],
)
def test_wrong_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
