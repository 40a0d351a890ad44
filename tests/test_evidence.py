"""Evidence: numerical integration, a readable twin and Bayes' rule as oracles."""

import math
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.integrate import dblquad, quad

from coldstart.errors import FitError
from coldstart.evidence import SoftGate, fit_soft, foretold, log_evidence, mixed
from coldstart.prior import Prior
from coldstart.rows import solve_rows

ALPHA, RIDGE = 3.0, 0.7


@pytest.fixture
def rng():
    return np.random.default_rng(11)


def log(rng, n, m, most=6):
    """Rows of 0 to `most` interactions, the first without any; values from 0.5 on."""
    counts = np.r_[0, 1, most, rng.integers(1, most + 1, n - 3)]
    columns = np.concatenate([rng.choice(m, k, replace=False) for k in counts])
    values = rng.uniform(0.5, 2.0, len(columns)).astype(np.float32)
    return sp.csr_matrix((values, columns, np.r_[0, counts.cumsum()]), shape=(n, m))


def priors(rng, n, d):
    """One of every form that a precision can have."""
    mean, root = rng.normal(size=(n, d)), rng.normal(size=(d, d + 2))
    return {
        "scalar": Prior(mean, 2.0),
        "per row": Prior(mean, rng.uniform(0.1, 9, n)),
        "per dimension": Prior(mean, rng.uniform(0.1, 9, (1, d))),
        "per entry": Prior(mean, rng.uniform(0.1, 9, (n, d))),
        "shared": Prior(mean, rng.uniform(0.1, 9, n), shared=root @ root.T),
        "one for everybody": Prior(mean[:1], 4.0),
    }


def twin(matrix, other, prior, alpha=ALPHA, ridge=RIDGE):
    """The formula as it is written, row by row, with dense inverses; L must not be singular."""
    d, found = other.shape[1], []
    for u in range(matrix.shape[0]):
        row = matrix[u]
        if not row.nnz:
            found.append(0.0)
            continue
        only = u if len(prior) > 1 else 0
        pull, m = prior.matrices(slice(only, only + 1))[0], prior.mean[only]
        signed, y = alpha * row.data.astype(float), other[row.indices].astype(float)
        c, liked = abs(signed), np.maximum(signed, 0)  # a negative value: not liked, and how surely
        a = other.T.astype(float) @ other + y.T @ np.diag(c - 1) @ y + ridge * np.eye(d) + pull
        b = liked @ y + pull @ m
        dets = np.linalg.slogdet(pull)[1] - np.linalg.slogdet(a)[1]
        found.append((dets + b @ np.linalg.inv(a) @ b - m @ pull @ m) / 2)
    return np.array(found)


def integrand(x, matrix, other, mean, pull):
    """exp(-loss / 2) N(x; m, L^-1) of the first row, loss without what does not depend on x."""
    scores = other @ x
    confidence, liked = np.ones(len(other)), np.zeros(len(other))
    confidence[matrix.indices], liked[matrix.indices] = ALPHA * matrix.data, 1.0
    loss = confidence @ (liked - scores) ** 2 - confidence @ liked + RIDGE * x @ x
    away = x - mean
    volume = math.sqrt(np.linalg.det(pull / (2 * math.pi)))
    return volume * math.exp(-loss / 2 - away @ pull @ away / 2)


class TestLogEvidence:
    @pytest.mark.parametrize("form", list(priors(np.random.default_rng(0), 4, 3)))
    def test_it_is_the_formula_for_every_form_of_precision(self, rng, form):
        matrix, other = log(rng, 41, 17), rng.normal(size=(17, 5)).astype(np.float32)
        prior = priors(rng, 41, 5)[form]
        found = log_evidence(matrix, other, alpha=ALPHA, regularization=RIDGE, prior=prior)
        # float64 inside; what is left is rounding of confidences to float32, 6e-8 of numbers of ten
        np.testing.assert_allclose(found, twin(matrix, other, prior), rtol=1e-6, atol=1e-5)
        assert found[0] == 0.0
        assert found.dtype == np.float64

    def test_it_is_the_integral_in_one_dimension(self):
        matrix = sp.csr_matrix(np.array([[2.0, 0.0, 1.0]], np.float32))
        other = np.array([[0.5], [-1.0], [0.75]], np.float32)
        mean, pull = np.array([0.8]), np.array([[1.7]])
        integral, _ = quad(lambda x: integrand(np.array([x]), matrix, other, mean, pull), -12, 12)
        (found,) = log_evidence(
            matrix, other, alpha=ALPHA, regularization=RIDGE, prior=Prior(mean[None], 1.7)
        )
        assert found == pytest.approx(math.log(integral), abs=1e-8)

    def test_it_is_the_integral_in_two_dimensions(self):
        matrix = sp.csr_matrix(np.array([[0.0, 1.5, 2.0, 0.0]], np.float32))
        other = np.array([[1.0, 0.5], [-0.5, 1.0], [0.75, 0.25], [0.5, -1.0]], np.float32)
        mean, pull = np.array([0.6, -0.3]), np.array([[2.0, 0.6], [0.6, 1.2]])
        integral, _ = dblquad(
            lambda y, x: integrand(np.array([x, y]), matrix, other, mean, pull), -8, 8, -8, 8
        )
        prior = Prior(mean[None], 1.0, shared=pull)
        (found,) = log_evidence(matrix, other, alpha=ALPHA, regularization=RIDGE, prior=prior)
        assert found == pytest.approx(math.log(integral), abs=1e-7)  # dblquad: 1.5e-8 relative

    def test_a_prior_without_precision_has_the_evidence_of_the_ridge_alone(self, rng):
        matrix, other = log(rng, 9, 7), rng.normal(size=(7, 3)).astype(np.float32)
        nothing = Prior(rng.normal(size=(9, 3)), 0.0)
        found = log_evidence(matrix, other, alpha=ALPHA, regularization=RIDGE, prior=nothing)
        ridge = Prior(np.zeros((9, 3)), RIDGE)
        expected = log_evidence(matrix, other, alpha=ALPHA, regularization=0.0, prior=ridge)
        np.testing.assert_allclose(found, expected, atol=1e-10)

    def test_where_a_shared_matrix_says_nothing_the_ridge_is_the_prior(self, rng):
        matrix, other = log(rng, 9, 7), rng.normal(size=(7, 3)).astype(np.float32)
        mean, known = rng.normal(size=(9, 3)), np.diag([2.0, 5.0, 0.0])
        turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        whole = np.diag([2.0, 5.0, RIDGE])  # the last direction: a ridge around zero, and no other
        found = log_evidence(
            matrix,
            (other @ turn.T).astype(np.float32),
            alpha=ALPHA,
            regularization=RIDGE,
            prior=Prior(mean @ turn.T, 1.0, shared=turn @ known @ turn.T),
        )
        # the same by hand: the ridge of the first two directions stays in the likelihood
        gram = other.T.astype(float) @ other + np.diag([RIDGE, RIDGE, 0.0])
        expected = log_evidence(
            matrix,
            other,
            alpha=ALPHA,
            regularization=0.0,
            prior=Prior(mean * [1, 1, 0], 1.0, shared=whole),
            gram=gram,
        )
        np.testing.assert_allclose(found, expected, atol=1e-4)  # factors turned in float32

    def test_dimensions_may_be_as_uneven_as_they_like(self, rng):
        matrix, other = log(rng, 9, 7), rng.normal(size=(7, 3)).astype(np.float32)
        prior = Prior(rng.normal(size=(9, 3)), np.array([[1e-7, 1.0, 1e6]]))
        found = log_evidence(matrix, other, alpha=ALPHA, regularization=RIDGE, prior=prior)
        # the twin loses nine digits of m'Lm, a million
        np.testing.assert_allclose(found, twin(matrix, other, prior), rtol=1e-6, atol=1e-4)

    def test_pairs_that_were_disliked_count_against_a_prior(self, rng):
        matrix, other = log(rng, 9, 7), rng.normal(size=(7, 3)).astype(np.float32)
        matrix.data[::2] *= -1
        prior = Prior(rng.normal(size=(9, 3)), 2.0)
        found = log_evidence(matrix, other, alpha=ALPHA, regularization=RIDGE, prior=prior)
        np.testing.assert_allclose(found, twin(matrix, other, prior), rtol=1e-6, atol=1e-5)

    def test_a_mild_prior_does_not_become_singular_by_its_scale(self, rng):
        matrix, other = log(rng, 9, 7), rng.normal(size=(7, 3)).astype(np.float32)
        prior = Prior(rng.normal(size=(9, 3)), 1e-14)
        found = log_evidence(matrix, other, alpha=ALPHA, regularization=RIDGE, prior=prior)
        np.testing.assert_allclose(found, twin(matrix, other, prior), rtol=1e-6, atol=1e-5)

    def test_a_firm_prior_ends_at_the_likelihood_of_its_mean(self, rng):
        matrix, other = log(rng, 9, 7), rng.normal(size=(7, 3)).astype(np.float32)
        mean = rng.normal(size=(9, 3))
        found = log_evidence(
            matrix, other, alpha=ALPHA, regularization=RIDGE, prior=Prior(mean, 1e12)
        )
        for u in range(1, 9):
            volume = (2 * math.pi) ** -1.5
            at_mean = integrand(mean[u], matrix[u], other, mean[u], np.eye(3)) / volume
            # the prior's width, 1e-6, times slopes of a hundred, squared
            assert found[u] == pytest.approx(math.log(at_mean), abs=1e-5)

    def test_the_true_mean_foretells_better_than_a_stranger_s(self, rng):
        d, n = 6, 60
        other = rng.normal(size=(40, d)).astype(np.float32)
        taste = rng.normal(size=(n, d))
        matrix = sp.csr_matrix((taste @ other.T > 3.0).astype(np.float32))
        settings = {"alpha": 10.0, "regularization": 1.0}
        own = log_evidence(matrix, other, prior=Prior(taste / 5, 5.0), **settings)
        foreign = log_evidence(matrix, other, prior=Prior(taste[::-1] / 5, 5.0), **settings)
        some = np.diff(matrix.indptr) > 0
        assert (own > foreign)[some].mean() > 0.8  # one in two by chance, of 50 and more rows

    def test_threads_and_neighbours_change_no_bit(self, rng):
        matrix, other = log(rng, 50, 17), rng.normal(size=(17, 5)).astype(np.float32)
        prior = Prior(rng.normal(size=(50, 5)), rng.uniform(0.1, 9, 50))
        settings = {"alpha": ALPHA, "regularization": RIDGE}
        one, two = (
            log_evidence(matrix, other, prior=prior, num_threads=n, **settings) for n in (1, 2)
        )
        np.testing.assert_array_equal(one, two)
        gram = other.T.astype(float) @ other
        given = log_evidence(matrix, other, prior=prior, gram=gram, **settings)
        np.testing.assert_allclose(given, one, atol=1e-10)
        alone = log_evidence(matrix[7:8], other, prior=prior.take([7]), **settings)
        np.testing.assert_allclose(alone, one[7:8], atol=1e-10)

    def test_without_ridge_and_precision_there_is_none(self, rng):
        matrix, other = log(rng, 9, 7), rng.normal(size=(7, 3)).astype(np.float32)
        with pytest.raises(ValueError, match="raise the regularization, or give every row"):
            log_evidence(
                matrix, other, alpha=1.0, regularization=0.0, prior=Prior(np.zeros((9, 3)), 0.0)
            )

    def test_a_row_without_interactions_needs_no_precision(self):
        matrix = sp.csr_matrix(np.array([[0.0, 0.0], [1.0, 0.0]], np.float32))
        prior = Prior(np.ones((2, 1)), np.array([0.0, 1.0]))
        other = np.ones((2, 1), np.float32)
        found = log_evidence(matrix, other, alpha=1.0, regularization=0.0, prior=prior)
        np.testing.assert_allclose(found, twin(matrix, other, prior, alpha=1.0, ridge=0.0))

    def test_shapes_that_do_not_fit_are_told(self):
        matrix, other = sp.csr_matrix((2, 3), dtype=np.float32), np.ones((4, 2), np.float32)
        with pytest.raises(ValueError, match="3 columns but the other side has 4 rows"):
            log_evidence(matrix, other, alpha=1.0, regularization=1.0, prior=Prior(np.ones((2, 2))))

    def test_a_matrix_that_is_not_positive_definite_is_told(self):
        matrix = sp.csr_matrix(np.array([[1.0]], np.float32))
        with pytest.raises(FitError, match="not positive definite"):
            log_evidence(
                matrix,
                np.full((1, 1), 9.0, np.float32),
                alpha=0.01,
                regularization=0.0,
                prior=Prior(np.ones((1, 1)), 1e-9),
                gram=np.zeros((1, 1)),
            )


class TestForetold:
    @pytest.mark.parametrize("form", list(priors(np.random.default_rng(0), 4, 3)))
    def test_it_is_the_evidence_of_prior_and_ridge_as_one_gaussian(self, rng, form):
        matrix, other = log(rng, 9, 7), rng.normal(size=(7, 3)).astype(np.float32)
        prior = priors(rng, 9, 3)[form]
        found = foretold(matrix, other, alpha=ALPHA, regularization=RIDGE, prior=prior)
        for u in range(1, 9):
            one = prior.take([u if len(prior) > 1 else 0])
            pull = one.matrices()[0]
            whole = pull + RIDGE * np.eye(3)
            mean = np.linalg.solve(whole, pull @ one.mean[0])
            expected = twin(matrix[u], other, Prior(mean[None], 1.0, shared=whole), ridge=0.0)
            assert found[u] == pytest.approx(expected[0], rel=1e-6, abs=1e-5)
        assert found[0] == 0.0

    def test_it_does_not_matter_which_of_the_two_holds_a_row_around_zero(self, rng):
        matrix, other = log(rng, 9, 7), rng.normal(size=(7, 3)).astype(np.float32)
        zero = np.zeros((1, 3))
        splits = [(Prior(zero, 5.0), 0.0), (Prior(zero, 2.0), 3.0), (None, 5.0)]
        one, two, three = (
            foretold(matrix, other, alpha=ALPHA, regularization=ridge, prior=prior)
            for prior, ridge in splits
        )
        np.testing.assert_allclose(two, three, atol=1e-10)
        np.testing.assert_allclose(one, three, atol=1e-5)  # the least ridge is 1e-6

    def test_with_nothing_to_hold_a_row_it_is_poor_but_finite(self, rng):
        matrix, other = log(rng, 9, 7), rng.normal(size=(7, 3)).astype(np.float32)
        settings = {"alpha": ALPHA, "prior": None}
        nothing, some = (
            foretold(matrix, other, regularization=ridge, **settings) for ridge in (0.0, RIDGE)
        )
        assert np.isfinite(nothing).all()
        assert (nothing < some - 10)[1:].all()  # 3/2 log(1e6) = 21


class TestMixed:
    def test_at_a_slope_of_one_it_is_the_posterior_mean_under_the_mixture(self):
        """One dimension, by quadrature; to float32."""
        matrix = sp.csr_matrix(np.array([[2.0, 0.0, 1.0]], np.float32))
        other = np.array([[0.5], [-1.0], [0.75]], np.float32)
        pi, parts = 0.3, [(0.8, 1.7), (-0.5, 0.6)]

        def moment(power):
            return sum(
                share
                * quad(
                    lambda x, m=m, p=p: (
                        x**power
                        * integrand(np.array([x]), matrix, other, np.array([m]), np.array([[p]]))
                    ),
                    -12,
                    12,
                )[0]
                for share, (m, p) in zip((pi, 1 - pi), parts, strict=True)
            )

        known = {"alpha": ALPHA, "regularization": RIDGE}
        priors = [Prior(np.array([[m]]), p) for m, p in parts]
        evidence = [log_evidence(matrix, other, prior=prior, **known) for prior in priors]
        rows = [solve_rows(matrix, other, prior=prior, **known) for prior in priors]
        weight = SoftGate(1.0, math.log(pi / (1 - pi))).weight(*evidence)
        found = mixed(*rows, weight)
        assert found.dtype == np.float32
        assert found[0, 0] == pytest.approx(moment(1) / moment(0), rel=1e-6)

    def test_each_row_has_its_own_weight(self, rng):
        one, two = rng.normal(size=(2, 3, 4)).astype(np.float32)
        found = mixed(one, two, [1.0, 0.0, 0.25])
        assert np.array_equal(found[:2], [one[0], two[1]])
        np.testing.assert_allclose(found[2], 0.25 * one[2] + 0.75 * two[2], rtol=1e-6)


class TestSoftGate:
    def test_it_is_bayes_rule_at_a_slope_of_one(self):
        transfer, null, pi = np.array([0.3, -2.0]), np.array([-0.4, 1.0]), 0.3
        gate = SoftGate(1.0, math.log(pi / (1 - pi)))
        first, second = pi * np.exp(transfer), (1 - pi) * np.exp(null)
        np.testing.assert_allclose(
            gate.weight(transfer, null), first / (first + second), rtol=1e-12
        )

    def test_rows_of_which_nothing_was_observed_get_the_prior_weight(self):
        assert SoftGate(2.0, 0.0).weight([0.0], [0.0]).tolist() == [0.5]

    def test_huge_differences_neither_overflow_nor_warn(self):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert SoftGate(3.0, 0.0).weight([1e6, -1e6], [0.0, 0.0]).tolist() == [1.0, 0.0]

    def test_it_survives_json(self):
        assert SoftGate.from_json(SoftGate(0.1, -2.5).to_json()) == SoftGate(0.1, -2.5)

    @pytest.mark.parametrize(("t", "logit_pi"), [(-1.0, 0.0), (math.nan, 0.0), (1.0, math.inf)])
    def test_impossible_settings_are_refused(self, t, logit_pi):
        with pytest.raises(ValueError, match="finite"):
            SoftGate(t, logit_pi)


class TestFitSoft:
    def test_evidence_that_tells_who_gains_is_followed(self, rng):
        delta = rng.normal(0, 10, size=(2, 400))
        q0 = np.full((2, 400), 0.5)
        gate = fit_soft(delta, q0 + 0.1 * np.sign(delta), q0)
        weight = gate.weight(delta, 0.0)
        assert gate.t > 0
        assert weight[delta > 1].min() > 0.9
        assert weight[delta < -1].max() < 0.1

    def test_evidence_that_says_nothing_leaves_the_better_arm_whole(self, rng):
        delta, q0 = np.zeros((2, 50)), rng.random((2, 50))
        assert fit_soft(delta, q0 + 0.1, q0) == SoftGate(0.0, 8.0)
        assert fit_soft(delta, q0 - 0.1, q0) == SoftGate(0.0, -8.0)

    def test_it_is_the_best_of_its_grid_for_the_interpolated_quality(self, rng):
        delta, q1, q0 = rng.normal(0, 3, (3, 30)), rng.random((3, 30)), rng.random((3, 30))
        q1[2, :25] = np.nan  # every number of shots weighs the same, however many have truth

        def worth(gate):
            w = gate.weight(delta, 0.0)
            return np.nanmean(w * q1 + (1 - w) * q0, axis=1).mean()

        best = fit_soft(delta, q1, q0)
        others = [SoftGate(t, logit) for t in (0.0, 0.01, 0.1, 1.0) for logit in (-8, -2, 0, 2, 8)]
        assert all(worth(best) >= worth(other) - 1e-12 for other in others)

    def test_ties_go_to_no_slope_and_even_weight(self):
        same = np.full((1, 5), 0.3)
        assert fit_soft(np.arange(5.0)[None], same, same) == SoftGate(0.0, 0.0)

    def test_what_cannot_be_fitted_is_told(self):
        nobody = np.full((1, 3), np.nan)
        with pytest.raises(ValueError, match="nobody's quality is known"):
            fit_soft(np.zeros((1, 3)), nobody, nobody)
        with pytest.raises(ValueError, match="one shape"):
            fit_soft(np.zeros((1, 3)), np.zeros((1, 2)), np.zeros((1, 3)))
        with pytest.raises(ValueError, match="delta must be finite"):
            fit_soft(np.full((1, 3), np.nan), np.zeros((1, 3)), np.zeros((1, 3)))
