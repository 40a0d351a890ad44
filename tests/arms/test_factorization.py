"""Arms without a source that fold in: against dense solves of the row equation in float64."""

import numpy as np
import pytest

from coldstart.arms import factorization
from coldstart.arms.base import MODELS
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


@pytest.fixture
def only(monkeypatch):
    """Leave nothing to choose of a knob; other models are left out by their name."""

    def pin(**knobs):
        for name, value in knobs.items():
            pinned = {value: MODELS[value]} if name == "MODELS" else (value,)
            monkeypatch.setattr(factorization, name, pinned)

    return pin


@pytest.mark.parametrize(("ridge", "model"), [(2.0, "usual"), (200.0, "usual"), (20.0, "wider")])
def test_cold_scores_solve_the_row_equation_around_zero(small, only, ridge, model):
    only(RIDGES=ridge, MODELS=model)
    arm = ColdArm().fit(small.task)
    expected = folded_by_hand(small.task.model(model), small.test.held.history(2), ridge)
    np.testing.assert_allclose(small.scores(arm, 2), expected, rtol=1e-4, atol=1e-5)
    chosen = {"regularization": ridge, "model": model}
    assert arm.settings() == {knob: {0: value, 2: value} for knob, value in chosen.items()}


def test_without_interactions_a_cold_list_is_the_order_in_which_ties_fall(small):
    arm, task = ColdArm().fit(small.task), small.task
    assert not small.scores(arm, 0).any()
    scorer = arm.scorer(small.test.source, small.test.held.history(0), 0)
    lists = small.test.held.rank_all(scorer, 0, n=task.n, order=task.order).columns
    assert (lists == np.argsort(task.order)[: task.n]).all()


@pytest.mark.parametrize("shots", [0, 2])
@pytest.mark.parametrize(
    ("temper", "model"), [(0.1, "usual"), (30.0, "usual"), (1.0, "less confident")]
)
def test_mean_prior_scores_solve_the_row_equation_around_a_mean(small, only, temper, model, shots):
    only(TEMPERS=temper, MODELS=model)
    arm = MeanPriorArm().fit(small.task)
    task, history = small.task, small.test.held.history(shots)
    rows = folded_rows(task, model)
    chosen = arm.tuned[shots]
    assert (chosen["temper"], chosen["model"]) == (temper, model)
    mean = rows[{"all": slice(None), "anchors": task.anchors.target}[chosen["mean"]]].mean(axis=0)
    precision = temper * np.linalg.inv(np.cov(rows.T))
    ridge = chosen["regularization"]
    expected = folded_by_hand(task.model(model), history, ridge, mean, precision)
    np.testing.assert_allclose(small.scores(arm, shots), expected, rtol=1e-3, atol=1e-4)


def folded_rows(task, name):
    """Training rows (n_rows, factors) from their scores: the item factors have full column rank."""
    model = task.model(name)
    scores = folded_by_hand(model, task.train.user_items, model.regularization)
    return scores @ np.linalg.pinv(model.item_factors.astype(np.float64).T)


@pytest.mark.parametrize("make", [ColdArm, MeanPriorArm])
def test_validation_people_choose_every_knob_for_each_number_of_shots(small, make):
    arm = make().fit(small.task)
    assert set(arm.tuned) == {0, 2}
    for shots, chosen in arm.tuned.items():
        theirs = [trial for trial in arm.tuned.trials if trial.shots == shots]
        best = max(theirs, key=lambda trial: trial.quality)
        assert chosen == best.setting
        validation = type(small)(small.task, small.task.validation)
        rows = validation.scores(arm, shots).__getitem__
        assert small.task.mean_quality(rows, validation.test, shots) == best.quality
        assert len({trial.quality for trial in theirs}) > 1 or (make, shots) == (ColdArm, 0)


def test_the_mean_is_over_all_rows_or_over_the_anchors(small, only):
    only(TEMPERS=1.0, MODELS="usual")
    asked = {trial.setting["mean"] for trial in MeanPriorArm().fit(small.task).tuned.trials}
    assert asked == {"all", "anchors"}
