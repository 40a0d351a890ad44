"""An arm of one's own: a function, tuned and served as the arms of the package are."""

from dataclasses import replace

import numpy as np
import pytest

from coldstart.arms import Arm, FunctionArm, arm
from coldstart.arms.popularity import PopularityArm


def by_counts(task, power=1.0):
    popular = task.train.user_items.getnnz(axis=0) ** power
    return lambda source, history: np.tile(popular, (len(source), 1))


def test_a_function_is_an_arm_with_its_name(small):
    made = arm()(by_counts)
    assert isinstance(made, Arm)
    assert (made.name, made.uses_source) == ("by-counts", True)
    named = FunctionArm(by_counts, name="mine", uses_source=False)
    assert (named.name, named.uses_source) == ("mine", False)
    scores = small.scores(made.fit(small.task), 2)
    everybody = replace(small.task, trials=1)  # popularity counts all rows before it tries others
    assert np.array_equal(scores, small.scores(PopularityArm().fit(everybody), 2))


def test_its_knobs_are_tuned_for_each_number_of_shots(small):
    made = arm(space={"power": [1.0, -1.0]})(by_counts).fit(small.task)
    assert made.settings() == {"power": {0: 1.0, 2: 1.0}}
    assert [(t.shots, t.setting["power"]) for t in made.tuned.trials] == [
        (0, 1.0),
        (0, -1.0),
        (2, 1.0),
        (2, -1.0),
    ]


def test_it_is_called_once_for_each_setting_and_once_without_any(small):
    calls = []

    def counting(task, **setting):
        calls.append(setting)
        return by_counts(task)

    FunctionArm(counting, space={"a": [1, 2]}).fit(small.task)
    assert calls == [{"a": 1}, {"a": 2}]
    calls.clear()
    made = FunctionArm(counting).fit(small.task)
    small.scores(made, 2)
    assert calls == [{}]
    assert made.settings() == {}


def test_it_gets_the_rows_and_histories_of_a_block(small):
    def echo(_):
        return lambda source, history: source[:, None] + history.toarray()

    made = FunctionArm(echo).fit(small.task)
    block = slice(3, 8)
    expected = small.test.source[block, None] + small.test.held.history(2)[block].toarray()
    np.testing.assert_array_equal(small.scores(made, 2, block), expected.astype(np.float32))


@pytest.mark.parametrize("trials", [1, 2])
def test_it_has_no_more_trials_than_others(small, trials):
    made = FunctionArm(by_counts, space={"power": [1.0, 0.5, 0.1]})
    tried = made.fit(replace(small.task, trials=trials)).tuned.trials
    assert [trial.shots for trial in tried] == [0] * trials + [2] * trials
