"""The evidence of a linear map against its definition, row by row, and on maps that are known."""

import numpy as np
import pytest
from scipy.stats import multivariate_t

from coldstart.map_evidence import linear_evidence, log_marginal


def drawn(seed, n=40, d_source=3, d=2, noise=1.0):
    rng = np.random.default_rng(seed)
    s = rng.normal(size=(n, d_source))
    return s, s @ rng.normal(size=(d_source, d)) + noise * rng.normal(size=(n, d))


def contrasts(n):
    """An orthonormal basis (n - 1, n) of what centring leaves."""
    return np.linalg.svd(np.eye(n) - 1 / n)[2][: n - 1]


def row_by_row(s, t, ridge, scale):
    """The log density of rows, each predicted from those before it."""
    d = t.shape[1]
    precision, weights = ridge * np.eye(s.shape[1]), np.zeros((s.shape[1], d))
    psi, freedom, total = scale * np.eye(d), d + 2.0, 0.0
    for x, y in zip(s, t, strict=True):
        spread = 1 + x @ np.linalg.solve(precision, x)
        df = freedom - d + 1
        total += multivariate_t(x @ weights, spread * psi / df, df=df).logpdf(y)
        off = y - x @ weights
        psi = psi + np.outer(off, off) / spread
        grown = precision + np.outer(x, x)
        weights = np.linalg.solve(grown, precision @ weights + np.outer(x, y))
        precision, freedom = grown, freedom + 1
    return total


def test_the_closed_form_is_the_product_of_predictions_row_by_row():
    s, t = drawn(0)
    s, t = s - s.mean(axis=0), t - t.mean(axis=0)
    basis, scale = contrasts(len(s)), np.mean(t**2)
    expected = row_by_row(basis @ s, basis @ t, 2.5, scale)
    assert log_marginal(s, t, 2.5) == pytest.approx(expected, abs=1e-8)


def test_for_one_target_column_it_is_a_multivariate_t():
    s, t = drawn(1, n=15, d=1)
    s, t = s - s.mean(axis=0), t - t.mean(axis=0)
    basis, scale = contrasts(len(s)), np.mean(t**2)
    shape = scale / 3 * (np.eye(14) + basis @ s @ s.T @ basis.T / 0.7)
    expected = multivariate_t(np.zeros(14), shape, df=3).logpdf(basis @ t[:, 0])
    assert log_marginal(s, t, 0.7) == pytest.approx(expected, abs=1e-9)


def test_an_infinite_ridge_is_the_intercept_alone():
    s, t = (rows - rows.mean(axis=0) for rows in drawn(2))
    assert log_marginal(s, t, 1e12) == pytest.approx(log_marginal(s, t, np.inf), abs=1e-6)


def test_it_is_the_bayes_factor_per_anchor_at_the_best_ridge():
    s, t = drawn(3)
    found = linear_evidence(s + 5, t - 7)
    s, t = s - s.mean(axis=0), t - t.mean(axis=0)
    scale = np.sum(s**2) / 3
    empty = log_marginal(s, t, np.inf)
    grid = [log_marginal(s, t, scale * ridge) - empty for ridge in np.logspace(-4, 3, 200)]
    assert found.per_anchor * 40 == pytest.approx(max(grid), abs=0.01)
    assert found.rows == 40


def test_one_scale_of_either_side_and_rotations_do_not_change_it():
    s, t = drawn(4)
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    other = linear_evidence(100 * s @ turn, 0.01 * t[:, ::-1])
    assert other.per_anchor == pytest.approx(linear_evidence(s, t).per_anchor, rel=1e-3)


def test_a_map_that_explains_more_has_more_evidence():
    values = [linear_evidence(*drawn(5, noise=noise)).per_anchor for noise in (0.3, 1.0, 3.0)]
    assert values[0] > values[1] > values[2]


def test_unrelated_rows_have_next_to_none():
    rng = np.random.default_rng(6)
    found = [linear_evidence(rng.normal(size=(60, 5)), rng.normal(size=(60, 4))) for _ in range(20)]
    assert max(one.per_anchor * 60 for one in found) < 5  # nats; a related map has dozens
    none = [one for one in found if one.per_anchor == 0]
    assert none
    assert all(one.ridge == np.inf for one in none)
    assert str(none[0]) == "no better than an intercept on 60 anchors"


@pytest.mark.parametrize("rows", [2, 10])
def test_too_few_rows_or_none_that_vary_have_no_evidence(rows):
    assert linear_evidence(np.ones((rows, 3)), np.ones((rows, 2))) is None
