"""ProcrustesAdapter against SciPy's rotation, least squares, dense solves and a known rotation.

Where nothing else is said, the two sides are the same numbers computed in two ways, in float64:
they agree to 1e-8.
"""

import re
from itertools import product

import numpy as np
import pytest
from scipy.linalg import orthogonal_procrustes

from coldstart.adapters import AnchorContext, ProcrustesAdapter
from coldstart.adapters.procrustes import polar

N, D = 80, 5


def near(actual, expected, rtol=1e-8):
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=rtol)


def turn(d=D, seed=3):
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(d, d)))[0]


def draw(n=N, *, noise=0.3, scale=2.0, seed=0, turned=None):
    """Rows that are turned, stretched and shifted."""
    rng = np.random.default_rng(seed)
    turned = turn() if turned is None else turned
    source = rng.normal(size=(n, len(turned))) * np.linspace(0.5, 2, len(turned)) + 1.0
    noise = noise * rng.normal(size=(n, turned.shape[1]))
    return source, 4.0 + scale * source @ turned + noise


def centred(rows, weight):
    return rows - np.average(rows, axis=0, weights=weight)


def plain(**settings):
    return ProcrustesAdapter(**{"normalize": False, "ridge": None, "scaling": False, **settings})


class TestRotation:
    def test_it_is_that_of_scipy(self):
        source, target = draw()
        rotation = plain().fit(source, target).rotation_
        near(rotation, orthogonal_procrustes(source - source.mean(0), target - target.mean(0))[0])

    def test_weights_count(self):
        source, target = draw()
        weight = np.linspace(0.1, 3, N)
        rows = [np.sqrt(weight)[:, None] * centred(part, weight) for part in (source, target)]
        rotation = plain().fit(source, target, weight=weight).rotation_
        near(rotation, orthogonal_procrustes(*rows)[0])

    def test_the_true_one_is_found_without_noise(self):
        adapter = plain(scaling=True).fit(*draw(noise=0.0))
        near(adapter.rotation_, turn())
        near(adapter.scale_, 2.0)
        source, target = draw(20, noise=0.0, seed=5)
        near(adapter.predict(source).mean, target, rtol=1e-7)

    @pytest.mark.parametrize(("d_source", "d_target"), [(7, 3), (3, 7)])
    def test_between_unequal_widths_it_keeps_lengths_on_the_narrower_side(self, d_source, d_target):
        rng = np.random.default_rng(0)
        source, target = rng.normal(size=(N, d_source)), rng.normal(size=(N, d_target))
        w = plain().fit(source, target).rotation_
        gram = w @ w.T if d_source < d_target else w.T @ w
        near(gram, np.eye(min(d_source, d_target)))

    def test_it_is_the_closest_of_all_isometries_to_a_wider_target(self):
        rng = np.random.default_rng(0)
        source, target = rng.normal(size=(N, 3)), rng.normal(size=(N, 6))
        rows, truth = source - source.mean(0), target - target.mean(0)
        w = plain().fit(source, target).rotation_
        least = np.sum((truth - rows @ w) ** 2)
        for seed in range(50):
            other = np.linalg.qr(np.random.default_rng(seed).normal(size=(6, 3)))[0].T
            assert np.sum((truth - rows @ other) ** 2) > least

    def test_directions_that_the_anchors_do_not_show_stay_at_the_intercept(self):
        source, target = draw(3)
        w = plain().fit(source, target).rotation_
        near(np.linalg.svd(w)[1], [1, 1, 0, 0, 0])

    def test_a_power_weighs_the_directions(self):
        cross = np.random.default_rng(0).normal(size=(4, 3))
        near(polar(cross, 1.0), cross)
        near(polar(cross, 0.0).T @ polar(cross, 0.0), np.eye(3))


class TestWhitening:
    @pytest.mark.parametrize("weight", [np.ones(N), np.linspace(0.1, 3, N)])
    def test_weighted_by_the_correlations_themselves_it_is_least_squares(self, weight):
        """With the source's covariance shrunk to a sphere by one anchor."""
        source, target = draw()
        adapter = plain(whiten=True, reweight=1.0).fit(source, target, weight=weight)
        rows, truth, n = centred(source, weight), centred(target, weight), weight.sum()
        scatter = rows.T @ (weight[:, None] * rows)
        scatter = (n * scatter + np.eye(D) * np.trace(scatter) / D) / (n + 1)
        near(adapter.rotation_, np.linalg.solve(scatter, rows.T @ (weight[:, None] * truth)))

    def test_unweighted_it_takes_the_whitened_source_to_the_whitened_target(self):
        """W0' C_s W0 = C_t, up to the one anchor that both are shrunk by."""
        source, target = draw(20_000)
        w = plain(whiten=True).fit(source, target).rotation_
        near(w.T @ np.cov(source.T) @ w, np.cov(target.T), rtol=1e-3)

    def test_it_finds_a_rotation_between_stretched_spaces(self):
        """Where the target is stretched unevenly no rotation fits, and a whitened one does."""
        source, target = draw(5000, noise=0.05)
        target = target * np.geomspace(0.2, 5, D)
        errors = [
            np.mean((plain(whiten=whiten).fit(source, target).predict(source).mean - target) ** 2)
            for whiten in (False, True)
        ]
        assert errors[1] < 0.05 * errors[0]


class TestRidge:
    def test_it_is_the_dense_solution_pulled_to_the_rotation(self):
        source, target = draw(12)
        adapter = plain(ridge=0.7).fit(source, target)
        rows, truth = source - source.mean(0), target - target.mean(0)
        rho = 0.7 * np.mean(np.sum(rows**2, axis=0))
        raised = rows.T @ rows + rho * np.eye(D)
        expected = np.linalg.solve(raised, rows.T @ truth + rho * adapter.rotation_)
        near(adapter.map_.coef, expected)

    def test_little_of_it_is_least_squares_and_much_of_it_the_rotation(self):
        source, target = draw()
        rows, truth = source - source.mean(0), target - target.mean(0)
        least = np.linalg.lstsq(rows, truth)[0]
        near(plain(ridge=1e-9).fit(source, target).map_.coef, least, rtol=1e-6)
        much = plain(ridge=1e9).fit(source, target)
        near(much.map_.coef, much.rotation_, rtol=1e-6)

    def test_where_spaces_differ_by_a_rotation_few_anchors_are_better_off_with_it(self):
        """Errors on new rows, over 20 draws of 15 anchors."""
        errors = {ridge: [] for ridge in (None, 0.1, "auto")}
        for (ridge, found), seed in product(errors.items(), range(20)):
            source, target = draw(115, noise=1.0, seed=seed)
            adapter = ProcrustesAdapter(ridge=ridge, normalize=False)
            adapter.fit(source[:15], target[:15], context=AnchorContext(mean=target.mean(axis=0)))
            found.append(np.mean((adapter.predict(source[15:]).mean - target[15:]) ** 2))
        means = {ridge: np.mean(found) for ridge, found in errors.items()}
        assert means[None] < 0.95 * means[0.1]
        assert means["auto"] < 0.98 * means[0.1]

    def test_where_they_do_not_many_anchors_ask_for_less_of_it(self):
        bent = np.random.default_rng(2).normal(size=(D, D)) * np.geomspace(0.1, 3, D)
        source, target = draw(2000, turned=bent)
        assert ProcrustesAdapter(normalize=False).fit(source, target).ridge_ == 0.1


class TestScale:
    def test_rows_that_say_nothing_are_given_hardly_any(self):
        """Singular values of noise add up: least squares would take a factor of about 0.5."""
        rng = np.random.default_rng(0)
        source, target = rng.normal(size=(40, 20)), rng.normal(size=(40, 20))
        told = plain(scaling=True).fit(source, target)
        assert told.scale_ < 0.05

    def test_three_anchors_leave_everybody_at_the_intercept(self):
        source, target = draw(3)
        adapter = ProcrustesAdapter().fit(source, target, context=AnchorContext(mean=np.ones(D)))
        expected = (64 + 3 * target.mean(axis=0)) / 67
        near(adapter.predict(source).mean, np.tile(expected, (3, 1)))

    def test_errors_count_in_scores_where_the_other_side_is_known(self):
        """Of two directions the second is noise; scores that read it alone want no map."""
        rng = np.random.default_rng(0)
        source = rng.normal(size=(200, 2))
        target = np.column_stack([source[:, 0], rng.normal(size=200)])
        scales = [
            plain(scaling=True)
            .fit(source, target, context=AnchorContext(other_factors=np.array([other])))
            .scale_
            for other in ([1.0, 1e-3], [1e-3, 1.0])
        ]
        assert scales[0] > 0.4
        assert scales[1] < 0.2


class TestUncertainty:
    def test_nine_tenths_of_residuals_are_inside_what_it_says(self):
        """2000 rows are counted to 0.007, the size of 300 residuals is known to 0.02."""
        source, target = draw(2300, noise=1.0)
        prior = ProcrustesAdapter(normalize=False).fit(source[:300], target[:300])
        prior = prior.predict(source[300:])
        away = target[300:] - prior.mean
        distance = np.einsum("ni,nij,nj->n", away, prior.matrices(), away)
        assert np.mean(distance < 9.236) == pytest.approx(0.9, abs=0.03)  # chi-squared, five

    def test_the_target_space_is_left_as_it_is(self):
        """A turned target gets the turned prior: source rows are mapped, nothing else is."""
        source, target = draw()
        other = turn(seed=8)
        ours = ProcrustesAdapter().fit(source, target).predict(source)
        turned = ProcrustesAdapter().fit(source, target @ other).predict(source)
        near(turned.mean, ours.mean @ other)
        near(turned.matrices(), other.T @ ours.matrices() @ other)


class TestSettings:
    def test_what_is_open_is_spelled_out_for_held_out_people(self):
        options = [option.get_params() for option in ProcrustesAdapter(whiten=True).candidates()]
        assert len(options) == 4
        assert all(option["whiten"] for option in options)
        assert "auto" not in {value for option in options for value in option.values()}

    def test_what_is_decided_stays_so(self):
        [only] = ProcrustesAdapter(ridge=None, normalize=True, reweight=0.5).candidates()
        assert (only.ridge, only.normalize, only.reweight) == (None, True, 0.5)

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"ridge": 0.0}, 'ridge must be "auto", None or a positive number, got 0.0'),
            ({"ridge": "gcv"}, "ridge must be \"auto\", None or a positive number, got 'gcv'"),
            ({"normalize": "no"}, "normalize must be True, False or \"auto\", got 'no'"),
            ({"reweight": -0.5}, "reweight must not be negative, got -0.5"),
            ({"pseudo_anchors": np.nan}, "pseudo_anchors must not be negative, got nan"),
        ],
    )
    def test_others_are_refused_when_it_is_fitted(self, settings, message):
        with pytest.raises(ValueError, match=re.escape(message)):
            ProcrustesAdapter(**settings).fit(*draw())
