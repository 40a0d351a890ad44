"""An arm that a function makes is an arm like the others."""

from dataclasses import replace

import numpy as np
import pytest

from coldstart.arms import Arm, FunctionArm, PopularityArm, arm, popularity


@arm(space={"power": [1.0, -1.0]}, uses_source=False)
def damped(task, power):
    popular = task.train.user_items.getnnz(axis=0).astype(float)
    return lambda source, history: np.tile(power * popular, (len(source), 1))


def test_it_follows_the_protocol_and_has_the_name_of_the_function():
    assert isinstance(damped, Arm)
    assert (damped.name, damped.uses_source) == ("damped", False)

    @arm(name="other")
    def anything(task): ...

    assert (anything.name, anything.uses_source) == ("other", True)


def test_its_scores_are_those_of_the_function_under_the_setting_that_was_chosen(small, monkeypatch):
    monkeypatch.setattr(popularity, "HALF_LIVES", (None,))
    own, ours = damped.fit(small.task), PopularityArm().fit(small.task)
    everybody = small.task.train.user_items.getnnz(axis=0)
    assert own.settings() == {"power": {0: 1.0, 2: 1.0}}
    assert np.array_equal(small.scores(own, 2)[0], everybody)
    assert small.scores(own, 0).shape == small.scores(ours, 0).shape
    assert small.scores(own, 0, slice(3, 5)).shape[0] == 2


def test_it_is_called_once_for_each_setting_and_sees_blocks_of_people(small):
    called, seen = [], []

    def function(_, k):
        called.append(k)

        def scores(source, history):
            seen.append((len(source), history.shape))
            return np.zeros(history.shape)

        return scores

    made = FunctionArm(function, space={"k": [1, 2, 3]}).fit(replace(small.task, trials=2))
    assert called == [1, 2]
    assert {len(made.tuned.trials)} == {4}
    assert all(rows == shape[0] for rows, shape in seen)
    small.scores(made, 2)
    assert called == [1, 2]


def test_without_a_space_there_is_one_trial(small):
    made = FunctionArm(lambda task: lambda source, history: history.toarray()).fit(small.task)
    assert len(made.tuned.trials) == 1
    assert made.settings() == {}
    expected = small.test.held.history(2).toarray()
    np.testing.assert_array_equal(small.scores(made, 2), expected)


def test_a_function_alone_is_no_arm_and_the_message_says_what_makes_one():
    from coldstart.arms import make_arms

    with pytest.raises(TypeError, match=r"coldstart\.arms\.arm makes one of a function"):
        make_arms([lambda task: None])
