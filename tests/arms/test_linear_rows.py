"""Linear rows: the dual form against scikit-learn's ridge regression on the columns themselves."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from coldstart.arms import linear_rows
from coldstart.arms.linear_rows import LinearRowsArm


def regressed(world, ridge, *, unit_length, anchors=None):
    """Targets regressed on source rows beside a column: the root of their mean square length."""
    task = world.task
    anchors = task.anchors if anchors is None else anchors
    source = task.source.user_items.toarray().astype(np.float64)
    if unit_length:
        source /= np.linalg.norm(source, axis=1, keepdims=True)
    size = (source[anchors.source] ** 2).sum(axis=1).mean()
    source = np.hstack([source, np.full((len(source), 1), np.sqrt(size))])
    model = Ridge(alpha=ridge * size, fit_intercept=False, solver="svd")
    targets = task.train.user_items[anchors.target].toarray().astype(np.float64)
    return model.fit(source[anchors.source], targets).predict(source[world.test.source])


@pytest.mark.parametrize("ridge", [0.5, 20.0])
def test_scores_are_those_of_a_ridge_regression_on_the_columns(small, monkeypatch, ridge):
    monkeypatch.setattr(linear_rows, "RIDGES", (ridge,))
    arm = LinearRowsArm().fit(small.task)
    chosen = arm.settings()
    assert chosen["ridge"] == ridge
    expected = regressed(small, ridge, unit_length=chosen["source_rows"] == "unit length")
    np.testing.assert_allclose(small.scores(arm, 0), expected, rtol=1e-4, atol=1e-5)


def test_validation_people_choose_the_ridge_and_the_length_of_rows(small):
    validation = type(small)(small.task, small.task.validation)
    arm = LinearRowsArm().fit(small.task)

    def quality(scores):
        rows = scores.astype(np.float32).__getitem__
        return np.nanmean(small.task.quality(rows, validation.test, 0))

    best = max(
        quality(regressed(validation, ridge, unit_length=unit_length))
        for ridge in linear_rows.RIDGES
        for unit_length in (False, True)
    )
    assert quality(validation.scores(arm, 0)) == pytest.approx(best, abs=1e-9)


def test_what_has_come_back_changes_nothing(small):
    arm = LinearRowsArm().fit(small.task)
    assert np.array_equal(small.scores(arm, 2), small.scores(arm, 0))


def test_of_many_anchors_a_sample_is_used(small, monkeypatch):
    monkeypatch.setattr(linear_rows, "MOST_ANCHORS", 21)
    arm = LinearRowsArm().fit(small.task)
    chosen = arm.settings()
    assert chosen["anchors"] == 21 < len(small.task.anchors)
    sample = small.task.anchors.take(
        np.sort(np.random.default_rng(small.task.seed).permutation(len(small.task.anchors))[:21])
    )
    unit_length = chosen["source_rows"] == "unit length"
    expected = regressed(small, chosen["ridge"], unit_length=unit_length, anchors=sample)
    np.testing.assert_allclose(small.scores(arm, 0), expected, rtol=1e-4, atol=1e-5)


def test_scores_are_the_same_whoever_is_scored_at_one_time(small, monkeypatch):
    arm = LinearRowsArm().fit(small.task)
    whole = small.scores(arm, 0)
    monkeypatch.setattr(linear_rows, "PEOPLE_AT_ONCE", 5)
    np.testing.assert_allclose(small.scores(arm, 0), whole, rtol=1e-5, atol=1e-6)
