"""Joint: against a table of both catalogs put together cell by cell."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from coldstart.arms import joint
from coldstart.arms.joint import JointArm


def table_by_hand(source, train, weight):
    """People of the source, then those of the target alone; source columns, then target columns."""
    people = [*source.users, *(person for person in train.users if person not in source.users)]
    table = np.zeros((len(people), len(source.items) + len(train.items)), np.float32)
    for log, begin, factor in ((source, 0, weight), (train, len(source.items), 1.0)):
        cells = log.user_items.tocoo()
        for row, column, value in zip(cells.row, cells.col, cells.data, strict=True):
            table[people.index(log.users.ids[row]), begin + column] = np.float32(factor) * value
    return csr_matrix(table)


@pytest.mark.parametrize("shots", [0, 2])
@pytest.mark.parametrize(("weight", "ridge"), [(0.1, 20.0), (1.0, 200.0)])
def test_scores_are_those_of_one_model_of_both_catalogs(small, monkeypatch, weight, ridge, shots):
    monkeypatch.setattr(joint, "SOURCE_WEIGHTS", (weight,))
    monkeypatch.setattr(joint, "RIDGES", (ridge,))
    arm = JointArm().fit(small.task)
    source, train = small.task.source, small.task.train
    table = table_by_hand(source, train, weight)
    model = small.task.new_model().fit(table, show_progress=False)
    rows = np.hstack(
        [
            np.float32(weight) * source.user_items[small.test.source].toarray(),
            small.test.held.history(shots).toarray(),
        ]
    )
    model.user_regularization_ = ridge  # of the fold-in alone
    expected = model.fold_in(csr_matrix(rows)) @ model.item_factors[len(source.items) :].T
    np.testing.assert_allclose(small.scores(arm, shots), expected, rtol=1e-4, atol=1e-5)
    chosen = {"source_weight": weight, "regularization": ridge}
    assert arm.settings() == {knob: {0: value, 2: value} for knob, value in chosen.items()}


@pytest.mark.parametrize("shots", [0, 2])
def test_validation_people_choose_the_source_weight_and_the_ridge(small, monkeypatch, shots):
    validation = type(small)(small.task, small.task.validation)

    def quality(arm):
        rows = validation.scores(arm, shots).__getitem__
        return np.nanmean(small.task.quality(rows, validation.test, shots))

    chosen = JointArm().fit(small.task)
    assert chosen.tuned.space["source_weight"] == joint.SOURCE_WEIGHTS
    monkeypatch.setattr(joint, "RIDGES", joint.RIDGES[:2])
    qualities = {}
    for weight in joint.SOURCE_WEIGHTS:
        monkeypatch.setattr(joint, "SOURCE_WEIGHTS", (weight,))
        arm = JointArm().fit(small.task)
        qualities[weight] = quality(arm)
    assert len(set(qualities.values())) > 1
    assert quality(chosen) >= max(qualities.values())
    trials = [trial.quality for trial in chosen.tuned.trials if trial.shots == shots]
    assert quality(chosen) == max(trials)
