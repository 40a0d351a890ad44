"""IdentityAdapter keeps the row, and says how far the anchors are from it.

Where nothing else is said, the two sides are the same numbers computed in two ways, in float64:
they agree to 1e-8.
"""

import re

import numpy as np
import pytest
from scipy.stats import chi2

from coldstart.adapters import AnchorContext, IdentityAdapter
from coldstart.adapters.spread import shrunk
from coldstart.errors import SpaceError

N, D = 60, 4


def draw(n=N, *, noise=0.5, seed=0):
    """Rows of both catalogs in one space."""
    rng = np.random.default_rng(seed)
    source = rng.normal(size=(n, D)) + np.arange(D)
    return source, source + noise * rng.normal(size=(n, D))


def near(actual, expected, rtol=1e-8):
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=rtol)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_the_mean_is_the_source_row_bit_for_bit(kind):
    source, target = (rows.astype(kind) for rows in draw())
    prior = IdentityAdapter().fit(source, target).predict(source[:7])
    assert np.array_equal(prior.mean, source[:7])
    assert prior.mean.dtype == kind


def test_a_scale_multiplies_it():
    source, target = draw()
    adapter = IdentityAdapter(0.5).fit(source, target)
    near(adapter.predict(source).mean, 0.5 * source)


def test_the_covariance_is_that_of_residuals_about_zero():
    """With the same activity everywhere and residuals that are all off to one side."""
    signs = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]], float)
    target = signs + np.array([3.0, 1.0])
    adapter = IdentityAdapter().fit(signs, target)
    scatter = 4 * np.outer([3.0, 1.0], [3.0, 1.0])
    near(adapter.spread_.covariance, shrunk(scatter, 4, [5.0 * np.eye(2)])[0])


@pytest.mark.parametrize("n", [30, 300, 3000])
def test_ellipsoids_hold_the_people_they_say(n):
    """5000 people in all, counted to 0.007; within 0.03."""
    distances = []
    for seed in range(50):
        source, target = draw(n + 100, seed=seed)
        prior = IdentityAdapter().fit(source[:n], target[:n]).predict(source[n:])
        away = target[n:] - prior.mean
        distances.append(np.einsum("ni,nij,nj->n", away, prior.matrices(), away))
    levels = np.array([0.5, 0.8, 0.95])
    shares = (np.concatenate(distances)[:, None] <= chi2.ppf(levels, D)).mean(axis=0)
    np.testing.assert_allclose(shares, levels, rtol=0, atol=0.03)


class TestWithoutAnchors:
    nothing = np.empty((0, D))

    def test_the_covariance_is_a_sphere_of_the_size_of_all_target_rows(self):
        context = AnchorContext(mean=np.ones(D), covariance=np.diag([1.0, 2.0, 3.0, 6.0]))
        adapter = IdentityAdapter().fit(self.nothing, self.nothing, context=context)
        prior = adapter.predict(np.eye(D))
        near(np.linalg.inv(prior.matrices()), np.tile(3 * np.eye(D), (D, 1, 1)))

    def test_or_one_where_nothing_is_known(self):
        adapter = IdentityAdapter().fit(self.nothing, self.nothing)
        near(adapter.predict(np.eye(D)).matrices(), np.tile(np.eye(D), (D, 1, 1)))

    def test_a_centre_of_zero_leads_to_the_mean_of_all_target_rows(self):
        context = AnchorContext(mean=np.arange(4.0))
        adapter = IdentityAdapter().fit(self.nothing, self.nothing, context=context)
        assert np.array_equal(adapter.predict(np.eye(D)).centre(0.0).mean, [[0, 1, 2, 3]] * D)


def test_without_a_mean_of_all_rows_it_leads_to_that_of_the_anchors():
    source, target = draw()
    weight = np.linspace(0.5, 2, N)
    prior = IdentityAdapter().fit(source, target, weight=weight).predict(source)
    near(prior.centre(0.0).mean[0], np.average(target, axis=0, weights=weight))


def test_unequal_widths_are_refused_with_what_to_use_instead():
    message = "source is 3 wide but target is 4 wide: IdentityAdapter needs one space, use Procru"
    with pytest.raises(SpaceError, match=message) as error:
        IdentityAdapter().fit(np.ones((5, 3)), np.ones((5, 4)))
    assert isinstance(error.value, ValueError)


@pytest.mark.parametrize("scale", [np.nan, np.inf, "x", None, True])
def test_a_scale_that_is_no_number_is_refused(scale):
    with pytest.raises(
        ValueError,
        match=re.escape(f"scale must be a finite number, for example 1.0, got {scale!r}"),
    ):
        IdentityAdapter(scale).fit(*draw())
