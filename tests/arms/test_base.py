"""What arms may learn from, how they choose, and how they are named."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from coldstart.adapters import ADAPTERS
from coldstart.als import PriorALS
from coldstart.arms import ARMS, Arm, make_arm, make_arms
from coldstart.arms.base import MODELS, TRIALS, rows_of
from coldstart.interactions import Interactions

FAR = 1000  # more shots than anybody has interactions
TOLERANCE = 1e-12  # sums of a few terms in float64


def truth_scorer(people, shots, sign=1):
    """Scores that put everything to be found first, or last."""
    truth = people.held.truth(shots).toarray()
    return (sign * truth).astype(np.float32).__getitem__


def with_rows(log, users, rows):
    """The log with further rows (n, n_items)."""
    matrix = np.vstack([log.user_items.toarray(), rows])
    return Interactions.from_csr(matrix, users=[*log.users, *users], items=log.items)


def test_anchors_are_the_rows_with_interactions_in_both_catalogs(small):
    task = small.task
    source, train = task.source, task.train
    people = [user for user in source.users if user not in train.users][:2]
    listed = with_rows(train, people, np.zeros((2, len(train.items))))  # nothing of them is known
    anchors = replace(task, train=listed).anchors
    common = {user for user in train.users if user in source.users}
    assert set(source.users.ids[anchors.source]) == set(listed.users.ids[anchors.target]) == common
    assert 0 < len(common) < len(train.users)


def test_models_have_the_width_seed_and_threads_of_the_task(small):
    task = replace(small.task, num_threads=2)
    settings = task.new_model(alpha=7.0).get_params()
    asked = {"factors": 5, "rng": 5, "num_threads": 2, "alpha": 7.0}
    assert settings == {**PriorALS().get_params(), **asked}


def test_the_model_of_the_target_is_plain_als_of_the_training_log_fitted_once(small):
    task = small.task
    model = PriorALS(factors=task.factors, rng=task.seed)
    model.fit(task.train.user_items, show_progress=False)
    assert np.array_equal(task.target_model.item_factors, model.item_factors)
    assert np.array_equal(task.target_model.user_factors, model.user_factors)
    assert task.target_model is task.target_model


def test_target_rows_solve_their_equations_exactly(small):
    model = small.task.target_model
    confidence = model.alpha * small.task.train.user_items.toarray().astype(np.float64)
    items = model.item_factors.astype(np.float64)
    for row, c in zip(small.task.target_rows, confidence, strict=True):
        seen = c > 0
        left = items.T @ items + (items[seen].T * (c[seen] - 1)) @ items[seen]
        left += model.regularization * np.eye(len(left))
        expected = np.linalg.solve(left, items[seen].T @ c[seen])
        np.testing.assert_allclose(row, expected, rtol=1e-4, atol=1e-6)  # rows are float32


def test_quality_is_the_metric_of_the_task_person_by_person(small):
    people = small.task.validation
    scores = truth_scorer(people, 0)
    np.testing.assert_allclose(small.task.quality(scores, people, 0), 1.0, rtol=TOLERANCE)
    sizes = np.diff(people.held.matrix.indptr)
    recall = replace(small.task, metric="recall").quality(scores, people, 0)
    np.testing.assert_allclose(recall, np.minimum(sizes, small.task.n) / sizes, rtol=TOLERANCE)


def test_people_with_nothing_left_to_find_have_no_quality_and_do_not_count_in_the_mean(small):
    people = small.task.validation
    sizes = np.diff(people.held.matrix.indptr)
    shots = int(np.sort(sizes)[2])  # at least three people have no more than that
    scores = truth_scorer(people, shots)
    quality = small.task.quality(scores, people, shots)
    assert np.array_equal(np.isnan(quality), sizes <= shots)
    mean = small.task.mean_quality(scores, people, shots)
    assert mean == pytest.approx(1.0, rel=TOLERANCE)
    assert np.isnan(small.task.mean_quality(truth_scorer(people, FAR), people, FAR))


def test_ties_fall_by_the_order_of_the_task(small):
    task, people = small.task, small.task.validation
    nothing = np.zeros((len(people), len(task.train.items)), np.float32).__getitem__
    first = np.argsort(task.order)[: task.n]
    hit = people.held.truth(0)[:, first].sum(axis=1).A1 > 0
    quality = replace(task, metric="hit_rate").quality(nothing, people, 0)
    assert np.array_equal(quality, hit.astype(float))


def test_the_best_setting_is_chosen_for_each_number_of_shots(small):
    people = small.task.validation

    def scorer(setting, source, history):
        assert np.array_equal(source, people.source)
        shots = int(np.diff(history.indptr).max())
        return truth_scorer(people, shots, 1 if setting == {"right at": shots} else -1)

    chosen = small.task.choose({"right at": (1, 2, 0)}, scorer)
    assert chosen == {0: {"right at": 0}, 2: {"right at": 2}}


@pytest.mark.parametrize("shots", [0, FAR])
def test_the_first_of_equal_settings_is_chosen_and_so_it_is_where_nobody_has_truth(small, shots):
    task = replace(small.task, shots=(shots,))
    space = {"which": ["first", "second"]}
    chosen = task.choose(space, lambda *_: truth_scorer(task.validation, shots))
    assert chosen == {shots: {"which": "first"}}


def test_history_is_what_has_come_back_to_validation_people(small):
    seen = {}

    def scorer(_setting, _source, history):
        seen[int(np.diff(history.indptr).max())] = history
        return truth_scorer(small.task.validation, 0)

    small.task.choose({"nothing": [None]}, scorer)
    for shots, history in seen.items():
        assert (history != small.task.validation.held.history(shots)).nnz == 0
    assert seen.keys() == {0, 2}


@pytest.mark.parametrize("trials", [1, 2])
def test_an_arm_may_try_as_many_settings_as_the_task_says(small, trials):
    task = replace(small.task, trials=trials)
    tried = []

    def scorer(setting, _source, history):
        tried.append((setting["knob"], int(np.diff(history.indptr).max())))
        return truth_scorer(task.validation, 0)

    chosen = task.choose({"knob": ["usual", "b", "c"]}, scorer)
    assert [shots for _, shots in tried] == [0] * trials + [2] * trials
    assert chosen.settings() == {"knob": {0: "usual", 2: "usual"}}
    assert task.most == trials
    assert small.task.most == TRIALS


def test_an_arm_without_time_gets_its_usual_setting_at_every_number_of_shots(small):
    task = replace(small.task, budget=1e-9)
    chosen = task.choose({"knob": [1, 2]}, lambda *_: truth_scorer(task.validation, 0, -1))
    assert [trial.setting for trial in chosen.trials] == [{"knob": 1}] * 2


@pytest.mark.parametrize("name", MODELS)
def test_other_models_have_multiples_of_the_usual_settings_and_are_fitted_once(small, name):
    task = small.task
    usual, model = task.new_model().get_params(), task.model(name)
    expected = {knob: usual[knob] * factor for knob, factor in MODELS[name].items()}
    assert model.get_params() == {**usual, **expected}
    assert isinstance(model.factors, int)
    assert task.model(name) is model
    assert task.rows(name) is task.rows(name)
    assert task.rows(name).shape == (len(task.train.users), model.factors)
    assert np.array_equal(task.rows(name), model.fold_in(task.train.user_items))


def test_rows_of_a_matrix_are_empty_for_nowhere(small):
    matrix = small.task.source.user_items
    found = rows_of(matrix, np.array([3, -1, 0, -1]))
    expected = matrix[[3, 0, 0, 0]].toarray()
    expected[[1, 3]] = 0
    assert np.array_equal(found.toarray(), expected)
    assert found.nnz == matrix[[3, 0]].nnz
    assert (rows_of(matrix, np.array([5, 2])) != matrix[[5, 2]]).nnz == 0


def test_people_are_known_where_the_training_log_has_interactions_of_theirs(small):
    task, people = small.task, small.task.validation
    assert not task.known
    held = replace(people.held, known=np.zeros(len(people), np.int64))
    assert replace(task, validation=replace(people, held=held)).known


@pytest.mark.parametrize("name", ARMS)
def test_every_arm_follows_the_protocol(name):
    assert isinstance(make_arm(name), Arm)


def test_there_is_a_warm_arm_for_every_adapter_and_one_that_chooses_among_all():
    others = set(ADAPTERS) - {"auto"}
    assert {name for name in ARMS if name.startswith("warm:")} == {f"warm:{a}" for a in others}
    assert "auto" in ARMS


def test_an_unknown_arm_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match="unknown arm 'warm:magic': known are popularity, cold, "):
        make_arm("warm:magic")


def test_arms_are_made_of_names_and_left_as_they_are_otherwise():
    given = make_arm("cold")
    first, second, third = make_arms(["popularity", given, "init"])
    assert second is given
    assert (first.name, third.name) == ("popularity", "init")
    assert make_arm("cold") is not make_arm("cold")


def test_things_that_are_no_arms_and_arms_of_one_name_are_refused():
    with pytest.raises(TypeError, match=r"got the string 'cold': pass \['cold'\]"):
        make_arms("cold")
    with pytest.raises(TypeError, match="name, uses_source, fit, scorer and settings, got <class"):
        make_arms([type(make_arm("cold"))])
    with pytest.raises(TypeError, match=r"uses_source, fit, scorer and settings, got 0\.5"):
        make_arms(["cold", 0.5])
    with pytest.raises(ValueError, match="expected arms of different names, got cold, init, cold"):
        make_arms(["cold", "init", make_arm("cold")])
    with pytest.raises(ValueError, match="expected arms of different names, got none"):
        make_arms([])


def test_people_are_counted_by_their_rows(small):
    people = small.task.validation
    assert len(people) == len(people.source) == people.held.matrix.shape[0]
    assert isinstance(people.held.matrix, csr_matrix)
