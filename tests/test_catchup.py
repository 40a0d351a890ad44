"""Time to quality: what is on the clock, who is measured, and what the file holds."""

import json
from dataclasses import replace

import numpy as np
import pytest

from coldstart.arms import factorization, make_arm
from coldstart.catchup import CLOSE, CatchUp, catch_up
from coldstart.datasets import make_cross_domain
from coldstart.errors import AnchorError
from coldstart.evaluation import evaluate
from coldstart.popularity import counts
from coldstart.protocols import Cold, task_of
from coldstart.race import one_by_one

SETTINGS = {"factors": 8, "n": 7, "rng": 3, "num_threads": 1}
SHOTS = (0, 1, 3)
SWEEPS = 4
POINT_KEYS = {"sweep", "seconds", "shots", "quality", "ci_low", "ci_high"}


@pytest.fixture(scope="module")
def logs():
    source, target = make_cross_domain(
        400, 90, 70, source_interactions=14, target_interactions=9, rng=1
    )
    return source, target


@pytest.fixture(scope="module")
def results(logs) -> CatchUp:
    return catch_up(*logs, shots=SHOTS, sweeps=SWEEPS, **SETTINGS)


@pytest.fixture(scope="module")
def task(logs):
    split = Cold().split(*logs, side="users", seed=3)
    return task_of(
        split,
        logs[0],
        shots=SHOTS,
        metric="ndcg",
        n=7,
        factors=8,
        seed=3,
        num_threads=1,
        side="users",
    )


def test_sweeps_one_by_one_are_bitwise_one_longer_fit(task):
    longer = task.new_model(iterations=SWEEPS).fit(task.train.user_items, show_progress=False)
    *_, (sweep, _, model) = one_by_one(task, SWEEPS)
    assert sweep == SWEEPS
    np.testing.assert_array_equal(model.user_factors, longer.user_factors)
    np.testing.assert_array_equal(model.item_factors, longer.item_factors)


def test_the_clock_never_goes_back(task):
    seconds = [seconds for _, seconds, _ in one_by_one(task, SWEEPS)]
    assert seconds[0] > 0
    assert seconds == sorted(seconds)


def test_every_sweep_is_measured_at_every_number_of_shots(results):
    swept = {(sweep, k) for sweep in range(1, SWEEPS + 1) for k in SHOTS}
    assert {(p.sweep, p.shots) for p in results.cold} == {(0, 0), *swept}
    assert [p.shots for p in results.warm] == list(SHOTS)
    assert all(p.ci_low <= p.quality <= p.ci_high for p in (*results.cold, *results.warm))


def test_people_are_those_of_the_evaluation(logs, results):
    evaluated = evaluate(*logs, arms=["popularity"], shots=SHOTS, same_people=True, **SETTINGS)
    measured, test = evaluated.value("popularity", 0).users, evaluated.config["test"]
    assert results.people == {"test": test, "measured": measured, "left_out": test - measured}


def test_popularity_is_as_good_at_any_number_of_shots(results):
    assert len({point.quality for point in results.popularity}) == 1


@pytest.fixture
def one_model(monkeypatch):
    """The arm without a source has only the usual model, as the cold side has."""
    monkeypatch.setattr(factorization, "MODELS", {"usual": {}})


@pytest.mark.usefixtures("one_model")
def test_at_the_most_shots_ten_sweeps_are_as_good_as_the_cold_arm_of_the_evaluation(logs):
    evaluated = evaluate(*logs, arms=["cold"], shots=SHOTS, same_people=True, **SETTINGS)
    row = evaluated.value("cold", SHOTS[-1])
    swept = catch_up(*logs, shots=SHOTS, sweeps=10, **SETTINGS).cold[-1]
    assert (swept.sweep, swept.shots) == (10, SHOTS[-1])
    assert swept.quality == pytest.approx(row.mean, abs=1e-12)


def test_popularity_ranks_by_the_counts_of_the_training_catalog(logs, task, results):
    test = Cold().split(*logs, side="users", seed=3).test
    popular = np.tile(counts(task.train.user_items), (len(test), 1))
    quality = task.quality(lambda block: popular[block], test, SHOTS[-1])
    counted = np.diff(test.held.truth(SHOTS[-1]).indptr) > 0
    assert results.cold[0].sweep == results.popularity[0].sweep == 0
    assert results.cold[0].quality == results.popularity[0].quality
    assert results.cold[0].quality == pytest.approx(quality[counted].mean(), abs=1e-12)


@pytest.mark.usefixtures("one_model")
def test_the_last_sweep_is_plain_als_tuned_as_the_arm_without_a_source(logs, task, results):
    test = Cold().split(*logs, side="users", seed=3).test
    task = replace(task)
    model = task.new_model(iterations=SWEEPS)
    task._models["usual"] = model.fit(task.train.user_items, show_progress=False)
    arm = make_arm("cold").fit(task)
    counted = np.diff(test.held.truth(SHOTS[-1]).indptr) > 0
    for point in results.cold[-len(SHOTS) :]:
        k = point.shots
        scores = arm.scorer(test.source, test.held.history(k), k)
        quality = task.quality(scores, test, SHOTS[-1])
        assert point.quality == pytest.approx(quality[counted].mean(), abs=1e-12)


def test_the_cold_side_is_timed_when_it_first_comes_close_to_its_best(results):
    for duel in results.duels:
        points = [p for p in results.cold if p.shots == duel.shots]
        assert duel.best == max(p.quality for p in points)
        close = [p.seconds for p in points if p.quality >= CLOSE * duel.best]
        assert duel.cold_seconds == min(close)


def test_the_warm_side_has_seconds_only_where_it_comes_as_close(results):
    for duel, point in zip(results.duels, results.warm, strict=True):
        assert duel.warm == point.quality
        assert duel.difference == pytest.approx(duel.warm - duel.best, abs=1e-12)
        if duel.warm >= CLOSE * duel.best:
            assert duel.warm_seconds == point.seconds
            assert duel.warm_and_source_seconds == point.seconds + results.source_seconds
        else:
            assert duel.warm_seconds is duel.warm_and_source_seconds is duel.ratio is None


def test_catching_up_takes_the_fewest_shots_that_do(results):
    either = [
        (p.shots, max(p.quality, duel.best))
        for p, duel in zip(results.popularity, results.duels, strict=True)
    ]
    enough = [k for k, quality in either if quality >= results.warm[0].quality]
    assert results.catch_up == (enough[0] if enough else None)


@pytest.mark.parametrize(("needed", "said"), [(None, "more than 3"), (1, "1"), (0, "0")])
def test_the_repr_says_what_it_takes_to_catch_up(results, needed, said):
    assert repr(replace(results, catch_up=needed)).endswith(f"catch-up {said})")


def test_qualities_are_the_same_every_time_and_for_any_number_of_threads(logs, results):
    again = catch_up(*logs, shots=SHOTS, sweeps=SWEEPS, **{**SETTINGS, "num_threads": 2})
    for ours, theirs in ((results.cold, again.cold), (results.warm, again.warm)):
        assert [p.quality for p in ours] == [p.quality for p in theirs]


def test_zero_shots_are_always_tried(logs):
    tried = catch_up(*logs, shots=[2, 2], sweeps=1, **SETTINGS)
    assert tried.config["shots"] == [0, 2]


def test_items_may_be_held_out(logs):
    source, _ = logs
    twins = catch_up(source, source, side="items", shots=[1], sweeps=1, **SETTINGS)
    assert twins.config["train"]["rows"] < len(source.items)


def test_the_repr_carries_the_numbers(results):
    first = results.duels[0]
    assert f"shots 0: cold {first.best:.4f}, warm {first.warm:.4f}" in repr(results)
    assert f"source {results.source_seconds:.2f} s" in repr(results)


def test_the_file_has_the_documented_keys_in_the_documented_order(results, tmp_path):
    path = results.save(tmp_path / "new")
    assert [p.name for p in path.parent.iterdir()] == ["benchmark.json"]
    values = json.loads(path.read_text())
    assert list(values) == [
        *("schema", "config", "popularity", "cold", "warm", "source_seconds", "seconds_to_95"),
        *("catch_up", "people"),
    ]
    assert values["schema"] == 1
    assert all(
        set(point) == POINT_KEYS
        for point in (*values["popularity"], *values["cold"], *values["warm"])
    )
    assert list(values["seconds_to_95"]) == ["0", "1", "3"]


def test_too_many_shots_are_an_error_that_says_how_many_people_have_more(logs):
    with pytest.raises(AnchorError, match=r"0 of \d+ test people have more than 60 interactions"):
        catch_up(*logs, shots=[60], **SETTINGS)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"side": "people"}, 'side must be "users" or "items"'),
        ({"metric": "auc"}, "unknown metric 'auc'"),
        ({"shots": [-1]}, "shots must be whole numbers of at least 0"),
        ({"sweeps": 0}, "sweeps must be a whole number of at least 1"),
    ],
)
def test_wrong_arguments_are_errors_that_say_what_is_expected(logs, wrong, message):
    with pytest.raises(ValueError, match=message):
        catch_up(*logs, **wrong)
