"""Init: what presetting factors does to implicit's fit, and what it does not."""

import numpy as np
import pytest
import scipy.sparse as sp
from implicit.cpu.als import AlternatingLeastSquares

from coldstart.adapters import AnchorContext, RidgeAdapter
from coldstart.arms import init
from coldstart.arms.init import InitArm
from coldstart.threads import one_blas_thread


def implicit_scores(world, shots, *, users, items, use_cg):
    """Implicit fitted on training rows and histories, from given starts."""
    task = world.task
    history = world.test.held.history(shots)
    settings = task.new_model().get_params()
    names = ("factors", "regularization", "alpha", "iterations")
    with one_blas_thread():
        model = AlternatingLeastSquares(**{name: settings[name] for name in names}, use_cg=use_cg)
        model.user_factors, model.item_factors = users.copy(), items.copy()
        model.fit(sp.vstack([task.train.user_items, history], format="csr"), show_progress=False)
    return model.user_factors[-len(world.test) :] @ model.item_factors.T


@pytest.fixture
def usual(monkeypatch):
    """Nothing is left to choose: sweeps and ridge are those of the other factor models."""
    monkeypatch.setattr(init, "FEW", 10)
    monkeypatch.setattr(init, "RIDGES", (1.0,))


@pytest.fixture(scope="module")
def random_start(small):
    """What implicit draws for the seed of the task: users, then items."""
    rng = np.random.default_rng(small.task.seed)
    n_users = len(small.task.train.users) + len(small.test)
    return [
        rng.random((n, small.task.factors), dtype=np.float32) * np.float32(0.01)
        for n in (n_users, len(small.task.train.items))
    ]


def mapped_rows(task):
    """Where a ridge map from source rows to target rows puts every row of the source."""
    source, anchors = task.source.user_items, task.anchors
    rows = task.new_model().fit(source, show_progress=False).fold_in(source)
    target = task.target_model.fold_in(task.train.user_items)
    context = AnchorContext(
        mean=target.astype(np.float64).mean(axis=0), other_factors=task.target_model.item_factors
    )
    adapter = RidgeAdapter().fit(rows[anchors.source], target[anchors.target], context=context)
    return adapter.predict(rows).mean.astype(np.float32)


def test_the_random_start_is_implicits_own(small, random_start):
    users, items = random_start
    log = sp.vstack([small.task.train.user_items, small.test.held.history(0)], format="csr")
    with one_blas_thread():
        model = AlternatingLeastSquares(
            factors=small.task.factors, iterations=0, random_state=small.task.seed
        )
        model.fit(log, show_progress=False)
    assert np.array_equal(model.user_factors, users)
    assert np.array_equal(model.item_factors, items)


@pytest.mark.usefixtures("usual")
def test_rows_start_where_they_are_mapped_and_at_random_without_a_source_row(
    small, random_start, monkeypatch
):
    given = []

    class Recorder(AlternatingLeastSquares):
        def fit(self, user_items, **settings):
            given.extend([user_items, self.user_factors.copy(), self.item_factors.copy()])
            super().fit(user_items, **settings)

    arm = InitArm().fit(small.task)
    monkeypatch.setattr(init, "AlternatingLeastSquares", Recorder)
    small.scores(arm, 2)
    train, mapped = small.task.train, mapped_rows(small.task)
    log, users, items = given
    assert np.array_equal(log[: len(train.users)].toarray(), train.user_items.toarray())
    assert np.array_equal(log[len(train.users) :].toarray(), small.test.held.history(2).toarray())
    assert np.array_equal(items, random_start[1])
    source_row = {person: row for row, person in enumerate(small.task.source.users)}
    known = np.array([person in source_row for person in train.users])
    assert 0 < known.sum() < len(known)
    expected = random_start[0].copy()
    for row in np.flatnonzero(known):
        expected[row] = mapped[source_row[train.users.ids[row]]]
    expected[len(train.users) :] = mapped[small.test.source]
    np.testing.assert_allclose(users, expected, rtol=1e-4, atol=1e-5)
    assert np.abs(expected - random_start[0]).max() > 0.1


# Conjugate gradients from implicit's small random item factors solve the first rows nearly exactly.
@pytest.mark.usefixtures("usual")
@pytest.mark.parametrize(("use_cg", "tolerance"), [(False, 1e-5), (True, 1e-3)])
def test_the_preset_changes_nothing_given_the_same_start_of_the_items(
    small, random_start, use_cg, tolerance
):
    users, items = random_start
    cold = implicit_scores(small, 2, users=users, items=items, use_cg=use_cg)
    scores = small.scores(InitArm(use_cg).fit(small.task), 2)
    np.testing.assert_allclose(scores, cold, rtol=0, atol=tolerance)


@pytest.mark.usefixtures("usual")
@pytest.mark.parametrize("use_cg", [False, True])
def test_another_start_of_the_items_does_change_something(small, random_start, use_cg):
    users, items = random_start
    other = implicit_scores(small, 2, users=users, items=items[::-1], use_cg=use_cg)
    scores = small.scores(InitArm(use_cg).fit(small.task), 2)
    assert np.abs(scores - other).max() > 1e-2


@pytest.mark.parametrize("use_cg", [False, True])
def test_rows_without_interactions_end_at_zero_whatever_they_were_preset_to(small, use_cg):
    assert not small.scores(InitArm(use_cg).fit(small.task), 0).any()


@pytest.mark.usefixtures("usual")
def test_settings_are_those_of_the_other_factor_models_where_nothing_is_chosen(small):
    settings = InitArm().fit(small.task).settings()
    ours = small.task.new_model().get_params()
    assert settings.pop("use_cg")
    assert settings == {name: ours[name] for name in settings}
    assert settings["factors"] == small.task.factors


def test_validation_people_choose_sweeps_and_ridge_once_at_the_most_shots(small):
    arm, task = InitArm().fit(small.task), small.task
    usual = task.new_model()
    assert arm.tuned.space == {
        "iterations": (usual.iterations, init.FEW),
        "regularization": tuple(by * usual.regularization for by in init.RIDGES),
    }
    assert {trial.shots for trial in arm.tuned.trials} == {2}
    best = max(arm.tuned.trials, key=lambda trial: trial.quality)
    assert best.setting.items() <= arm.settings().items()
    people = task.validation
    scorer = arm.scorer(people.source, people.held.history(2), 2)
    assert task.mean_quality(scorer, people, 2) == best.quality
