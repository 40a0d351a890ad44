"""What every arm promises, whatever it does with the source."""

import json
from dataclasses import replace

import numpy as np
import pytest

from coldstart.arms import ARMS, make_arm

SHOTS = (0, 2)
READS_NO_SOURCE_ROW = {
    "init": "conjugate gradients forget where they began: see test_init.py",
    "warm:mean": "MeanAdapter knows nothing of the source",
}
NOT_A_LIST_OF_THEIR_OWN = {
    ("cold", 0): "plain ALS gives rows without interactions zero factors",
    ("init", 0): "implicit sets rows without interactions to zero, whatever they were preset to",
}


# Warm arms differ in their adapters alone, which have a contract of their own.
OF_ONE_KIND = sorted(
    {name for name in ARMS if not name.startswith("warm:")} | {"warm:mean", "warm:ridge"}
)


@pytest.fixture(scope="module", params=OF_ONE_KIND)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def arm(name, small):
    return make_arm(name).fit(small.task)


def test_an_arm_has_the_name_it_is_known_by(name):
    assert make_arm(name).name == name


@pytest.mark.parametrize("shots", SHOTS)
def test_scores_are_finite_with_a_column_for_every_item_of_the_training_log(arm, small, shots):
    scores = small.scores(arm, shots)
    assert scores.shape == (len(small.test), len(small.task.train.items))
    assert scores.dtype == np.float32
    assert np.isfinite(scores).all()


@pytest.mark.parametrize("shots", SHOTS)
def test_scores_of_a_block_are_those_rows_of_the_whole(arm, small, shots):
    whole = small.scores(arm, shots)
    block = slice(3, 8)
    part = small.scores(arm, shots, block)
    np.testing.assert_allclose(part, whole[block], rtol=1e-5, atol=1e-6)


def test_whoever_the_source_does_not_know_is_served_and_changes_nothing_for_the_others(arm, small):
    history = small.test.held.history(2)
    some = np.arange(len(small.test)) % 3 == 0
    source = np.where(some, -1, small.test.source)
    scores = arm.scorer(source, history, 2)(slice(0, len(small.test)))
    assert np.isfinite(scores).all()
    # implicit fits all of them together: what one starts from changes the last bits of the others
    tolerance = {"rtol": 1e-2, "atol": 1e-3} if arm.name == "init" else {"rtol": 1e-5, "atol": 1e-6}
    np.testing.assert_allclose(scores[~some], small.scores(arm, 2)[~some], **tolerance)


def test_what_was_tried_is_kept_and_the_best_of_it_chosen(arm, small):
    told = arm.tuned.to_json()
    json.dumps(told)
    for shots in {trial["shots"] for trial in told["trials"]}:
        theirs = [trial for trial in told["trials"] if trial["shots"] == shots]
        assert len(theirs) <= small.task.most or arm.name == "auto"
        assert [trial["chosen"] for trial in theirs].count(True) == 1
        for trial in theirs:
            assert trial["setting"].keys() == told["space"].keys()
            assert all(value in told["space"][knob] for knob, value in trial["setting"].items())


@pytest.mark.parametrize("shots", SHOTS)
def test_a_second_fit_with_the_same_seed_gives_the_same_scores(name, arm, small, shots):
    again = make_arm(name).fit(replace(small.task))
    assert np.array_equal(small.scores(again, shots), small.scores(arm, shots))
    assert again.settings() == arm.settings()


def test_fitting_the_same_arm_again_is_a_fresh_fit(name, arm, small):
    twice = make_arm(name).fit(small.task).fit(small.task)
    assert np.array_equal(small.scores(twice, 2), small.scores(arm, 2))


@pytest.mark.parametrize("num_threads", [1, 3])
def test_scores_are_the_same_for_any_number_of_threads(name, arm, small, num_threads):
    threaded = make_arm(name).fit(replace(small.task, num_threads=num_threads))
    assert np.array_equal(small.scores(threaded, 2), small.scores(arm, 2))


def test_what_has_come_back_is_not_changed(arm, small):
    history = small.test.held.history(2)
    before = history.copy()
    arm.scorer(small.test.source, history, 2)(slice(0, len(small.test)))
    for part in ("data", "indices", "indptr"):
        assert np.array_equal(getattr(history, part), getattr(before, part))


def test_settings_are_plain_values_for_a_results_file(arm):
    assert json.loads(json.dumps(arm.settings()))


def test_an_arm_without_a_source_does_not_care_who_somebody_is_there(arm, small):
    if arm.uses_source:
        pytest.skip("reads source rows")
    history = small.test.held.history(2)
    block = slice(0, len(small.test))
    scores = arm.scorer(small.test.source[::-1], history, 2)(block)
    assert np.array_equal(scores, small.scores(arm, 2))


def test_an_arm_with_a_source_reads_it(arm, small):
    if not arm.uses_source:
        pytest.skip("reads no source rows")
    if arm.name in READS_NO_SOURCE_ROW:
        pytest.skip(READS_NO_SOURCE_ROW[arm.name])
    if arm.name == "auto":
        pytest.skip("its gate is closed in a catalog as small as this: see below")
    history = small.test.held.history(2)
    scores = arm.scorer(small.test.source[::-1], history, 2)(slice(0, len(small.test)))
    assert not np.allclose(scores, small.scores(arm, 2), rtol=1e-2)


@pytest.fixture(scope="module")
def fitted(name, default):
    return make_arm(name).fit(replace(default.task, trials=10))


def test_where_the_gate_opens_auto_reads_the_source(name, fitted, default):
    if name != "auto":
        pytest.skip("has no gate")
    history, block = default.test.held.history(2), slice(0, len(default.test))
    scores = fitted.scorer(default.test.source, history, 2)(block)
    others = fitted.scorer(default.test.source[::-1], history, 2)(block)
    assert not np.allclose(others, scores, rtol=1e-2)


def mean_quality(world, scorer, shots):
    return np.nanmean(world.task.quality(scorer, world.test, shots))


@pytest.mark.parametrize("shots", [0, 3])
def test_lists_are_at_least_twice_as_good_as_chance(name, fitted, default, shots):
    if (name, shots) in NOT_A_LIST_OF_THEIR_OWN:
        pytest.skip(NOT_A_LIST_OF_THEIR_OWN[name, shots])
    rng = np.random.default_rng(0)
    chances = rng.standard_normal((len(default.test), len(default.task.train.items)))
    chance = mean_quality(default, chances.astype(np.float32).__getitem__, shots)
    history = default.test.held.history(shots)
    scorer = fitted.scorer(default.test.source, history, shots)
    assert mean_quality(default, scorer, shots) > 2 * chance
