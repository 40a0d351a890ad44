"""Ranks of popularity: those of scipy, of random groups, and of a group with other tastes."""

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.stats import spearmanr

from coldstart.agreement import _alike, rank_agreement, spearman


def crowd(seed, n=600, m=50, reverse=0):
    """People who choose item j in proportion to j + 5; the first `reverse` of them the other way
    round.
    """
    rng = np.random.default_rng(seed)
    liking = np.tile(np.arange(5, m + 5) / m, (n, 1))
    liking[:reverse] = liking[:reverse, ::-1]
    return sp.csr_matrix((rng.random((n, m)) < 0.3 * liking).astype(np.float32))


def test_it_is_the_rank_correlation_of_scipy_with_ties():
    rng = np.random.default_rng(0)
    a, b = rng.integers(6, size=40), rng.integers(6, size=40)
    assert spearman(a, b) == pytest.approx(spearmanr(a, b)[0], abs=1e-12)


def test_what_is_constant_has_no_ranks():
    assert np.isnan(spearman([1, 1, 1], [1, 2, 3]))
    assert np.isnan(spearman([1], [2]))


def test_a_random_group_agrees_as_random_groups_do():
    group = np.random.default_rng(1).random(600) < 0.4
    found = rank_agreement(crowd(0), group, rng=np.random.default_rng(0))
    assert found.columns == 50
    assert found.random > 0.8
    assert found.rho == pytest.approx(found.random, abs=0.1)


def test_a_group_with_the_opposite_taste_agrees_less_than_random_ones():
    group = np.arange(600) < 250
    found = rank_agreement(crowd(0, reverse=250), group, rng=np.random.default_rng(0))
    assert found.rho < -0.8
    assert found.random > 0


def test_items_that_hardly_anybody_has_are_left_out():
    rare = sp.csr_matrix((np.ones(2, np.float32), (range(2), [0] * 2)), shape=(600, 1))
    log = sp.hstack([crowd(0), rare], format="csr")
    found = rank_agreement(log, np.arange(600) < 300, rng=np.random.default_rng(0))
    assert found.columns == 50


def test_sparse_columns_of_one_crowd_do_not_seem_to_disagree():
    rng = np.random.default_rng(3)
    log = sp.csr_matrix((rng.random((400, 900)) < 0.015).astype(np.float32))
    found = [
        rank_agreement(log, np.arange(400) % 2 == 0, rng=np.random.default_rng(seed))
        for seed in range(5)
    ]
    assert all(abs(one.rho) < 0.15 for one in found)  # -0.33 where the same rows choose
    assert all(abs(one.random) < 0.1 for one in found)


@pytest.mark.parametrize("inside", [0, 8, 592, 600])
def test_with_fewer_than_10_rows_on_either_side_nothing_is_said(inside):
    assert rank_agreement(crowd(0), np.arange(600) < inside, rng=np.random.default_rng(0)) is None


def test_groups_drawn_at_random_are_as_large_and_as_active():
    activity = np.random.default_rng(0).integers(1, 200, size=1000)
    group = activity > 120
    drawn = _alike(activity, group, np.random.default_rng(1))
    assert drawn.sum() == group.sum()
    assert activity[drawn].sum() == pytest.approx(activity[group].sum(), rel=0.01)
    mixed = np.random.default_rng(2).random(1000) < 0.5
    assert (_alike(activity, mixed, np.random.default_rng(1)) != mixed).sum() > 300
