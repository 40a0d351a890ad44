"""The warm arm: the front door, fitted on the training log and asked for everybody at once."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from coldstart import PriorALS, WarmStart
from coldstart.adapters import ADAPTERS, AutoAdapter, FusedAdapter, RidgeAdapter, named
from coldstart.arms import make_arm
from coldstart.arms.warm import WarmArm
from coldstart.interactions import Interactions
from coldstart.ranking import top_n
from coldstart.transfer import candidates

N = 6


def ones(matrix):
    """The same entries, all of weight 1: histories of the front door have no other."""
    return csr_matrix((np.ones_like(matrix.data), matrix.indices, matrix.indptr), matrix.shape)


def unweighted(log):
    return Interactions.from_csr(ones(log.user_items), users=log.users, items=log.items)


@pytest.fixture(scope="module")
def task(small):
    source, train = unweighted(small.task.source), unweighted(small.task.train)
    return replace(small.task, source=source, train=train)


# TransportAdapter refuses catalogs as small as these.
@pytest.fixture(scope="module", params=sorted(set(ADAPTERS) - {"transport"}))
def adapter(request):
    return request.param


@pytest.fixture(scope="module")
def arm(adapter, task):
    return WarmArm(adapter).fit(task)


@pytest.fixture(scope="module", params=["users", "items"])
def warm(request, adapter, task):
    """The front door, fitted as its users would; for items both logs are the other way round."""
    side = request.param
    logs = (task.source, task.train) if side == "users" else (task.source.T, task.train.T)
    model = PriorALS(factors=task.factors, rng=task.seed)
    gate, chosen = adapter == "auto", named(adapter)
    if gate:  # chosen by what the evaluation measures
        chosen = AutoAdapter(metric=task.metric, n=task.n, shots=task.shots)
    return WarmStart(model, chosen, side=side, gate=gate, rng=task.seed).fit(*logs)


@pytest.mark.parametrize("shots", [0, 2])
def test_lists_and_scores_are_those_of_the_front_door(arm, warm, small, task, shots):
    history = ones(small.test.held.history(shots))
    people = task.source.users.ids[small.test.source].tolist()
    items = task.train.items.ids
    told = {
        person: items[row.indices].tolist()
        for person, row in zip(people, history, strict=True)
        if row.nnz
    }
    ask = warm.recommend if warm.side == "users" else warm.audience
    ids, scores = ask(people, n=N, history=told)
    ours = arm.scorer(small.test.source, history, shots)(slice(0, len(people)))
    columns, values = top_n(ours, N, seen=history)
    assert np.array_equal(items[columns], ids)
    np.testing.assert_allclose(values, scores, rtol=1e-5)  # products in float32


def test_validation_people_are_not_even_looked_at(arm, task, small):
    blind = WarmArm(arm.name.removeprefix("warm:")).fit(replace(task, validation=None))
    assert np.array_equal(small.scores(blind, 2), small.scores(arm, 2))
    assert blind.settings() == arm.settings()


def test_no_more_is_tried_than_by_other_arms_and_one_way_is_chosen(arm, task, adapter):
    """The choice among all has what its own budget allows, unless the task says how many."""
    told = arm.tuned.to_json()
    for shots in {trial["shots"] for trial in told["trials"]}:
        theirs = [trial for trial in told["trials"] if trial["shots"] == shots]
        assert len(theirs) <= task.most or adapter == "auto"
        assert sum(trial["chosen"] for trial in theirs) == 1
    assert {0, 2} <= {trial["shots"] for trial in told["trials"]}


@pytest.mark.parametrize("name", ["ridge", "auto"])
def test_trials_and_seconds_of_the_task_are_those_of_the_search(task, name):
    few = WarmArm(name).fit(replace(task, trials=3))
    counts = [sum(trial.shots == k for trial in few.tuned.trials) for k in task.shots]
    assert counts == [3, 3]
    late = WarmArm(name).fit(replace(task, budget=1e-9)).tuned.trials
    assert len({trial.setting["adapter"] for trial in late}) == 1


def test_settings_are_the_report_of_the_fit(arm, adapter, task):
    settings = arm.settings()
    options = [*candidates(named(adapter)), *([FusedAdapter()] if adapter == "auto" else [])]
    assert settings["adapter"].partition("(")[0] in {type(option).__name__ for option in options}
    assert (settings["gate"] is not None) == (adapter == "auto")
    assert settings["anchors"] == len(task.anchors)
    assert settings["target_rows"] == len(task.train.users)
    assert {"strength", "gains", "fallback", "warnings"} <= settings.keys()


def test_the_name_tells_which_adapter_maps():
    assert WarmArm("ridge").name == make_arm("warm:ridge").name == "warm:ridge"
    assert WarmArm("auto").name == make_arm("auto").name == "auto"
    assert isinstance(named("ridge"), RidgeAdapter)
    assert WarmArm("ridge").uses_source


def test_people_without_history_gain_over_the_mean_where_the_map_is_known(default):
    task, people = replace(default.task, trials=12), default.test
    quality = {
        name: task.mean_quality(
            make_arm(name).fit(task).scorer(people.source, people.held.history(0), 0), people, 0
        )
        for name in ("mean-prior", "warm:ridge")
    }
    assert quality["warm:ridge"] > 1.2 * quality["mean-prior"]
