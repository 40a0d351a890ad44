"""Two embeddings of the same rows: closed forms, what may not change them, and fair p values."""

import numpy as np
import pytest
from scipy.stats import binom

from coldstart.similarity import alignment, canonical, debiased_cka, permutation_p

FAIR = 60  # pairs of unrelated rows on which p values are judged


def rows(seed, n=150, d=5):
    return np.random.default_rng(seed).normal(size=(n, d))


def rotation(seed, d):
    return np.linalg.qr(rows(seed, d, d))[0]


def unrelated(seed, n=40):
    return rows(seed, n, 4), rows(seed + 1000, n, 7)


def cka_by_kernels(x, y):
    """The unbiased HSIC of Song et al. as they write it, with whole kernels."""

    def hsic(k, l):  # noqa: E741
        n, one = len(k), np.ones(len(k))
        k, l = k - np.diag(np.diag(k)), l - np.diag(np.diag(l))  # noqa: E741
        sums = (one @ k @ one) * (one @ l @ one) / ((n - 1) * (n - 2))
        return (np.trace(k @ l) + sums - 2 / (n - 2) * one @ k @ l @ one) / (n * (n - 3))

    k, l = x @ x.T, y @ y.T  # noqa: E741
    return hsic(k, l) / np.sqrt(hsic(k, k) * hsic(l, l))


class TestCKA:
    def test_it_is_the_formula_on_whole_kernels_though_rows_are_not_centred(self):
        x = rows(0) + 2.0
        y = x @ rows(1, 5, 3) + rows(2, 150, 3)
        assert debiased_cka(x, y) == pytest.approx(cka_by_kernels(x, y), rel=1e-9)

    def test_rotations_shifts_and_one_scale_do_not_change_it(self):
        x, y = rows(0), rows(0) @ rows(1, 5, 3) + rows(2, 150, 3)
        moved = 7.0 * x @ rotation(3, 5) + 4.0, 0.1 * y @ rotation(4, 3) - 2.0
        assert debiased_cka(*moved) == pytest.approx(debiased_cka(x, y), rel=1e-9)

    def test_the_same_rows_but_for_a_rotation_have_1(self):
        assert debiased_cka(rows(0), rows(0) @ rotation(1, 5)) == pytest.approx(1, abs=1e-12)

    def test_a_scale_of_its_own_for_each_column_changes_it(self):
        assert debiased_cka(rows(0), rows(0) * [1, 2, 4, 8, 16]) < 0.9

    def test_unrelated_rows_wider_than_they_are_many_have_about_0(self):
        values = [debiased_cka(rows(s, 30, 80), rows(s + 500, 30, 80)) for s in range(40)]
        assert abs(np.mean(values)) < 0.02  # without the correction it is 0.7
        assert np.std(values) < 0.1

    def test_what_does_not_vary_has_none(self):
        assert np.isnan(debiased_cka(np.ones((30, 3)), rows(0, 30)))
        assert np.isnan(debiased_cka(rows(0, 3), rows(1, 3)))
        assert alignment(np.ones((30, 3)), rows(0, 30), rng=np.random.default_rng(0)) is None

    def test_related_rows_have_the_smallest_p_there_is(self):
        x, y = rows(0), rows(0) @ rows(1, 5, 3)
        found = alignment(x, y, permutations=99, rng=np.random.default_rng(0))
        assert found.p == 0.01
        assert (found.cka, found.rows) == (debiased_cka(x, y), 150)

    def test_p_values_of_unrelated_rows_are_about_uniform(self):
        p = [
            alignment(*unrelated(s), permutations=39, rng=np.random.default_rng(s)).p
            for s in range(FAIR)
        ]
        assert_about_uniform(p)


class TestCanonical:
    def test_correlations_of_many_rows_are_those_they_were_drawn_with(self):
        truth = np.array([0.9, 0.6, 0.3])
        x, noise = rows(0, 20_000, 3), rows(1, 20_000, 3)
        y = truth * x + np.sqrt(1 - truth**2) * noise
        mixed = x @ rows(2, 3, 3), y @ rows(3, 3, 3)
        found = canonical(*mixed, permutations=19, rng=np.random.default_rng(0))
        assert np.allclose(found.correlations, truth, atol=0.03)
        assert found.above == 3

    def test_the_same_rows_but_for_a_rotation_have_about_1_in_every_direction(self):
        x = rows(0, 2000)
        found = canonical(x, x @ rotation(1, 5), permutations=19, rng=np.random.default_rng(0))
        assert np.allclose(found.correlations, 1, atol=0.01)

    def test_rotations_shifts_and_one_scale_do_not_change_them(self):
        x, y = rows(0), rows(0) @ rows(1, 5, 3) + rows(2, 150, 3)
        moved = 7.0 * x @ rotation(3, 5) + 4.0, 0.1 * y @ rotation(4, 3) - 2.0
        plain, other = (
            canonical(*pair, permutations=19, rng=np.random.default_rng(0))
            for pair in ((x, y), moved)
        )
        assert np.allclose(plain.correlations, other.correlations, rtol=1e-8)
        assert (plain.p, plain.above) == (other.p, other.above)
        assert plain.level == pytest.approx(other.level, rel=1e-8)

    def test_it_is_what_projecting_the_held_out_rows_gives(self, monkeypatch):
        monkeypatch.setattr("coldstart.similarity.FOLDS", 2)
        x, y = rows(0, 60), rows(0, 60) @ rows(1, 5, 3) + rows(2, 60, 3)
        order = np.random.default_rng(0).permutation(60)
        found = canonical(x, y, permutations=1, rng=np.random.default_rng(0))
        halves = order[:30], order[30:]
        parts = [projected(x, y, *pair) for pair in (halves, halves[::-1])]
        a, b = (np.concatenate(side) for side in zip(*parts, strict=True))
        expected = (a * b).sum(axis=0) / np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0))
        assert np.allclose(found.correlations, expected, rtol=1e-9)

    def test_few_wide_unrelated_rows_do_not_inflate_them(self):
        best = [
            np.mean(canonical(rows(s, 40, 30), rows(s + 99, 40, 30), permutations=1,
                              rng=np.random.default_rng(s)).correlations)
            for s in range(20)
        ]  # fmt: skip
        assert abs(np.mean(best)) < 0.05  # on the rows that chose them they are 1, 1, 1, ...

    def test_p_values_of_unrelated_rows_are_about_uniform(self):
        p = [
            canonical(*unrelated(s), permutations=39, rng=np.random.default_rng(s)).p
            for s in range(FAIR)
        ]
        assert_about_uniform(p)

    def test_only_related_directions_are_above_the_level(self):
        x = rows(0, 400, 6)
        y = rows(1, 400, 6)
        y[:, :2] += 2 * x[:, :2]
        found = canonical(x, y, rng=np.random.default_rng(0))
        assert found.above == 2
        assert found.p == 0.005
        assert str(found).startswith("2 of 6 directions are above the level of random pairs")

    @pytest.mark.parametrize("x", [rows(0, 19), np.ones((50, 5))])
    def test_too_few_rows_or_none_that_vary_have_none(self, x):
        assert canonical(x, rows(1, len(x)), rng=np.random.default_rng(0)) is None


def projected(x, y, train, held):
    """Both sides of the held-out rows on the ridge directions of the others."""
    roots, sides = [], []
    for z in (x, y):
        centred = z[train] - z[train].mean(axis=0)
        covariance = centred.T @ centred / len(train)
        ridge = np.trace(covariance) / len(train)
        values, vectors = np.linalg.eigh(covariance + ridge * np.eye(z.shape[1]))
        roots.append(vectors @ np.diag(values**-0.5) @ vectors.T)
        sides.append((centred, z[held] - z[train].mean(axis=0)))
    cross = sides[0][0].T @ sides[1][0] / len(train)
    left, _, right = np.linalg.svd(roots[0] @ cross @ roots[1], full_matrices=False)
    return sides[0][1] @ roots[0] @ left, sides[1][1] @ roots[1] @ right.T


def assert_about_uniform(p):
    """Small values are about as frequent as they say (99.9% limits of a binomial)."""
    for level in (0.1, 0.3, 0.5, 0.8):
        below = np.sum(np.array(p) <= level + 1e-9)
        low, high = binom.interval(0.999, len(p), level)
        assert low <= below <= high


def test_p_counts_the_value_itself_and_ties():
    assert permutation_p(2.0, np.array([1.0, 2.0, 3.0])) == 3 / 4
    assert permutation_p(9.0, np.array([1.0, 2.0, 3.0])) == 1 / 4
