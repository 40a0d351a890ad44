"""Who can be told apart: the AUC against its definition, its interval, and known groups."""

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from coldstart.shift import _shares, covariate_shift


def gaussians(seed, gap, n=400, d=3, inside=0.5):
    """Rows of which a group is `gap` away in the first column."""
    rng = np.random.default_rng(seed)
    rows, group = rng.normal(size=(n, d)), rng.random(n) < inside
    rows[group, 0] += gap
    return rows, group


def shift(seed, gap, **sizes):
    return covariate_shift(*gaussians(seed, gap, **sizes), rng=np.random.default_rng(seed))


def test_shares_of_wins_are_the_auc_of_scikit_learn_ties_included():
    rng = np.random.default_rng(0)
    inside, outside = rng.integers(5, size=31) + 1.0, rng.integers(5, size=44) * 1.0
    label = np.repeat([1, 0], [31, 44])
    expected = roc_auc_score(label, np.concatenate([inside, outside]))
    above, below = _shares(inside, outside)
    assert above.mean() == pytest.approx(expected, abs=1e-12)
    assert below.mean() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("inside", [0.5, 0.15])
def test_a_random_group_cannot_be_told_apart(inside):
    found = [shift(seed, 0.0, inside=inside) for seed in range(60)]
    assert np.mean([one.auc for one in found]) == pytest.approx(0.5, abs=0.02)
    missed = sum(not one.low <= 0.5 <= one.high for one in found)
    assert missed <= 8  # of 60; at 95% more than 8 would be one case of 500


@pytest.mark.parametrize("gap", [0.5, 1.5])
def test_the_auc_of_two_gaussians_is_the_closed_form(gap):
    found = shift(1, gap, n=4000)
    expected = norm.cdf(gap / np.sqrt(2))
    assert found.auc == pytest.approx(expected, abs=0.02)
    assert found.low < expected < found.high


def test_few_wide_rows_are_not_told_apart_by_those_the_classifier_was_fitted_on():
    aucs = [shift(seed, 0.0, n=60, d=80).auc for seed in range(20)]
    assert np.mean(aucs) == pytest.approx(0.5, abs=0.06)  # fitted and scored on the same: 1.0


def test_groups_without_a_common_value_have_1():
    found = shift(2, 50.0, d=1)
    assert (found.auc, found.low, found.high) == (1.0, 1.0, 1.0)


def test_column_scales_shifts_and_constants_do_not_change_it():
    rows, group = gaussians(3, 0.7)
    other = np.hstack([rows * [1e-3, 1.0, 1e3] + 5, np.ones((len(rows), 1))])
    plain, moved = (covariate_shift(r, group, rng=np.random.default_rng(0)) for r in (rows, other))
    assert moved.auc == pytest.approx(plain.auc, abs=2e-3)


def test_sizes_are_counted_and_large_groups_drawn_from(monkeypatch):
    rows, group = gaussians(4, 1.0, inside=0.1)
    found = covariate_shift(rows, group, rng=np.random.default_rng(0))
    assert (found.inside, found.outside) == (group.sum(), (~group).sum())
    monkeypatch.setattr("coldstart.shift.MOST", 100)
    drawn = covariate_shift(rows, group, rng=np.random.default_rng(0))
    assert (drawn.inside, drawn.outside) == (group.sum(), 100)


@pytest.mark.parametrize("inside", [0, 19, 381, 400])
def test_with_fewer_than_20_rows_on_either_side_nothing_is_said(inside):
    rows, _ = gaussians(5, 1.0)
    assert covariate_shift(rows, np.arange(400) < inside, rng=np.random.default_rng(0)) is None


def test_the_sentence_says_whether_they_differ():
    assert str(shift(0, 0.0)).endswith(": no difference was found")
    assert str(shift(0, 0.7)).endswith(": they differ")
    assert str(shift(0, 3.0)).endswith(": they differ much")
