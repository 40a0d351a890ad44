"""Seeds as a second level: coverage by simulation, one seed, hand calculation."""

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from coldstart.intervals import interval
from coldstart.seeds import two_level
from coldstart.statistics import sign_flip_p

MEAN = 0.03


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def measured(rng, n_seeds, samples, *, recurring, between, n_people=150, pool=300):
    """Values of some of a pool of people in each seed, and who they are.

    `recurring` is the share of a person's variance that is the same in every seed, `between` the
    variance between seeds in units of that of the mean over one seed's people. Values are skewed.
    """
    person = rng.exponential(size=(pool, samples)) - 1
    rows, people, seeds = [], [], []
    for seed in range(n_seeds):
        who = rng.permutation(pool)[:n_people]
        own = rng.exponential(size=(n_people, samples)) - 1
        effect = rng.normal(scale=np.sqrt(between / n_people), size=samples)
        values = np.sqrt(recurring) * person[who] + np.sqrt(1 - recurring) * own
        rows.append(MEAN + effect + values)
        people.append(who)
        seeds.append(np.full(n_people, seed))
    return np.vstack(rows), np.hstack(people), np.hstack(seeds)


@pytest.mark.parametrize("recurring", [0.0, 0.6])
@pytest.mark.parametrize("between", [0.0, 1.0, 4.0, 30.0])
@pytest.mark.parametrize(("n_seeds", "least", "most"), [(3, 0.92, 0.97), (5, 0.94, 0.97)])
def test_the_interval_covers_the_mean_over_people_and_seeds(
    rng, n_seeds, least, most, between, recurring
):
    values, people, seeds = measured(rng, n_seeds, 1200, recurring=recurring, between=between)
    found = two_level(values, people, seeds, rng=0)
    covered = (found.low <= MEAN) & (found.high >= MEAN)
    # 0.025: 4 binomial standard errors of 1200 samples
    assert least - 0.025 <= covered.mean() <= most + 0.025
    rejected = two_level(values - MEAN, people, seeds, rng=0).p <= 0.05
    np.testing.assert_array_equal(rejected, ~covered)


def test_one_seed_covers_the_mean_over_people_where_seeds_do_not_differ(rng):
    values, people, seeds = measured(rng, 1, 600, recurring=0.0, between=0.0)
    found = two_level(values, people, seeds, rng=0)
    covered = (found.low <= MEAN) & (found.high >= MEAN)
    # 4 binomial standard errors of 600 samples
    assert covered.mean() == pytest.approx(0.95, abs=0.036)


def test_one_seed_that_is_taken_for_all_would_not_cover(rng):
    values, people, seeds = measured(rng, 1, 600, recurring=0.6, between=4.0)
    found = two_level(values, people, seeds, rng=0)
    covered = (found.low <= MEAN) & (found.high >= MEAN)
    # P(|z| < 1.96 / sqrt(5)) = 0.62: why seeds are a level of their own
    assert covered.mean() == pytest.approx(0.62, abs=0.08)


def test_one_seed_is_what_the_people_of_that_seed_say(rng):
    values, people, seeds = measured(rng, 1, 3, recurring=0.5, between=0.0)
    found = two_level(values, people, seeds, confidence=0.9, rng=np.random.default_rng(4))
    stream = np.random.default_rng(4)
    low, high = interval(values, confidence=0.9, rng=stream)
    np.testing.assert_array_equal([found.low, found.high], [low, high])
    np.testing.assert_array_equal(found.p, sign_flip_p(values, rng=stream))
    np.testing.assert_allclose(found.standard_error, values.std(axis=0, ddof=1) / np.sqrt(150))
    assert found.n_seeds == 1
    assert (found.freedom == 149).all()


def test_people_who_never_recur_leave_the_t_test_of_the_seed_means(rng):
    n_seeds, n_people = 4, 50
    effects = rng.normal(size=(n_seeds, 1, 2))
    values = effects + 0.5 * rng.normal(size=(n_seeds, n_people, 2))
    labels = np.arange(n_seeds * n_people)
    found = two_level(values.reshape(-1, 2), labels, labels // n_people)
    expected = ttest_1samp(values.mean(axis=1), 0)
    np.testing.assert_allclose(found.mean, values.mean(axis=(0, 1)), rtol=1e-12)
    limits = expected.confidence_interval()
    np.testing.assert_allclose([found.low, found.high], [limits.low, limits.high], rtol=1e-9)
    np.testing.assert_allclose(found.p, expected.pvalue, rtol=1e-9)


def test_the_same_values_in_every_seed_say_no_more_than_once(rng):
    once = rng.exponential(size=(120, 2))
    people, seeds = np.tile(np.arange(120), 3), np.repeat([5, 1, 2], 120)
    found = two_level(np.tile(once, (3, 1)), people, seeds)
    expected = once.std(axis=0, ddof=1) / np.sqrt(120)
    np.testing.assert_allclose(found.standard_error, expected, rtol=1e-9)
    # each seed counts alike, however many people it has
    half = seeds != 2
    half[-60:] = True
    uneven = two_level(np.tile(once, (3, 1))[half], people[half], seeds[half])
    mean = (2 * once.mean(axis=0) + once[60:].mean(axis=0)) / 3
    np.testing.assert_allclose(uneven.mean, mean, rtol=1e-12)


def test_the_order_of_rows_and_the_kind_of_labels_do_not_matter(rng):
    values, people, seeds = measured(rng, 3, 2, recurring=0.5, between=1.0)
    expected = two_level(values, people, seeds)
    order = rng.permutation(len(values))
    names = np.array([f"person {who}" for who in people])
    found = two_level(values[order], names[order], seeds[order].astype(str))
    for field in ("mean", "low", "high", "p", "standard_error", "freedom"):
        np.testing.assert_allclose(getattr(found, field), getattr(expected, field), rtol=1e-9)


@pytest.mark.parametrize("n_seeds", [1, 2])
def test_identical_arms_have_p_one_and_what_is_not_finite_is_nan(n_seeds):
    values = np.zeros((6 * n_seeds, 3))
    values[2, 1], values[3, 2] = np.nan, np.inf
    found = two_level(values, np.tile(np.arange(6), n_seeds), np.repeat(range(n_seeds), 6))
    np.testing.assert_array_equal(found.p, [1.0, np.nan, np.nan])
    np.testing.assert_array_equal([found.low[0], found.high[0]], [0.0, 0.0])
    assert np.isnan(np.stack([found.low, found.high])[:, 1:]).all()


def test_wrong_labels_are_named():
    with pytest.raises(ValueError, match=r"seeds has shape \(2,\), expected \(3,\): pass one"):
        two_level(np.zeros((3, 1)), [1, 2, 3], [0, 0])
    with pytest.raises(ValueError, match=r"person .*b.* has more than one row in a seed"):
        two_level(np.zeros((3, 1)), ["a", "b", "b"], [0, 1, 1])
    with pytest.raises(ValueError, match="between 0 and 1, got 95"):
        two_level(np.zeros((1, 1)), [1], [0], confidence=95)
