"""The row map is ridge regression from whole rows to whole rows, and the blend adds its scores."""

import numpy as np
import pytest
import scipy.sparse as sp

from coldstart import rowmap
from coldstart.errors import FitError
from coldstart.rowmap import RowMap, blended, spread_of

N, N_SOURCE, N_TARGET = 60, 33, 21


def rows(n, m, seed, density=0.25):
    """Weighted rows, the third of them empty."""
    rng = np.random.default_rng(seed)
    dense = rng.uniform(0.5, 3, (n, m)) * (rng.random((n, m)) < density)
    dense[2] = 0
    return sp.csr_matrix(dense.astype(np.float32))


def unit(matrix):
    dense = matrix.toarray().astype(np.float64)
    lengths = np.linalg.norm(dense, axis=1, keepdims=True)
    return dense / np.where(lengths > 0, lengths, 1)


def with_ones(matrix):
    return np.hstack([np.ones((matrix.shape[0], 1)), unit(matrix)])


@pytest.fixture(scope="module")
def anchors():
    return rows(N, N_SOURCE, 0), rows(N, N_TARGET, 1)


@pytest.mark.parametrize("ridge", [0.5, 20.0, 500.0])
def test_at_full_rank_it_is_a_dense_ridge_solve_over_the_target_columns(anchors, ridge):
    """The intercept has the ridge of every other column. Conjugate gradients stop at 1e-5."""
    source, target = anchors
    new = rows(9, N_SOURCE, 5)
    fitted = RowMap.fit(source, target, rank=N_TARGET, ridge=ridge)
    design = with_ones(source)
    gram = design.T @ design + ridge * np.eye(1 + N_SOURCE)
    expected = with_ones(new) @ np.linalg.solve(gram, design.T @ target.toarray())
    np.testing.assert_allclose(fitted.predict(new) @ fitted.columns.T, expected, atol=1e-4)


def test_at_low_rank_it_is_the_best_regression_of_that_rank():
    """Reduced rank ridge regression in closed form: the leading directions of what is fitted.

    What is fitted lies in three directions but for noise, so that they are told apart.
    """
    rng = np.random.default_rng(8)
    source = rows(300, N_SOURCE, 0, density=0.5)
    law = rng.normal(size=(1 + N_SOURCE, 3)) @ rng.normal(size=(3, N_TARGET))
    noisy = with_ones(source) @ law + 0.01 * rng.normal(size=(300, N_TARGET))
    target = sp.csr_matrix(noisy.astype(np.float32))
    design, dense = with_ones(source), target.toarray().astype(np.float64)
    full = np.linalg.solve(design.T @ design + 2.0 * np.eye(1 + N_SOURCE), design.T @ dense)
    _, vectors = np.linalg.eigh(dense.T @ design @ full)
    leading = vectors[:, -3:]
    fitted = RowMap.fit(source, target, rank=3, ridge=2.0)
    expected = design @ full @ leading @ leading.T
    np.testing.assert_allclose(fitted.predict(source) @ fitted.columns.T, expected, atol=2e-3)
    np.testing.assert_allclose(fitted.columns.T @ fitted.columns, np.eye(3), atol=1e-5)


def test_a_linear_law_between_rows_is_recovered():
    """With next to no ridge, what is linear in unit rows is said of new ones to 1%."""
    source = rows(300, 12, 3, density=0.6)
    law = np.random.default_rng(4).normal(size=(13, 8))
    target = sp.csr_matrix((with_ones(source) @ law).astype(np.float32))
    fitted = RowMap.fit(source, target, rank=8, ridge=1e-3)
    new = rows(20, 12, 6, density=0.6)
    expected = with_ones(new) @ law
    said = fitted.predict(new) @ fitted.columns.T
    assert np.abs(said - expected).max() < 0.01 * np.abs(expected).max()


def test_somebody_without_source_interactions_gets_the_intercept(anchors):
    fitted = RowMap.fit(*anchors, rank=6)
    nobody = fitted.predict(sp.csr_matrix((2, N_SOURCE), dtype=np.float32))
    assert np.array_equal(nobody, np.tile(fitted.weights[0], (2, 1)))


def test_the_rank_is_at_most_that_of_the_target(anchors):
    assert RowMap.fit(*anchors).columns.shape == (N_TARGET, N_TARGET)


def test_the_same_seed_gives_the_same_bits(anchors):
    ours, theirs = (RowMap.fit(*anchors, rank=6, rng=3) for _ in range(2))
    assert np.array_equal(ours.weights, theirs.weights)
    assert np.array_equal(ours.columns, theirs.columns)


def test_a_solve_that_does_not_converge_is_an_error(anchors, monkeypatch):
    monkeypatch.setattr(rowmap, "MOST_STEPS", 1)
    with pytest.raises(FitError, match="the row map did not converge in 1 steps"):
        RowMap.fit(*anchors, rank=6)


class TestBlend:
    @pytest.fixture
    def parts(self):
        rng = np.random.default_rng(7)
        own, other = rng.normal(size=(9, 4)), rng.normal(size=(9, 3))
        columns, added = rng.normal(size=(31, 4)) + 0.5, rng.normal(size=(31, 3)) - 2.0
        return tuple(part.astype(np.float32) for part in (own, other, columns, added))

    def test_scores_of_the_map_are_added_in_units_of_the_standard_deviation_over_the_catalog(
        self, parts
    ):
        x, z, y, v = parts
        weight = np.linspace(0, 2, 9)
        wide = blended(x, spread_of(y), z, spread_of(v), weight)
        scores = wide @ np.hstack([y, v]).T
        own, other = (a.astype(np.float64) @ b.T for a, b in ((x, y), (z, v)))
        scale = weight * own.std(axis=1) / other.std(axis=1)
        np.testing.assert_allclose(scores, own + scale[:, None] * other, rtol=1e-4, atol=1e-4)

    def test_where_the_map_says_nothing_the_rows_stay_as_they_are(self, parts):
        x, z, y, v = parts
        silent = np.zeros_like(z)
        wide = blended(x, spread_of(y), silent, spread_of(v), np.ones(9))
        assert np.array_equal(wide, np.hstack([x, silent]))

    def test_the_spread_is_the_covariance_of_the_columns(self, parts):
        expected = np.cov(parts[2].T.astype(np.float64), bias=True)
        np.testing.assert_allclose(spread_of(parts[2]), expected, rtol=1e-12)
        assert spread_of(np.zeros((5, 0), np.float32)).shape == (0, 0)
