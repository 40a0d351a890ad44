"""Arms without a source that fold in: against dense solves of the row equation in float64."""

import numpy as np
import pytest

from coldstart.arms import factorization
from coldstart.arms.factorization import ColdArm, MeanPriorArm


def folded_by_hand(model, history, ridge, mean=None, precision=None):
    """``(Y'Y + sum (c - 1) y y' + R I + L) x = sum c y + L m`` per row: ridge R, precision L."""
    items, alpha = model.item_factors.astype(np.float64), model.alpha
    width = items.shape[1]
    mean = np.zeros(width) if mean is None else mean
    precision = np.zeros((width, width)) if precision is None else precision
    rows = []
    for weights in history.toarray():
        if not weights.any():  # nothing pulls an unobserved row away from its mean
            rows.append(mean)
            continue
        confidence = np.where(weights > 0, alpha * weights, 1.0)
        matrix = (items.T * confidence) @ items + ridge * np.eye(width) + precision
        rows.append(np.linalg.solve(matrix, (weights > 0) * confidence @ items + precision @ mean))
    return np.array(rows) @ items.T


@pytest.mark.parametrize("ridge", [2.0, 200.0])
def test_cold_scores_solve_the_row_equation_around_zero(small, monkeypatch, ridge):
    monkeypatch.setattr(factorization, "RIDGES", (ridge,))
    arm = ColdArm().fit(small.task)
    expected = folded_by_hand(small.task.target_model, small.test.held.history(2), ridge)
    np.testing.assert_allclose(small.scores(arm, 2), expected, rtol=1e-4, atol=1e-5)
    assert arm.settings() == {"regularization": {0: ridge, 2: ridge}}


def test_without_interactions_a_cold_list_is_the_order_in_which_ties_fall(small):
    arm, task = ColdArm().fit(small.task), small.task
    assert not small.scores(arm, 0).any()
    scorer = arm.scorer(small.test.source, small.test.held.history(0), 0)
    lists = small.test.held.rank_all(scorer, 0, n=task.n, order=task.order).columns
    assert (lists == np.argsort(task.order)[: task.n]).all()


@pytest.mark.parametrize("shots", [0, 2])
@pytest.mark.parametrize("temper", [0.1, 30.0])
def test_mean_prior_scores_solve_the_row_equation_around_a_mean(small, monkeypatch, temper, shots):
    monkeypatch.setattr(factorization, "TEMPERS", (temper,))
    arm = MeanPriorArm().fit(small.task)
    task = small.task
    rows = folded_rows(task)
    whose, _, ridge = arm.settings()["mean, temper, regularization"][shots]
    mean = rows[{"all": slice(None), "anchors": task.anchors.target}[whose]].mean(axis=0)
    precision = temper * np.linalg.inv(np.cov(rows.T))
    history = small.test.held.history(shots)
    model = task.target_model
    expected = folded_by_hand(model, history, ridge, mean, precision)
    np.testing.assert_allclose(small.scores(arm, shots), expected, rtol=1e-3, atol=1e-4)


def folded_rows(task):
    """Training rows (n_rows, factors) from their scores: the item factors have full column rank."""
    model = task.target_model
    scores = folded_by_hand(model, task.train.user_items, model.regularization)
    return scores @ np.linalg.pinv(model.item_factors.astype(np.float64).T)


def test_the_mean_is_over_all_rows_or_over_the_anchors_as_validation_chooses(small):
    chosen = MeanPriorArm().fit(small.task).settings()["mean, temper, regularization"]
    assert set(chosen) == {0, 2}
    for whose, temper, ridge in chosen.values():
        assert ridge in (small.task.target_model.regularization, 0.0)
        assert whose in ("all", "anchors")
        assert temper in factorization.TEMPERS
