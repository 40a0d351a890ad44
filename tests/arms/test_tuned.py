"""Tuning: the same number of trials for every arm, and the best of them is taken."""

import json
import math
import time
from itertools import product

import pytest

from coldstart.arms.tuned import Trial, Tuned, tune

SMALL = {"ridge": (2.0, 20.0, 200.0), "model": ("usual", "wider")}
LARGE = {"a": range(7), "b": range(5), "c": range(6)}  # 210 settings


def tuned(space, quality, *, shots=(0, 3), trials=40, seconds=None, seed=1):
    return tune(space, shots, quality, trials=trials, seconds=seconds, seed=seed)


def separable(best):
    """Worth falls with the distance of every knob from its best value, each by its own weight."""
    weights = {"a": 1.0, "b": 0.3, "c": 0.7}
    return lambda setting, _: -sum(w * abs(setting[k] - best[k]) for k, w in weights.items())


def settings(found, shots):
    return [tuple(trial.setting.values()) for trial in found.trials if trial.shots == shots]


def test_a_small_space_is_searched_whole_in_its_order_for_each_number_of_shots():
    found = tuned(SMALL, lambda setting, k: setting["ridge"] * (1 if k else -1), trials=6)
    for shots in (0, 3):
        assert settings(found, shots) == list(product(*SMALL.values()))
    assert dict(found) == {
        0: {"ridge": 2.0, "model": "usual"},
        3: {"ridge": 200.0, "model": "usual"},
    }


@pytest.mark.parametrize("trials", [1, 2, 7, 40, 209, 210, 500])
def test_no_more_is_tried_than_may_be_and_everything_where_it_may(trials):
    found = tuned(LARGE, separable({"a": 4, "b": 2, "c": 3}), trials=trials)
    for shots in (0, 3):
        tried = settings(found, shots)
        assert len(tried) == len(set(tried)) == min(trials, 210)


@pytest.mark.parametrize("best", [(0, 0, 0), (6, 4, 5), (3, 1, 4), (2, 4, 0)])
def test_turning_knobs_finds_the_best_of_a_separable_quality(best):
    """The usual setting, and then the other values of each knob: 1 + 6 + 4 + 5 trials."""
    wanted = dict(zip("abc", best, strict=True))
    found = tuned(LARGE, separable(wanted), shots=(1,), trials=16)
    assert dict(found) == {1: wanted}
    assert settings(found, 1)[0] == (0, 0, 0)


def test_a_knob_is_turned_again_where_another_one_has_moved():
    """With b at 2 the best a is 5, and else it is 1."""

    def quality(setting, _):
        return setting["b"] - abs(setting["a"] - (5 if setting["b"] == 2 else 1)) / 10

    space = {"a": range(7), "b": range(3)}
    assert dict(tuned(space, quality, shots=(0,), trials=20)) == {0: {"a": 5, "b": 2}}


def test_what_is_left_of_the_trials_are_random_settings():
    """The best one differs from what turning knobs arrives at in all of them: of 194 settings that
    this leaves, 97 are tried, and the best is among them in about half of 60 draws.
    """
    hidden, start = {"a": 6, "b": 4, "c": 5}, dict.fromkeys("abc", 0)

    def quality(setting, _):
        return 10.0 if setting == hidden else separable(start)(setting, 0)

    found = [tuned(LARGE, quality, shots=(0,), trials=16 + 97, seed=seed)[0] for seed in range(60)]
    assert 15 < found.count(hidden) < 45  # four standard deviations
    assert found.count(hidden) + found.count(start) == 60
    assert tuned(LARGE, quality, shots=(0,), trials=16)[0] == start


def test_the_seed_and_the_shots_decide_which_random_settings_those_are():
    worth = separable(dict.fromkeys("abc", 0))
    first, same, other = (tuned(LARGE, worth, trials=60, seed=seed) for seed in (1, 1, 2))
    assert first.trials == same.trials
    assert settings(first, 0) != settings(other, 0)
    assert settings(first, 0) != settings(first, 3)
    alone = tuned(LARGE, worth, shots=(3,), trials=60)
    assert settings(alone, 3) == settings(first, 3)


@pytest.mark.parametrize("trials", [6, 4, 1])
def test_of_equal_settings_the_first_is_taken_and_that_is_the_usual_one(trials):
    found = tuned(SMALL, lambda *_: 0.25, trials=trials)
    assert set(map(str, found.values())) == {"{'ridge': 2.0, 'model': 'usual'}"}


@pytest.mark.parametrize("space", [SMALL, LARGE])
def test_where_nobody_has_anything_left_to_find_the_usual_setting_is_taken(space):
    found = tuned(space, lambda *_: math.nan, trials=30)
    assert list(found[0].values()) == [knob[0] for knob in space.values()]


def test_a_setting_without_a_quality_is_never_better():
    found = tuned(SMALL, lambda setting, _: math.nan if setting["ridge"] == 2.0 else -1.0)
    assert found[0] == {"ridge": 20.0, "model": "usual"}


def slow(_setting, _shots):
    time.sleep(0.02)
    return 0.5


def test_after_the_seconds_nothing_new_is_tried_but_the_usual_setting_always_is():
    found = tuned(LARGE, slow, seconds=1e-9)
    assert settings(found, 0) == settings(found, 3) == [(0, 0, 0)]
    found = tuned(SMALL, slow, seconds=1e-9)
    assert settings(found, 0) == settings(found, 3) == [(2.0, "usual")]


def test_numbers_of_shots_share_the_seconds():
    found = tuned(LARGE, slow, shots=(0, 1, 2), seconds=0.3)
    counts = [len(settings(found, k)) for k in (0, 1, 2)]
    assert sum(counts) <= 3 * 40
    assert min(counts) > 1
    assert sum(counts) * 0.02 < 0.3 + 3 * 0.02 + 0.02


def test_time_that_the_first_ones_leave_is_for_the_last():
    def quality(setting, shots):
        return slow(setting, shots) if shots else 0.5

    found = tuned({"a": range(10)}, quality, shots=(0, 1), trials=10, seconds=60.0)
    assert [len(settings(found, k)) for k in (0, 1)] == [10, 10]


def test_it_is_a_mapping_of_shots_that_tells_its_knobs_apart():
    found = tuned(SMALL, lambda setting, k: -setting["ridge"] if k else setting["ridge"])
    assert list(found) == [0, 3]
    assert len(found) == 2
    assert found == {0: found[0], 3: found[3]}
    assert found.settings() == {
        "ridge": {0: 200.0, 3: 2.0},
        "model": {0: "usual", 3: "usual"},
    }
    with pytest.raises(KeyError):
        found[1]


def test_plain_values_have_the_space_and_every_trial_and_one_chosen_for_each_number_of_shots():
    found = tuned(SMALL, lambda setting, _: setting["ridge"], trials=4)
    told = json.loads(json.dumps(found.to_json()))
    assert told["space"] == {"ridge": [2.0, 20.0, 200.0], "model": ["usual", "wider"]}
    assert [trial["shots"] for trial in told["trials"]] == [0] * 4 + [3] * 4
    chosen = [trial for trial in told["trials"] if trial["chosen"]]
    assert [trial["setting"]["ridge"] for trial in chosen] == [200.0, 200.0]
    assert [trial["quality"] for trial in chosen] == [200.0, 200.0]


def test_what_an_arm_tried_itself_keeps_what_it_chose():
    """It need not be the best: a cautious search stays at home."""
    trials = [
        {"shots": 0, "setting": {"temper": 1.0}, "quality": 0.1, "chosen": True},
        {"shots": 0, "setting": {"temper": 3.0}, "quality": 0.2, "chosen": False},
    ]
    found = Tuned.of({"temper": [1.0, 3.0, 10.0]}, trials)
    assert found.trials[1] == Trial(0, {"temper": 3.0}, 0.2)
    assert found.to_json() == {"space": {"temper": [1.0, 3.0, 10.0]}, "trials": trials}
    assert Tuned.of({}, []).to_json() == {"space": {}, "trials": []}
