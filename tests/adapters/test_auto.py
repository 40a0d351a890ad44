"""AutoAdapter alone: its settings, and what it chooses from. The search is that of `WarmStart`."""

import re

import numpy as np
import pytest

from coldstart.adapters import AutoAdapter, RidgeAdapter
from coldstart.als import PriorALS
from coldstart.datasets import make_cross_domain
from coldstart.warmstart import WarmStart

WRONG = [
    ({"trials": 0}, ValueError, "trials must be a whole number from 1 on, got 0"),
    ({"trials": -1}, ValueError, "trials must be a whole number from 1 on, got -1"),
    ({"trials": 1.5}, ValueError, "trials must be a whole number from 1 on, got 1.5"),
    ({"trials": True}, ValueError, "trials must be a whole number from 1 on, got True"),
    ({"n": 0}, ValueError, "n must be a whole number from 1 on, got 0"),
    ({"people": 0}, ValueError, "people must be a whole number from 10 on, got 0"),
    ({"budget": -1}, ValueError, "budget must be None, no limit, or a number of seconds from 0"),
    ({"budget": np.nan}, ValueError, "budget must be None, no limit, or a number of seconds"),
    ({"budget": "10"}, ValueError, "from 0 on, got '10'"),
    ({"shots": "0,1"}, TypeError, "shots must be a sequence such as (0, 5), got '0,1'"),
    ({"shots": 5}, TypeError, "shots must be a sequence such as (0, 5), got 5"),
    ({"shots": (0, -1)}, ValueError, "each of shots must be a whole number from 0 on, got -1"),
    ({"metric": 3}, TypeError, 'metric must be a name such as "ndcg", got 3'),
    ({"fuse": "no"}, TypeError, "fuse must be True or False, got 'no'"),
    ({"adapters": []}, ValueError, "AutoAdapter needs at least 1 of adapters, got 0: pass more"),
    ({"adapters": [RidgeAdapter]}, TypeError, "adapters[0] of AutoAdapter must be an object"),
    ({"adapters": RidgeAdapter()}, TypeError, "AutoAdapter takes a sequence of adapters, got Ri"),
    ({"adapters": [AutoAdapter()]}, ValueError, "AutoAdapter cannot choose an AutoAdapter: list"),
]


@pytest.mark.parametrize(("settings", "kind", "message"), WRONG)
def test_wrong_settings_are_told_when_it_is_fitted_and_not_before(settings, kind, message):
    adapter = AutoAdapter(**settings)
    assert repr(adapter).startswith("AutoAdapter(adapters=")
    rows = np.random.default_rng(0).normal(size=(30, 3))
    with pytest.raises(kind, match=re.escape(message)):
        adapter.fit(rows, rows)


@pytest.fixture(scope="module")
def logs():
    world = make_cross_domain(60, 40, 30, source_interactions=8, target_interactions=6, rng=0)
    return world.source, world.target


class Untrainable(PriorALS):
    """A model that says when it is fitted."""

    def fit(self, *_, **__):
        raise AssertionError("a model was fitted")


@pytest.mark.parametrize(
    ("settings", "kind", "message"),
    [*WRONG, ({"metric": "ndgc"}, ValueError, "unknown metric 'ndgc'")],
)
def test_the_front_door_tells_them_before_any_model_is_fitted(logs, settings, kind, message):
    with pytest.raises(kind, match=re.escape(message)):
        WarmStart(Untrainable(4), AutoAdapter(**settings)).fit(*logs)


@pytest.mark.parametrize(
    "settings", [{"budget": None}, {"budget": 0}, {"shots": np.array([0, 2])}, {"trials": 1}]
)
def test_the_edges_of_what_is_allowed_are_taken(settings):
    rows = np.random.default_rng(0).normal(size=(30, 3))
    adapter = AutoAdapter([RidgeAdapter(1.0)], **settings).fit(rows, rows)
    assert isinstance(adapter.adapter_, RidgeAdapter)


def test_the_documentation_names_the_families_it_chooses_from():
    families = {type(option).__name__ for option in AutoAdapter().candidates()}
    assert len(families) == 5
    assert all(f"`{family}`" in AutoAdapter.__doc__ for family in families)
