"""Effects: hand calculation, and a simulated test for the smallest that is detected."""

import numpy as np
import pytest

from coldstart.effects import effect_size, shares, smallest_detectable


def test_effect_size_is_the_mean_in_standard_deviations():
    differences = np.array([[1.0, 3.0], [2.0, -1.0], [6.0, 1.0]])
    # means 3 and 1, variances (4 + 1 + 9) / 2 and (4 + 4 + 0) / 2
    np.testing.assert_allclose(effect_size(differences), [3 / np.sqrt(7), 1 / 2], rtol=1e-12)
    np.testing.assert_allclose(effect_size(-5 * differences), -effect_size(differences), rtol=1e-12)


def test_effect_size_of_what_is_constant_or_not_finite_is_nan():
    differences = np.array([[0.1, 0.0, np.nan, np.inf, 1.0], [0.1, 0.0, 1.0, 2.0, 3.0]])
    assert np.isnan(effect_size(differences)).tolist() == [True] * 4 + [False]
    assert np.isnan(effect_size(differences[:1])).all()


def test_shares_take_rounding_for_no_change_and_add_up_to_one():
    rounding = 0.1 + 0.2 - 0.3  # 5.6e-17
    differences = np.array([[0.3, rounding], [-0.2, -rounding], [0.1, 0.0], [0.0, 0.0]])
    found = np.array(shares(differences))
    np.testing.assert_array_equal(found, [[0.5, 0.0], [0.25, 0.0], [0.25, 1.0]])
    coarse = np.array(shares(differences, tolerance=0.15))
    np.testing.assert_array_equal(coarse[:, 0], [0.25, 0.25, 0.5])


def test_shares_are_nan_without_people_and_where_a_value_is_nan():
    assert np.isnan(shares(np.empty((0, 2)))).all()
    found = np.array(shares([[np.nan, 1.0], [1.0, -1.0]]))
    assert np.isnan(found[:, 0]).all()
    assert found[:, 1].tolist() == [0.5, 0.5, 0.0]


@pytest.mark.parametrize(("power", "level"), [(0.8, 0.05), (0.5, 0.2)])
def test_the_smallest_detectable_difference_is_detected_with_that_power(power, level):
    rng = np.random.default_rng(0)
    least = smallest_detectable(0.3, power=power, level=level)
    z = rng.normal(least / 0.3, size=40_000)
    threshold = np.quantile(np.abs(rng.normal(size=400_000)), 1 - level)
    # 4 binomial standard errors of 40,000 draws
    assert (np.abs(z) > threshold).mean() == pytest.approx(power, abs=0.01)


def test_the_smallest_detectable_difference_follows_the_standard_error():
    np.testing.assert_allclose(
        smallest_detectable([0.0, 1.0, np.nan]), [0.0, 2.801585, np.nan], rtol=1e-6
    )
    with pytest.raises(ValueError, match="power must lie between 0 and 1, got 80: pass a share"):
        smallest_detectable(0.1, power=80)
